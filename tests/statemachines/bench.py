"""A bench for the core: builds events with sensible defaults, keeps time, and remembers what came out."""

from typing import TypeVar

from statemachines import effects, events
from statemachines.effects import AnyEffect
from statemachines.facts import (
    AllocationReport,
    DeviceBytes,
    LayerKind,
    LayerSizes,
    LoadedFacts,
    LoadFailure,
    LoadKey,
    LoadOptions,
    ModelSizes,
)
from statemachines.limits import Limits
from statemachines.memory import host_need
from statemachines.scheduler import Scheduler
from statemachines.snapshot import LoadView, RequestView, RunnerView
from statemachines.units import GIB, HOST, MIB, NS_PER_S, LeaseId, RequestId, RunnerId

E = TypeVar("E", bound=AnyEffect)


def sizes(weight_bytes: int = 100 * MIB) -> ModelSizes:
    """A small two-layer model whose weights are ``weight_bytes``."""
    layer = LayerSizes(LayerKind.FULL, weight_bytes // 4, 0, 1024)
    return ModelSizes(
        file_bytes=weight_bytes,
        shared_weight_bytes=weight_bytes // 2,
        shared_repack_bytes=0,
        layers=(layer, layer),
        context_tokens_max=32768,
        embedding_length=64,
        feed_forward_length=128,
        head_count=4,
        vocab_size=1000,
    )


def need_bytes(weight_bytes: int, context_tokens: int = 4096) -> int:
    """What the core plans for such a model [bytes]."""
    return host_need(sizes(weight_bytes), LoadOptions(context_tokens)).total_bytes


class Bench:
    """A strict scheduler with a clock of its own.

    Args:
        memory_bytes: total and free memory of the host.
    """

    def __init__(
        self, *, memory_bytes: int = 64 * GIB, is_open: bool = True, strict: bool = True, **limits: int
    ) -> None:
        self.limits = Limits(**limits)
        self.core = Scheduler(self.limits, strict=strict)
        self.at = NS_PER_S
        self.out: list[AnyEffect] = []
        self.last: tuple[AnyEffect, ...] = ()
        self._requests = 0
        self.sample(memory_bytes)
        if is_open:
            self.give(events.ServiceOpened())

    def give(self, event: events.Event) -> tuple[AnyEffect, ...]:
        """Hand the event to the core at the bench's time."""
        stamped = type(event)(**{name: getattr(event, name) for name in event.__struct_fields__} | {"at": self.at})
        self.last = self.core.handle(stamped)
        self.out.extend(self.last)
        return self.last

    # Events

    def sample(self, free_bytes: int, total_bytes: int | None = None) -> None:
        total = free_bytes if total_bytes is None else total_bytes
        self.give(events.DevicesSampled(samples=(events.DeviceSample(HOST, total, free_bytes, "bench"),)))

    def ask(
        self,
        model: str = "a",
        *,
        weight_bytes: int = 100 * MIB,
        num_ctx: int | None = None,
        keep_alive_ns: int | None = None,
        wanted: LoadOptions | None = None,
    ) -> RequestId:
        """A request arrives."""
        self._requests += 1
        request = RequestId(self._requests)
        options = wanted or LoadOptions(num_ctx or 4096, context_is_automatic=num_ctx is None)
        self.give(
            events.RequestArrived(
                request=request,
                model=model,
                key=key_of(model),
                wanted=options,
                sizes=sizes(weight_bytes),
                keep_alive_ns=keep_alive_ns,
            )
        )
        return request

    def finish(self, request: RequestId) -> None:
        self.give(events.RequestFinished(request=request))

    def load(
        self, runner: RunnerId, *, context_tokens: int | None = None, slots: int = 1, report: bool = False
    ) -> None:
        """The runner's model is loaded with what was ordered."""
        spawn = self.spawned(runner)
        context = context_tokens or spawn.options.context_tokens
        self.give(
            events.ModelLoaded(
                runner=runner,
                loaded=LoadedFacts(context, slots, cache_type=spawn.options.cache_type),
                report=AllocationReport((DeviceBytes("CPU", mapped_bytes=MIB, kv_bytes=MIB),) if report else ()),
            )
        )

    def fail_load(self, runner: RunnerId, kind: LoadFailure = LoadFailure.ENGINE) -> None:
        self.give(events.LoadFailed(runner=runner, kind=kind, message="cannot"))

    def exit(self, runner: RunnerId, status: int = 0, *, was_out_of_memory: bool = False) -> None:
        self.give(events.ProcessExited(runner=runner, exit=events.Exit(status, was_out_of_memory)))

    def end(
        self,
        lease: LeaseId,
        outcome: events.LeaseOutcome = events.LeaseOutcome.FINISHED,
        *,
        sent: bool = True,
        runner: RunnerId | None = None,
    ) -> None:
        """A lease ends by the runner's word."""
        where = self.granted(lease).runner if runner is None else runner
        self.give(events.LeaseEnded(runner=where, lease=lease, outcome=outcome, sent=sent))

    def answer(self, request: RequestId) -> None:
        """A leased request is answered and finished."""
        self.end(self.lease_of(request))
        self.finish(request)

    def ready(self, model: str = "a", **ask: int | None) -> RunnerId:
        """A READY, idle runner of a model."""
        request = self.ask(model, **ask)  # type: ignore[arg-type]  # the keywords of `ask`
        runner = self.last_spawn().runner
        self.load(runner)
        self.answer(request)
        return runner

    def pass_time(self, duration_ns: int) -> None:
        """Let time pass, waking the core at each deadline on the way."""
        end = self.at + duration_ns
        while (due := self.core.next_deadline()) is not None and due <= end:
            self.at = max(self.at, due)
            self.give(events.DeadlineReached())
        self.at = end

    # What came out

    def all(self, kind: type[E]) -> list[E]:
        return [effect for effect in self.out if isinstance(effect, kind)]

    def now(self, kind: type[E]) -> list[E]:
        """Effects of this kind in the last step."""
        return [effect for effect in self.last if isinstance(effect, kind)]

    def last_spawn(self) -> effects.SpawnRunner:
        return self.all(effects.SpawnRunner)[-1]

    def spawned(self, runner: RunnerId) -> effects.SpawnRunner:
        return next(effect for effect in self.all(effects.SpawnRunner) if effect.runner == runner)

    def granted(self, lease: LeaseId) -> effects.GrantLease:
        return next(effect for effect in self.all(effects.GrantLease) if effect.lease == lease)

    def lease_of(self, request: RequestId) -> LeaseId:
        """The newest lease of a request."""
        return [effect for effect in self.all(effects.GrantLease) if effect.request == request][-1].lease

    def refusal_of(self, request: RequestId) -> effects.Refusal:
        """The one refusal of a request."""
        (effect,) = [effect for effect in self.all(effects.RefuseRequest) if effect.request == request]
        return effect.refusal

    # What is

    def runner(self, runner: RunnerId) -> RunnerView:
        view = self.core.snapshot()
        return next(found for found in (*view.runners, *view.dead) if found.runner == runner)

    def request(self, request: RequestId) -> RequestView:
        return next(found for found in self.core.snapshot().requests if found.request == request)

    def cause(self, request: RequestId) -> str:
        found = self.request(request).cause
        return "" if found is None else found.cause

    def open_load(self, model: str) -> LoadView:
        return next(found for found in self.core.snapshot().loads if found.model == model)


def key_of(model: str) -> LoadKey:
    return LoadKey(f"file:{model}")
