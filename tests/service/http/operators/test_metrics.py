"""GET /metrics: what Prometheus reads."""

from tests.service.http.calling import Caller
from tests.service.metrics.reading import Reading


async def test_it_is_prometheus_text(call: Caller) -> None:
    reply = await call.get("/metrics")
    assert (reply.status, reply.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert Reading(reply.body).by("service_state", "state") == {"open": 1}


async def test_answers_are_counted_by_the_pattern_of_their_route(call: Caller) -> None:
    for path in ("/api/version", "/v1/models/demo", "/v1/models/nope", "/made/up", "/made/up/too", "/api/version/"):
        await call.get(path)
    await call.post("/api/generate", {"model": "demo", "prompt": "hi"})
    read = Reading((await call.get("/metrics")).body)
    replies = {
        (one.labels["route"], one.labels["status"]): one.value
        for one in read.samples
        if one.name == "roundhouse_http_replies_total"
    }
    assert replies == {
        ("/api/version", "200"): 1,
        ("/v1/models/<path:model>", "200"): 1,
        ("/v1/models/<path:model>", "404"): 1,
        ("none", "404"): 2,
        ("none", "301"): 1,
        ("/api/generate", "200"): 1,
    }
