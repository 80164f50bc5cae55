"""A scripted `service.front.Front`: models, answers, refusals and crashes as a test wants them.

What the real one promises and this one must keep too is written down in `tests.service.front_contract`.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from service.config import Settings
from service.front import Answer, StoredModel
from service.spare import SpareView
from service.store.names import parse_name
from statemachines.errors import Refusal, RefusalCode, RequestRefused, RoundhouseError
from statemachines.facts import FileIdentity, LayerKind, LayerSizes, LoadedFacts, LoadKey, ModelFacts, ModelSizes
from statemachines.facts import TensorFacts as Tensor
from statemachines.snapshot import RunnerView, StateView
from statemachines.states import RunnerState, Stage
from statemachines.units import NS_PER_S, LeaseId, LoadId, RequestId, RunnerId
from statemachines.wire.messages import Delta, EndReason, Generate, LeaseEnded, Usage

WALL_AT_ZERO_NS = 1_700_000_000_000_000_000
"""The wall time of core time 0."""
USAGE = Usage(prompt_tokens=7, cached_tokens=2, prompt_ns=5_000_000, output_tokens=3, output_ns=9_000_000)

ENDED = LeaseEnded(LeaseId(0), EndReason.STOP, USAGE, context=(1, 2, 3))
NOTHING_LOADED = StateView(0, "open", (), (), (), (), (), {})


def settings(**changes: object) -> Settings:
    fields = {"models": Path("/nowhere/models"), "state": Path("/nowhere/state"), **changes}
    return Settings(**fields)  # type: ignore[arg-type]  # a test's own changes


def model(name: str = "demo:latest", **changes: object) -> StoredModel:
    stored = StoredModel(
        name=name,
        paths=(f"/nowhere/models/{name}.gguf",),
        identities=(FileIdentity(1, 2, 3, 4),),
        size_bytes=1_500_000,
        modified_ns=WALL_AT_ZERO_NS + 123_456_789,
        digest="ab" * 32,
        key=LoadKey(f"file:{name}"),
    )
    return msgspec.structs.replace(stored, **changes)


def facts(**changes: object) -> ModelFacts:
    layer = LayerSizes(LayerKind.FULL, weight_bytes=1000, repack_bytes=0, kv_elements_per_token=64)
    made = ModelFacts(
        format="gguf",
        architecture="llama",
        name="Demo",
        parameter_count=500_500_000,
        quantization="Q4_0",
        capabilities=("completion",),
        chat_template="{{ messages }}",
        sizes=ModelSizes(2000, 500, 0, (layer,), 2048, 64, 128, 4, 256),
        metadata={"general.architecture": "llama", "general.name": "Demo", "tokenizer.ggml.tokens": None},
        tensors=(Tensor("token_embd.weight", "F32", (64, 256)),),
        parts=1,
    )
    return msgspec.structs.replace(made, **changes)


def runner(number: int, **changes: object) -> RunnerView:
    view = RunnerView(
        runner=RunnerId(number),
        model="demo:latest",
        key=LoadKey("file:demo:latest"),
        load=LoadId(number),
        state=RunnerState.READY,
        stage=Stage.NONE,
        loaded=LoadedFacts(context_tokens=1024, slots=1),
        context_tokens=4096,
        fence=None,
        leases=(),
        waiters=(),
        keep_alive_ns=300 * NS_PER_S,
        expires_at=None,
        deadlines=(),
        progress_ppm=0,
        threads=1,
        mapped_bytes=1000,
        own_bytes=500,
        born_at=0,
    )
    return msgspec.structs.replace(view, **changes)


@dataclass
class Script:
    """What the next answers do.

    Attributes:
        texts: the pieces of the answer; an exception in their place is raised there.
        ended: the closing message.
        refuse: raised instead of granting a lease.
        hold: an event that the lease waits for before it is granted.
        stall: an event that the stream waits for after its last text.
    """

    texts: Sequence[str | Exception] = ("Hello", " world")
    ended: LeaseEnded = ENDED
    refuse: RoundhouseError | None = None
    hold: trio.Event | None = None
    stall: trio.Event | None = None


class FakeStore:
    """Models by name, each with its facts (or an error to raise for them).

    Attributes:
        replacements: how many more readings find that the file has been replaced meanwhile.
    """

    def __init__(self, models: dict[StoredModel, ModelFacts | Exception], *, replacements: int = 0) -> None:
        self._facts = {stored.name: found for stored, found in models.items()}
        self._models = tuple(models)
        self.with_arrays_asked = False
        self.replacements = replacements

    def models(self) -> Sequence[StoredModel]:
        return self._models

    def find(self, reference: str) -> StoredModel:
        name = parse_name(reference.strip())
        if name is None:
            raise RequestRefused(Refusal(RefusalCode.INVALID, "that is no name of a model"))
        for stored in self._models:
            if stored.name.lower() == str(name).lower():
                return stored
        raise RequestRefused(Refusal(RefusalCode.NOT_FOUND, "there is no such model"))

    async def facts(self, model: StoredModel, *, with_arrays: bool = False) -> ModelFacts:
        await trio.lowlevel.checkpoint()
        self.with_arrays_asked = with_arrays
        if self.replacements:
            self.replacements -= 1
            raise RequestRefused(Refusal(RefusalCode.MODEL_REPLACED, "its file was replaced; ask again"))
        found = self._facts[model.name]
        if isinstance(found, Exception):
            raise found
        return found


class FakeLease:
    def __init__(self, front: "FakeFront", script: Script) -> None:
        self.loaded = LoadedFacts(context_tokens=2048, slots=1)
        self.load_ns = 4_000_000
        self._front = front
        self._script = script

    async def stream(self, generate: Generate) -> AsyncIterator[Delta | LeaseEnded]:
        self._front.generated.append(generate)
        for text in self._script.texts:
            await trio.lowlevel.checkpoint()
            if isinstance(text, Exception):
                raise text
            yield Delta(LeaseId(1), text)
        if self._script.stall is not None:
            await self._script.stall.wait()
        if self._script.ended.refusal is not None:
            raise RequestRefused(self._script.ended.refusal)
        ended = self._script.ended
        yield ended if generate.with_context else msgspec.structs.replace(ended, context=())

    async def collect(self, generate: Generate) -> Answer:
        items = [item async for item in self.stream(generate)]
        ended = items.pop()
        assert isinstance(ended, LeaseEnded)
        return Answer("".join(item.text for item in items if isinstance(item, Delta)), ended)


@dataclass
class FakeFront:
    """The service as handlers see it. Everything that they asked for is kept for the test to look at."""

    settings: Settings = field(default_factory=settings)
    store: FakeStore = field(default_factory=lambda: FakeStore({model(): facts()}))
    script: Script = field(default_factory=Script)
    view: StateView = NOTHING_LOADED
    shut: Refusal | None = None
    """Why it takes no request, for `/health`."""
    engine: str = "fake 1.0"
    leased: list[tuple[str, int | None, int | None]] = field(default_factory=list)
    gpu_layers: list[int | None] = field(default_factory=list)
    """Of each lease that was asked for."""
    generated: list[Generate] = field(default_factory=list)
    stopped: list[tuple[str, bool]] = field(default_factory=list)
    requests: int = 0
    open_leases: int = 0
    asked: trio.Event = field(default_factory=trio.Event)
    """Set when a lease has been asked for."""
    left: trio.Event = field(default_factory=trio.Event)
    """Set when it is over: left, refused, or its wait given up."""

    def next_request(self) -> RequestId:
        self.requests += 1
        return RequestId(self.requests)

    def request_label(self, request: RequestId) -> str:
        return f"fake-{request}"

    @asynccontextmanager
    async def lease(
        self,
        request: RequestId,
        model: StoredModel,
        *,
        num_ctx: int | None,
        keep_alive_ns: int | None,
        gpu_layers: int | None = None,
    ) -> AsyncIterator[FakeLease]:
        self.leased.append((model.name, num_ctx, keep_alive_ns))
        self.gpu_layers.append(gpu_layers)
        self.asked.set()
        try:
            if self.script.hold is not None:
                await self.script.hold.wait()
            if self.script.refuse is not None:
                raise self.script.refuse
            with self._counted(), trio.CancelScope():  # a scope: to be left by the task that entered it
                yield FakeLease(self, self.script)
        finally:
            self.left.set()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.open_leases += 1
        try:
            yield
        finally:
            self.open_leases -= 1

    def stop(self, model: StoredModel, *, force: bool = False) -> None:
        self.stopped.append((model.name, force))

    def wall_time_ns(self, core_ns: int) -> int:
        return WALL_AT_ZERO_NS + core_ns

    def spare(self) -> SpareView:
        return SpareView("warm", 4242)

    def snapshot(self) -> StateView:
        return self.view
