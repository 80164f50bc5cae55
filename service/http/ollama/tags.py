"""``GET /api/tags``: the models that there are."""

from quart import Response

from service.front import StoredModel
from service.http.exchange import Exchange
from service.http.facts import facts_of
from service.http.ollama.details import details, widths
from service.http.replies import json_reply
from service.http.times import rfc3339_local
from statemachines.facts import ModelFacts


async def tags(exchange: Exchange) -> Response:
    """All models, newest first."""
    store = exchange.front.store
    models = store.models()
    facts = await facts_of(store, models)
    return json_reply({"models": [_entry(model, facts[model.name]) for model in models]})


def _entry(model: StoredModel, facts: ModelFacts | None) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": model.name,
        "model": model.name,
        "modified_at": rfc3339_local(model.modified_ns),
        "size": model.size_bytes,
        "digest": model.digest or "",  # empty until the file has been read to its end once
        "details": {**details(facts), **(widths(facts) if facts else {})},
    }
    return {**entry, "capabilities": list(facts.capabilities)} if facts and facts.capabilities else entry
