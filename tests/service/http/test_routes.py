"""What is where: paths, methods, redirects, plain texts, headers."""

import pytest
import structlog
from werkzeug.exceptions import RequestTimeout

from service.http.routes import NOT_SERVED, SERVED, Route
from statemachines.errors import RETRY_AFTER_S, Refusal, RefusalCode, RequestRefused
from tests.fakes.front import FakeFront, FakeStore, Script, model, settings
from tests.service.http.calling import Caller


async def test_the_heartbeat_has_its_words(call: Caller) -> None:
    reply = await call.get("/")
    assert (reply.status, reply.body) == (200, b"Ollama is running")
    assert reply.content_type == "text/plain; charset=utf-8"


async def test_the_version_is_the_one_of_the_settings() -> None:
    call = Caller(FakeFront(settings(compatible_version="9.8.7")))
    reply = await call.get("/api/version")
    assert reply.body == b'{"version":"9.8.7"}'
    assert reply.content_type == "application/json; charset=utf-8"


@pytest.mark.parametrize("path", ["/nope", "/api", "/api/tag", "/API/TAGS", "/v1", "/api/unload"])
async def test_an_unknown_path_is_a_plain_404(call: Caller, path: str) -> None:
    reply = await call.get(path)
    assert (reply.status, reply.body, reply.content_type) == (404, b"404 page not found", "text/plain")
    assert reply.headers["X-Request-Id"] == "fake-1"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", {"GET", "HEAD"}),
        ("POST", "/api/tags", {"GET", "HEAD"}),
        ("GET", "/api/chat", {"POST"}),
        ("DELETE", "/api/generate", {"POST"}),
        ("HEAD", "/api/ps", {"GET"}),
        ("HEAD", "/v1/models", {"GET"}),
        ("HEAD", "/v1/models/demo", {"GET"}),
        ("HEAD", "/api/show", {"POST"}),
        ("GET", "/api/pull", {"POST"}),
        ("POST", "/api/delete", {"DELETE"}),
    ],
)
async def test_a_wrong_method_is_a_plain_405(call: Caller, method: str, path: str, allow: set[str]) -> None:
    reply = await call(method, path)
    assert (reply.status, reply.body, reply.content_type) == (405, b"405 method not allowed", "text/plain")
    assert set(reply.headers["Allow"].split(", ")) == allow


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
async def test_head_is_answered_where_clients_look_for_a_heartbeat(call: Caller, path: str) -> None:
    assert (await call("HEAD", path)).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/api/tags/", 301, "/api/tags"),
        ("GET", "/api/tags/?a=b%20c", 301, "/api/tags?a=b%20c"),
        ("GET", "/v1/models/", 301, "/v1/models"),
        ("POST", "/api/chat/", 307, "/api/chat"),
        ("HEAD", "/api/version/", 307, "/api/version"),
    ],
)
async def test_a_trailing_slash_is_redirected(call: Caller, method: str, path: str, status: int, location: str) -> None:
    reply = await call(method, path)
    assert (reply.status, reply.headers["Location"], reply.body) == (status, location, b"")


@pytest.mark.parametrize(("method", "path"), [("GET", "/nope/"), ("GET", "/api/chat/"), ("GET", "/api/tags//")])
async def test_only_routes_of_the_method_are_redirected_to(call: Caller, method: str, path: str) -> None:
    assert (await call(method, path)).status == 404


@pytest.mark.parametrize("route", NOT_SERVED, ids=lambda route: route.path)
async def test_a_route_that_is_not_served_yet_says_so_by_name(call: Caller, route: Route) -> None:
    path = route.path.replace("<digest>", "sha256:ab").replace("<key>", "k")
    reply = await call(route.methods[0], path)
    assert reply.status == 501
    told = f"{route.path} is not served yet"
    if path == "/v1/messages":
        assert reply.json["type"] == "error"
        assert reply.json["error"] == {"type": "api_error", "message": told}
        assert len(reply.json["request_id"]) == len("req_") + 24
    elif path.startswith("/v1/"):
        assert reply.json == {"error": {"message": told, "type": "api_error", "param": None, "code": None}}
    else:
        assert reply.json == {"error": told}


