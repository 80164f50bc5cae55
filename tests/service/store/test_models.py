"""The store: finding models, their load keys, and what happens when a file is replaced."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from service.store.models import LOOK_INTERVAL_NS, ModelStore
from statemachines.errors import RefusalCode, RequestRefused
from statemachines.units import NS_PER_S
from tests.fakes.clock import TrioClock
from tests.service.store.shelf import Shelf


@pytest.fixture
def one(shelf: Shelf) -> Shelf:
    shelf.put("Demo.gguf")
    return shelf


@pytest.mark.parametrize(
    "reference",
    ["Demo", "demo", "DEMO:LATEST", "  demo:latest ", "library/demo", "registry.ollama.ai/library/demo", "demo:local"],
)
def test_a_model_is_found_by_any_spelling_of_its_name(one: Shelf, reference: str) -> None:
    assert one.find(reference).name == "Demo:latest"


@pytest.mark.parametrize(
    "reference", ["other", "demo:7b", "mine/demo", "host/library/demo", "demo:cloud", "demo:x-cloud"]
)
def test_a_model_that_is_not_there_is_not_found(one: Shelf, reference: str) -> None:
    with pytest.raises(RequestRefused, match="not found") as refused:
        one.find(reference)
    assert refused.value.code is RefusalCode.NOT_FOUND


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("", "model is required"),
        ("  ", "model is required"),
        ("de mo", "invalid model name"),
        ("demo:", "invalid model name"),
        ("../demo", "invalid model name"),
        ("demo:local:cloud", 'use either :local or :cloud, not both: "demo:local:cloud"'),
    ],
)
def test_a_reference_that_is_no_name_is_invalid(one: Shelf, reference: str, words: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        one.find(reference)
    assert (refused.value.code, str(refused.value)) == (RefusalCode.INVALID, words)


def test_a_file_whose_tag_looks_like_a_source_is_found(shelf: Shelf) -> None:
    shelf.put("demo:7b-cloud.gguf")
    assert shelf.find("demo:7b-cloud").name == "demo:7b-cloud"


def test_a_replaced_file_is_a_new_model_and_the_old_key_is_told_once(one: Shelf) -> None:
    old = one.find("demo")
    one.put("Demo.gguf", "GGUF other weights")
    new = one.find("demo")
    assert new.identities != old.identities
    assert new.key != old.key
    assert one.names == ["Demo:latest"]
    assert one.replaced == [old.key]


def test_a_file_that_vanished_is_told_whoever_looks(one: Shelf) -> None:
    old = one.find("demo")
    (one.folder / "Demo.gguf").unlink()
    with pytest.raises(RequestRefused):
        one.find("demo")
    assert one.replaced == [old.key]


def test_a_renamed_file_keeps_its_key(one: Shelf) -> None:
    old = one.find("demo")
    (one.folder / "Demo.gguf").rename(one.folder / "other.gguf")
    assert one.find("other").key == old.key
    assert one.replaced == []


def test_a_key_that_another_path_still_has_is_not_replaced(one: Shelf) -> None:
    (one.folder / "b.gguf").hardlink_to(one.folder / "Demo.gguf")
    old = one.find("demo")
    (one.folder / "Demo.gguf").unlink()
    assert one.find("b").key == old.key
    assert one.replaced == []


def test_a_split_model_is_replaced_with_any_of_its_parts(shelf: Shelf) -> None:
    shelf.put("m-00001-of-00002.gguf")
    shelf.put("m-00002-of-00002.gguf")
    old = shelf.find("m")
    shelf.put("m-00002-of-00002.gguf", "other")
    assert shelf.find("m").key != old.key
    assert shelf.replaced == [old.key]


@asynccontextmanager
async def watching(shelf: Shelf, clock: MockClock) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A store that nobody asks anything; lets an interval pass and its look end."""
    store = shelf.reopened(TrioClock())

    async def pass_interval() -> None:
        clock.jump(LOOK_INTERVAL_NS / NS_PER_S)
        await wait_all_tasks_blocked()
        while trio.to_thread.current_default_thread_limiter().borrowed_tokens:
            await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        await wait_all_tasks_blocked()
        yield pass_interval
        nursery.cancel_scope.cancel()


