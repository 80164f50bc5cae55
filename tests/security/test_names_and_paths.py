"""From what a client writes to a file: by a name out of a listing, and by nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.http.routes import NOT_SERVED
from service.store.names import parse_name
from statemachines.errors import RefusalCode, RequestRefused
from tests.bad_input.names import HOSTILE
from tests.service.http.calling import Caller
from tests.service.store.shelf import Shelf

PIECES = [
    "..",
    "/",
    "\\",
    ":",
    ".",
    "demo",
    "a",
    "%2e",
    "\0",
    "\n",
    "latest",
    "~",
    "sha256",
    "@",
    "-",
    "gguf",
    "\u2215",
]
references = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """One model, and a file beside the models folder that none may find."""
    shelf = Shelf(tmp_path)
    shelf.put("demo.gguf")
    (tmp_path / "secret.gguf").write_text("GGUF secret")
    yield shelf
    shelf.close()


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(references)
def test_cve_2024_37032_whatever_a_client_writes_finds_only_what_the_folder_lists(shelf: Shelf, text: str) -> None:
    assert found_or_refused(shelf, text) in (
        (str(shelf.folder / "demo.gguf"),),
        RefusalCode.NOT_FOUND,
        RefusalCode.INVALID,
    )


def found_or_refused(shelf: Shelf, text: str) -> tuple[str, ...] | RefusalCode:
    try:
        return shelf.find(text).paths
    except RequestRefused as refused:
        return refused.code


@given(references)
def test_cve_2024_37032_a_name_has_no_letter_that_a_path_upwards_needs(text: str) -> None:
    name = parse_name(text)
    if name is not None:
        for part in (name.model, name.tag, name.namespace):
            assert "/" not in part
            assert "\\" not in part
            assert not part.startswith(".")
            assert part.isascii()
            assert part.isprintable()


@pytest.mark.parametrize("reference", [DIGEST, DIGEST.replace(":", "-"), f"demo@{DIGEST}", "ab" * 32])
def test_cve_2026_7020_a_digest_is_no_way_to_a_file(shelf: Shelf, reference: str) -> None:
    """Not even a right one: it is shown, and never read."""
    with pytest.raises(RequestRefused):
        shelf.find(reference)


def test_cve_2026_7020_parts_of_a_split_model_lie_beside_its_first_one(shelf: Shelf, tmp_path: Path) -> None:
    for name in ("x-00001-of-00002.gguf", "x-00002-of-00002.gguf", "..-00001-of-00002.gguf", "..-00002-of-00002.gguf"):
        shelf.put(name)
    assert {os.path.dirname(path) for model in shelf.store.models() for path in model.paths} == {str(shelf.folder)}
    assert not [model for model in shelf.names if model.startswith(".")]


@pytest.mark.parametrize("body", ["/api/generate", "/api/chat", "/api/show", "/v1/chat/completions"])
async def test_cve_2024_39719_an_answer_is_the_same_whether_a_file_is_there_or_not(
    call: Caller, body: str, tmp_path: Path
) -> None:
    there, absent = tmp_path / "there.gguf", tmp_path / "not-there.gguf"
    there.write_text("GGUF")
    fields = {"messages": [{"role": "user", "content": "hi"}], "prompt": "hi"}
    for form in ("{0}", "file://{0}", "../../../../../../../..{0}", "{0}\0.gguf", "demo:../../../../..{0}"):
        replies = [await call.post(body, {**fields, "model": form.format(path)}) for path in (there, absent)]
        assert len({(reply.status, reply.body) for reply in replies}) == 1, form
        assert replies[0].status == 400


@pytest.mark.parametrize("name", HOSTILE.values(), ids=list(HOSTILE))
async def test_cve_2024_39719_a_hostile_name_is_not_even_repeated(call: Caller, name: str) -> None:
    reply = await call.post("/api/chat", {"model": name})
    assert (reply.status, reply.json) == (400, {"error": "invalid model name"})


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "/proc/self/environ", "/dev/zero", "/dev/stdin", ".", "..", "self.gguf"]
)
def test_xinference_5176_a_link_in_the_models_folder_shows_nothing_of_what_it_leads_to(
    shelf: Shelf, target: str
) -> None:
    """It may lead to any regular file: who writes into the folder decides what is served. What is served is a model."""
    (shelf.folder / "self.gguf").symlink_to(target)
    listed = {model.name: model for model in shelf.store.models()}
    linked = listed.pop("self:latest", None)
    assert list(listed) == ["demo:latest"]
    assert linked is None or (os.path.isfile(target) and linked.digest is None)


@pytest.mark.parametrize("route", NOT_SERVED, ids=lambda route: route.path)
async def test_cve_2025_63389_models_are_not_managed_over_http(call: Caller, route: object) -> None:
    """CVE-2025-44779 deleted files by a pull, CVE-2025-1975 crashed on a pulled manifest: there are no such routes."""
    path = route.path.replace("<digest>", "sha256:../../x").replace("<key>", "k")  # type: ignore[attr-defined]  # a Route
    for method in route.methods:  # type: ignore[attr-defined]  # a Route
        reply = await call(method, path, {"name": "http://evil.example/x", "model": "demo", "insecure": True})
        assert reply.status in (404, 501)
    assert call.front.stopped == []