async def test_every_request_has_an_id_of_its_own_whatever_the_client_says(call: Caller) -> None:
    ids = [(await call.get("/api/version", X_Request_Id="mine")).headers["X-Request-Id"] for _ in SERVED]
    assert ids == [f"fake-{number}" for number in range(1, len(SERVED) + 1)]


async def test_a_body_over_the_limit_is_refused_by_size() -> None:
    call = Caller(FakeFront(settings(body_bytes_max=2048)))
    reply = await call.post("/api/chat", b'{"model":"' + b"x" * 2048 + b'"}')
    assert (reply.status, reply.json) == (413, {"error": "the request body is larger than 2.0 KiB"})
    assert (await call.post("/api/chat", b'{"model":"' + b"x" * 2000 + b'"}')).status == 400


async def test_a_fault_of_ours_is_logged_and_told_in_one_constant_sentence() -> None:
    call = Caller(FakeFront(store=FakeStore({model(): ZeroDivisionError("/etc/secret")})))
    reply = await call.post("/v1/chat/completions", {"model": "demo", "messages": [{"role": "u", "content": "x"}]})
    assert reply.status == 500
    assert reply.json["error"]["type"] == "api_error"
    assert reply.json["error"]["message"].endswith("under request id fake-1")


async def test_a_file_that_is_no_model_is_a_refusal_with_its_own_words() -> None:
    refusal = RequestRefused(Refusal(RefusalCode.INVALID, "the file is no GGUF"))
    call = Caller(FakeFront(store=FakeStore({model(): refusal})))
    reply = await call.post("/api/generate", {"model": "demo", "prompt": "hi"})
    assert (reply.status, reply.json) == (400, {"error": "the file is no GGUF"})


@pytest.mark.parametrize("code", RefusalCode)
async def test_every_503_says_when_to_come_back_and_no_other_status_that_time_cannot_help(code: RefusalCode) -> None:
    front = FakeFront(script=Script(refuse=RequestRefused(Refusal(code, "not now"))))
    for path in ("/api/generate", "/v1/chat/completions"):
        reply = await Caller(front).post(path, {"model": "demo", "messages": [{"role": "user", "content": "x"}]})
        given = reply.headers.get("Retry-After")
        assert given == (str(RETRY_AFTER_S[code]) if code in RETRY_AFTER_S else None)
        assert given or reply.status != 503


async def test_an_answer_is_noted_with_its_path_as_it_came_and_without_its_query(front: FakeFront) -> None:
    call = Caller(front, log=structlog.get_logger())
    with structlog.testing.capture_logs() as lines:
        await call.get("/v1/models/%1b%5b31m?a=secret")
    (line,) = lines
    assert (line["log_level"], line["event"], line["request"]) == ("debug", "answering", "fake-1")
    assert (line["method"], line["status"]) == ("GET", 400)
    assert line["path"].isprintable()
    assert "secret" not in str(line)


async def test_a_fault_is_logged_under_the_id_that_the_client_is_told() -> None:
    front = FakeFront(store=FakeStore({model(): ZeroDivisionError("why")}))
    call = Caller(front, log=structlog.get_logger())
    with structlog.testing.capture_logs() as lines:
        await call.post("/api/show", {"model": "demo"})
    (fault,) = [line for line in lines if line["log_level"] == "error"]
    assert (fault["event"], fault["request"], fault["path"]) == ("a request failed", "fake-1", "/api/show")
    assert isinstance(fault["exc_info"], ZeroDivisionError)


async def test_what_the_framework_says_has_a_sentence_of_ours_in_the_envelope() -> None:
    call = Caller(FakeFront(store=FakeStore({model(): RequestTimeout()})))
    reply = await call.post("/api/show", {"model": "demo"})
    assert (reply.status, reply.json) == (408, {"error": "the request body took longer than 60 s; send it again"})


async def test_a_reference_that_contradicts_itself_keeps_its_words(
    front: FakeFront, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = 'use either :local or :cloud, not both: "demo:local:cloud"'

    def find(_: str) -> None:
        raise RequestRefused(Refusal(RefusalCode.INVALID, words))

    monkeypatch.setattr(front.store, "find", find)
    reply = await call.post("/api/chat", {"model": "demo:local:cloud"})
    assert (reply.status, reply.json) == (400, {"error": words})