async def test_a_loaded_file_that_is_replaced_is_told_though_nobody_asks(one: Shelf, mock_clock: MockClock) -> None:
    old = one.find("demo")
    one.alive.add(old.key)
    async with watching(one, mock_clock) as pass_interval:
        await pass_interval()
        assert one.replaced == []
        one.put("Demo.gguf", "GGUF other weights")
        await pass_interval()
        assert one.replaced == [old.key]
        await pass_interval()
        assert one.replaced == [old.key]


async def test_a_loaded_file_that_is_gone_is_told_though_nobody_asks(one: Shelf, mock_clock: MockClock) -> None:
    old = one.find("demo")
    one.alive.add(old.key)
    async with watching(one, mock_clock) as pass_interval:
        (one.folder / "Demo.gguf").unlink()
        await pass_interval()
        assert one.replaced == [old.key]


async def test_files_of_what_is_not_loaded_are_not_looked_at(one: Shelf, mock_clock: MockClock) -> None:
    async with watching(one, mock_clock) as pass_interval:
        one.put("Demo.gguf", "GGUF other weights")
        await pass_interval()
        assert one.replaced == []


async def until_digests_are_known(shelf: Shelf, store: ModelStore | None = None) -> None:
    """Run the store's background task until no model is without its digest."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon((store or shelf.store).run)
        while any(model.digest is None for model in (store or shelf.store).models()):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def test_a_digest_becomes_the_key_when_nothing_lives_under_the_old_one(one: Shelf) -> None:
    before = one.find("demo")
    assert before.digest is None
    assert before.key.weights.startswith("file:")
    one.alive.add(before.key)
    await until_digests_are_known(one)
    held = one.find("demo")
    assert held.digest is not None
    assert held.key == before.key
    one.alive.clear()
    assert one.find("demo").key.weights == f"sha256:{held.digest}"
    one.alive.add(before.key)
    assert one.find("demo").key.weights == f"sha256:{held.digest}"
    assert one.replaced == []


async def test_a_key_stays_while_somebody_is_about_to_load_under_it(one: Shelf) -> None:
    before = one.find("demo")
    answer, asked = trio.Event(), trio.Event()

    async def slow(paths: tuple[str, ...], with_arrays: bool) -> object:
        asked.set()
        await answer.wait()
        return await one.reader(paths, with_arrays)

    one.store._facts._read = slow  # type: ignore[assignment]  # the same shape, slower
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.store.facts, before)
        await asked.wait()
        await until_digests_are_known(one)
        assert one.find("demo").key == before.key
        answer.set()
    assert one.find("demo").key.weights.startswith("sha256:")


async def test_files_with_the_same_content_share_a_key_once_it_is_known(shelf: Shelf) -> None:
    shelf.put("a.gguf", "GGUF, the same")
    shelf.put("b.gguf", "GGUF, the same")
    assert shelf.find("a").key != shelf.find("b").key
    await until_digests_are_known(shelf)
    assert shelf.find("a").key == shelf.find("b").key


async def test_a_later_start_knows_the_digests(one: Shelf) -> None:
    await until_digests_are_known(one)
    again = one.reopened()
    model = again.find("demo")
    assert model.key.weights == f"sha256:{model.digest}"


async def test_facts_are_read_once_and_with_arrays_each_time(one: Shelf) -> None:
    model = one.find("demo")
    assert await one.store.facts(model) is await one.store.facts(model)
    await one.store.facts(model, with_arrays=True)
    assert [with_arrays for _, with_arrays in one.reader.questions] == [False, True]
