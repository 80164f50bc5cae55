"""How the end of an incarnation that was still LOADING reads to its load, and other refusals in words."""

from statemachines.entities import Load, Runner
from statemachines.errors import RETRY_AFTER_S, Refusal, RefusalCode
from statemachines.events import Exit, LinkLost, LoadFailed, MemoryBound, ProcessExited, SpawnFailed
from statemachines.facts import LoadFailure
from statemachines.lifecycle import Service, ServiceState
from statemachines.load import LoadTrigger
from statemachines.runner import RunnerTrigger
from statemachines.units import format_bytes, format_duration, whole_seconds

RESTART_S = 1
"""What a start takes [s]."""

TOLD_AS: dict[RunnerTrigger, LoadTrigger] = {
    RunnerTrigger.SPAWN_FAILED: LoadTrigger.ATTEMPT_LOST,
    RunnerTrigger.PROCESS_EXITED: LoadTrigger.ATTEMPT_LOST,
    RunnerTrigger.LINK_LOST: LoadTrigger.ATTEMPT_LOST,
    RunnerTrigger.WEDGED: LoadTrigger.ATTEMPT_LOST,
    RunnerTrigger.LOAD_FAILED: LoadTrigger.LOAD_REFUSED,
    RunnerTrigger.LOAD_STALLED: LoadTrigger.LOAD_REFUSED,
    RunnerTrigger.GRACE_EXPIRED: LoadTrigger.GRACE_EXPIRED,
    RunnerTrigger.VICTIM_CHOSEN: LoadTrigger.YIELDED,
    RunnerTrigger.OPERATOR_STOP_FORCED: LoadTrigger.FORCED,
    RunnerTrigger.SHUTDOWN_ORDERED: LoadTrigger.FORCED,
    RunnerTrigger.SHUTDOWN_FORCED: LoadTrigger.FORCED,
    RunnerTrigger.DEVICE_LOST: LoadTrigger.DEVICE_LOST,
}
"""Every trigger that takes a runner out of LOADING other than to READY, and what its load hears."""


def told(runner: Runner, trigger: RunnerTrigger, fact: object) -> tuple[LoadTrigger, Refusal]:
    """What the load of ``runner`` hears: its trigger, and the refusal for its claimants if that closes it."""
    if runner.ordered is not None:
        return TOLD_AS[trigger], runner.ordered
    if isinstance(fact, ProcessExited) and fact.exit.was_out_of_memory:
        return LoadTrigger.LOAD_REFUSED, out_of_memory(runner.load, fact.exit.bound)
    return TOLD_AS[trigger], _refusal(runner.load, fact)


def _refusal(load: Load, fact: object) -> Refusal:
    match fact:
        case LoadFailed(kind=LoadFailure.OUT_OF_MEMORY, bound=bound):
            return out_of_memory(load, bound)
        case LoadFailed(kind=LoadFailure.REPLACED):
            return REPLACED
        case LoadFailed(message=message):
            return Refusal(RefusalCode.LOAD_FAILED, f"the model could not be loaded: {message}")
        case ProcessExited(exit=exit):
            return _failed(f"its runner ended while loading ({how_it_ended(exit)}); the server's log says more")
        case SpawnFailed():
            return _failed("no runner process could be started; the server's log says why")
        case LinkLost():
            return _failed("its runner stopped talking to the server while loading; the server's log says more")
        case _:
            return _failed("loading made no progress for as long as it may (setting load_stall_s)")


def _failed(what: str) -> Refusal:
    return Refusal(RefusalCode.LOAD_FAILED, f"the model could not be loaded: {what}")


def how_it_ended(exit: Exit) -> str:
    """An exit status in words."""
    return f"signal {-exit.status}" if exit.status < 0 else f"exit status {exit.status}"


def out_of_memory(load: Load, bound: MemoryBound | None) -> Refusal:
    """Memory ran out although the plan said it fits: what was planned, what there was, and who may have said less."""
    needs = f"the model needs about {format_bytes(load.need.total_bytes)} of memory ({load.need.words()})"
    had = f"{format_bytes(load.room_bytes)} were free for it when its load began, and memory ran out all the same"
    return Refusal(RefusalCode.OUT_OF_MEMORY, f"{needs}; {had}{_held(bound)}; {_TAKE_LESS}")


def out_of_memory_while_answering(load: Load, bound: MemoryBound | None) -> Refusal:
    """Memory ran out under a model that had been loaded: what it was planned to hold, and who may have said less."""
    holds = f"it holds about {format_bytes(load.need.total_bytes)} ({load.need.words()})"
    what = "memory ran out while the model answered, and its runner was ended"
    return Refusal(RefusalCode.OUT_OF_MEMORY, f"{what}: {holds}{_held(bound)}; {_TAKE_LESS}")


_TAKE_LESS = "ask for a smaller num_ctx, choose a smaller model, or free memory on the server"


def _held(bound: MemoryBound | None) -> str:
    return f": its process may have at most {format_bytes(bound.limit_bytes)}, a limit {bound.kind}" if bound else ""


def never_fits(load: Load, capacity_bytes: int, budget_bytes: int) -> Refusal:
    """More than the machine could give with every other model unloaded (rules 2 and 10).

    Another try may succeed when it is others' memory that is missing, and not the machine's.
    """
    is_for_good = load.need.total_bytes > budget_bytes
    return Refusal(
        RefusalCode.TOO_LARGE,
        f"the model needs {format_bytes(load.need.total_bytes)} of memory ({load.need.words()}), and at most "
        f"{format_bytes(max(0, capacity_bytes))} can be had with every other model unloaded; ask for a smaller "
        "num_ctx, choose a smaller model, or free memory on the server",
        None if is_for_good else RETRY_AFTER_S[RefusalCode.OUT_OF_MEMORY],
    )


def waited_too_long(wait_ns: int, words: str, left_ns: int | None) -> Refusal:
    """A request reached its own deadline; it is told what it waited for (rule 5).

    Args:
        left_ns: when what it waited for ends by itself, if that is known.
    """
    return Refusal(
        RefusalCode.WAITED_TOO_LONG,
        f"the request waited {format_duration(wait_ns)}, the longest it may (setting wait_s): {words}",
        None if left_ns is None else whole_seconds(left_ns),
    )


def wedged(wedge_ns: int) -> Refusal:
    """A busy runner got nothing done (rule 15)."""
    return Refusal(
        RefusalCode.RUNNER_WEDGED,
        f"the model's runner got nothing done for {format_duration(wedge_ns)}, the longest it may (setting wedge_s), "
        "and was ended; send the request again",
    )


def draining(left_ns: int) -> Refusal:
    """The service is about to end.

    Args:
        left_ns: until it has ended at the latest; whoever starts it again needs a moment more.
    """
    return Refusal(
        RefusalCode.DRAINING,
        "the server is shutting down; send the request again when it is back",
        whole_seconds(left_ns) + RESTART_S,
    )


def closed(service: Service, at: int) -> Refusal | None:
    """Why no request is taken at this moment; None while the service is open."""
    if service.state is ServiceState.STARTING:
        return STARTING
    return None if service.state is ServiceState.OPEN else draining(service.gone_by - at)


REPLACED = Refusal(
    RefusalCode.MODEL_REPLACED,
    "the model's file was replaced or removed while the request waited; send the request again",
)
STOPPED_BY_OPERATOR = Refusal(
    RefusalCode.STOPPED_BY_OPERATOR,
    "the model was stopped by an operator of this server; send the request again to load it anew",
)
STARTING = Refusal(RefusalCode.NOT_READY, "the server is still starting; send the request again in a moment")
