"""``GET /v1/models`` and ``/v1/models/<id>``."""

from quart import Response

from service.front import StoredModel
from service.http.exchange import Exchange
from service.http.ollama.show import find_shown
from service.http.replies import BARE_JSON, json_reply
from statemachines.units import NS_PER_S

_OWNER_UNLESS_NAMED = "library"


async def list_models(exchange: Exchange) -> Response:
    """All models, in the order of ``/api/tags``."""
    data = [_entry(model, model.name) for model in exchange.front.store.models()]
    return json_reply({"object": "list", "data": data}, content_type=BARE_JSON)


async def show_model(exchange: Exchange, model: str) -> Response:
    """One model, under the name it was asked for."""
    return json_reply(_entry(find_shown(exchange, model), model), content_type=BARE_JSON)


def _entry(model: StoredModel, name: str) -> dict[str, object]:
    owner, slash, _ = model.name.rpartition("/")
    return {
        "id": name,
        "object": "model",
        "created": model.modified_ns // NS_PER_S,
        "owned_by": owner.rpartition("/")[2] if slash else _OWNER_UNLESS_NAMED,
    }
