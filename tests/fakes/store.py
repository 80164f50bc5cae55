"""Models that are on no disk: names, keys and sizes that a test chooses."""

from collections.abc import Sequence

from service.front import StoredModel
from statemachines.errors import Refusal, RefusalCode, RequestRefused
from statemachines.facts import FileIdentity, LayerKind, LayerSizes, LoadKey, ModelFacts, ModelSizes
from statemachines.units import KIB, MIB

SIZES = ModelSizes(
    file_bytes=MIB,
    shared_weight_bytes=256 * KIB,
    shared_repack_bytes=0,
    layers=(LayerSizes(LayerKind.FULL, weight_bytes=512 * KIB, repack_bytes=0, kv_elements_per_token=64),),
    context_tokens_max=2048,
    embedding_length=64,
    feed_forward_length=128,
    head_count=1,
    vocab_size=500,
)


def facts_of(sizes: ModelSizes = SIZES) -> ModelFacts:
    """What a small model's file would say."""
    return ModelFacts(
        format="gguf",
        architecture="llama",
        name="test",
        parameter_count=1000,
        quantization="F32",
        capabilities=("completion",),
        chat_template=None,
        sizes=sizes,
        metadata={},
        tensors=(),
        parts=1,
    )


def stored(name: str, *, version: int = 1) -> StoredModel:
    """A model whose file has been replaced ``version - 1`` times."""
    identities = (FileIdentity(1, sum(name.encode()), 1024, version),)
    key = LoadKey(f"file:{name}:{version}")
    return StoredModel(f"{name}:latest", (f"/models/{name}.gguf",), identities, 1024, version, None, key)


class FakeStore:
    """The `Store` that has what it was given."""

    def __init__(self, *models: StoredModel) -> None:
        self.by_name = {model.name: model for model in models}
        self.facts_by_name: dict[str, ModelFacts] = {}

    def models(self) -> Sequence[StoredModel]:
        return tuple(self.by_name.values())

    def find(self, reference: str) -> StoredModel:
        try:
            return self.by_name[reference]
        except KeyError:
            raise RequestRefused(Refusal(RefusalCode.NOT_FOUND, f"model '{reference}' not found")) from None

    async def facts(self, model: StoredModel, *, with_arrays: bool = False) -> ModelFacts:
        return self.facts_by_name.get(model.name, facts_of())

    def replace(self, model: StoredModel) -> None:
        self.by_name[model.name] = model
