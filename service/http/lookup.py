"""From the ``model`` field of a request to a model on disk, with the sentences that each endpoint has for a miss."""

from service.front import Front, StoredModel
from service.http.errors import ApiError, from_refusal
from service.store.names import NAME_CHARS_MAX
from statemachines.errors import RefusalCode, RequestRefused
from statemachines.facts import ModelFacts

INVALID_NAME_TEXT = "invalid model name"
MODEL_REQUIRED_TEXT = "model is required"


def find_model(front: Front, reference: str, *, absent_text: str) -> StoredModel:
    """The model that ``reference`` means.

    Raises:
        ApiError: 404 with ``absent_text``, or 400 when it cannot be a name.
    """
    if not reference.strip():
        raise ApiError(404, absent_text)
    if len(reference) > NAME_CHARS_MAX:  # Spaces around a name do not count, and yet come back in every answer.
        raise ApiError(400, INVALID_NAME_TEXT)
    try:
        return front.store.find(reference)
    except RequestRefused as error:
        raise _miss(error, absent_text) from None


async def facts_now(front: Front, model: StoredModel, *, with_arrays: bool = False) -> tuple[StoredModel, ModelFacts]:
    """What a model's file says of itself, with the model itself: a file replaced meanwhile is found again, once.

    Raises:
        RequestRefused: it cannot be read, or is gone.
    """
    try:
        return model, await front.store.facts(model, with_arrays=with_arrays)
    except RequestRefused as refused:
        if refused.code is not RefusalCode.MODEL_REPLACED:
            raise
    fresh = front.store.find(model.name)
    return fresh, await front.store.facts(fresh, with_arrays=with_arrays)


def check_capability(facts: ModelFacts, reference: str, verb: str) -> None:
    """Refuse to ``verb`` (chat, generate) with a model that cannot complete text.

    Raises:
        ApiError: 400.
    """
    if "completion" not in facts.capabilities:
        raise ApiError(400, f'"{reference}" does not support {verb}')


def _miss(error: RequestRefused, absent_text: str) -> ApiError:
    if error.code is RefusalCode.NOT_FOUND:
        return ApiError(404, absent_text)
    if error.code is RefusalCode.INVALID and not str(error).startswith("use either"):
        return ApiError(400, INVALID_NAME_TEXT)
    return from_refusal(error.refusal)
