"""The runner machine: one object per incarnation, born LOADING, ends DEAD, never reborn.

Theory of operation. A `Runner` owns what the core knows of one process: what it loads, its leases, its fence, its
keep-alive, and how far its stopping has gone. A reload is a new object with a new id, and every event about a runner
carries its id; so a late or doubled event meets a runner that is past caring, and two unloads of one model cannot
touch the runner that came after.

- LOADING: the process was ordered (or taken from the spare) and weights are coming in.
- READY: grants leases up to its slots. While it has one, its wedge deadline runs, and every proof of work moves it.
  With a *fence* it grants nothing new; when its last lease ends while the fence stands, it is unloaded in that step.
  Without leases its idle deadline runs.
- UNLOADING: the process is being stopped, by the rungs of `Stage`: drain, terminate, kill, and at the end
  unreapable. Never becomes READY again.
- DEAD: reaped, or never spawned.

Invariants: leases only in READY and UNLOADING; never more leases than slots; a fence only in READY; every stage of
UNLOADING but the last has a deadline; while it may work on a lease it is watched.

What it ignores and why stands in the cells.
"""

from enum import StrEnum

from statemachines.deadlines import DeadlineName
from statemachines.effects import CancelLease, KillRunner, SampleDevices, TerminateRunner
from statemachines.entities import Runner
from statemachines.errors import Refusal
from statemachines.events import ModelLoaded
from statemachines.states import RunnerState, Stage
from statemachines.step import Step
from statemachines.table import Table, go, ignore, illegal, stay
from statemachines.units import FOREVER_NS, LoadId


class RunnerTrigger(StrEnum):
    SPAWN_FAILED = "SpawnFailed"
    MODEL_LOADED = "ModelLoaded"
    LOAD_FAILED = "LoadFailed"
    LOAD_STALLED = "LoadStalled"
    LINK_LOST = "LinkLost"
    PROCESS_EXITED = "ProcessExited"
    LEASE_GRANTED = "LeaseGranted"
    LEASE_ENDED = "LeaseEnded"
    VICTIM_CHOSEN = "VictimChosen"
    GRACE_EXPIRED = "GraceExpired"
    IDLE_EXPIRED = "IdleExpired"
    FENCE_RAISED = "FenceRaised"
    FENCE_DROPPED = "FenceDropped"
    OPERATOR_STOP = "OperatorStop"
    OPERATOR_STOP_FORCED = "OperatorStopForced"
    WEDGED = "Wedged"
    DEVICE_LOST = "DeviceLost"
    SHUTDOWN_ORDERED = "ShutdownOrdered"
    SHUTDOWN_FORCED = "ShutdownForced"
    DRAIN_LIMIT = "DrainLimit"
    TERM_LIMIT = "TermLimit"
    KILL_LIMIT = "KillLimit"


# Guards


def is_idle(runner: Runner) -> bool:
    """No lease, and nobody waits for one."""
    return not runner.leases and not runner.waiters


def has_no_lease(runner: Runner) -> bool:
    return not runner.leases


def is_unclaimed(runner: Runner) -> bool:
    """Nobody wants the load that it is LOADING for."""
    return not runner.load.claimants


def is_fenced_and_leaseless(runner: Runner) -> bool:
    return runner.fence is not None and not runner.leases


def may_grant(runner: Runner) -> bool:
    """Unfenced; the lease that is granted is already counted."""
    return runner.loaded is not None and runner.fence is None and len(runner.leases) <= runner.loaded.slots


def is_draining_and_leaseless(runner: Runner) -> bool:
    return runner.stage is Stage.DRAINING and not runner.leases


def is_draining(runner: Runner) -> bool:
    return runner.stage is Stage.DRAINING


def is_before_kill(runner: Runner) -> bool:
    return runner.stage in (Stage.DRAINING, Stage.TERMINATING)


def is_terminating(runner: Runner) -> bool:
    return runner.stage is Stage.TERMINATING


def is_killing(runner: Runner) -> bool:
    return runner.stage is Stage.KILLING


# Actions


def become_ready(runner: Runner, step: Step, fact: ModelLoaded) -> None:
    step.disarm(DeadlineName.STALL, runner.id)
    runner.loaded = fact.loaded
    arm_idle(runner, step)


def arm_idle(runner: Runner, step: Step, _fact: object = None) -> None:
    """The idle deadline runs from now on, unless the keep-alive never ends."""
    runner.idle_since = step.at
    if runner.keep_alive_ns < FOREVER_NS:
        step.arm(DeadlineName.IDLE, runner.id, runner.keep_alive_ns)
    else:
        step.disarm(DeadlineName.IDLE, runner.id)


def begin_work(runner: Runner, step: Step, _fact: object) -> None:
    """The first lease ends idleness; from then on work must show."""
    runner.idle_since = None
    step.disarm(DeadlineName.IDLE, runner.id)
    if len(runner.leases) == 1:
        step.arm(DeadlineName.WEDGE, runner.id, step.limits.wedge_ns)


def end_work(runner: Runner, step: Step, _fact: object) -> None:
    step.disarm(DeadlineName.WEDGE, runner.id)
    arm_idle(runner, step)


def keep_no_longer(runner: Runner, step: Step, _fact: object) -> None:
    """Keep-alive 0: unloaded as soon as it is idle; whoever came before this has no say in it any more."""
    runner.keep_alive_ns = 0
    runner.stopped_at_step = step.number
    if runner.state is RunnerState.READY and not runner.leases:
        arm_idle(runner, step)


def raise_fence(runner: Runner, _step: Step, load: LoadId) -> None:
    runner.fence = load


def drop_fence(runner: Runner, _step: Step, _fact: object) -> None:
    runner.fence = None


def terminate(runner: Runner, step: Step, _fact: object) -> None:
    _leave_for(runner, step, Stage.TERMINATING)
    step.emit(TerminateRunner(runner.id))
    step.arm(DeadlineName.TERM, runner.id, step.limits.stop_grace_ns)


def kill(runner: Runner, step: Step, _fact: object) -> None:
    _leave_for(runner, step, Stage.KILLING)
    step.emit(KillRunner(runner.id))
    step.arm(DeadlineName.KILL, runner.id, step.limits.kill_grace_ns)


def kill_wedged(runner: Runner, step: Step, refusal: Refusal | None) -> None:
    runner.lost_as = refusal
    kill(runner, step, None)


def kill_by_order(runner: Runner, step: Step, refusal: Refusal) -> None:
    runner.ordered = refusal
    kill(runner, step, None)


def note_order(runner: Runner, _step: Step, refusal: Refusal) -> None:
    runner.ordered = refusal


def drain_for_operator(runner: Runner, step: Step, refusal: Refusal) -> None:
    runner.ordered = refusal
    _drain(runner, step, step.limits.drain_ns)


def drain_for_shutdown(runner: Runner, step: Step, refusal: Refusal) -> None:
    runner.ordered = refusal
    _drain(runner, step, step.limits.shutdown_drain_ns)


def shorten_drain(runner: Runner, step: Step, refusal: Refusal) -> None:
    """Shutdown waits for nobody's longer limit, and nothing is tried again."""
    runner.ordered = refusal
    limit = step.at + step.limits.shutdown_drain_ns
    due = step.deadlines.due_at(DeadlineName.DRAIN, runner.id)
    if due is not None and due > limit:
        step.deadlines.arm(DeadlineName.DRAIN, runner.id, limit)


def end_drain(runner: Runner, step: Step, _fact: object) -> None:
    """Whoever still has a lease loses it."""
    for lease in runner.leases:
        step.emit(CancelLease(lease, runner.id))
    terminate(runner, step, None)


def give_up(runner: Runner, step: Step, _fact: object) -> None:
    """SIGKILL did not end it: only the operating system still can."""
    _leave_for(runner, step, Stage.UNREAPABLE)


def bury(runner: Runner, step: Step, _fact: object) -> None:
    _leave_for(runner, step, Stage.NONE)
    step.emit(SampleDevices())


def _drain(runner: Runner, step: Step, limit_ns: int) -> None:
    if not runner.leases:
        terminate(runner, step, None)
        return
    _leave_for(runner, step, Stage.DRAINING)
    step.arm(DeadlineName.DRAIN, runner.id, limit_ns)


_OWN_DEADLINES = (
    DeadlineName.STALL,
    DeadlineName.IDLE,
    DeadlineName.DRAIN,
    DeadlineName.TERM,
    DeadlineName.KILL,
)


def _leave_for(runner: Runner, step: Step, stage: Stage) -> None:
    """From here on only this stage's deadline counts, and no fence matters."""
    runner.stage = stage
    runner.fence = None
    runner.idle_since = None
    for name in _OWN_DEADLINES:
        step.disarm(name, runner.id)
    if stage is not Stage.DRAINING:  # Who drains still works.
        step.disarm(DeadlineName.WEDGE, runner.id)


S = RunnerState
T = RunnerTrigger

_DEAD = ignore("the incarnation is dead: late or doubled")
_LATE = ignore("it is being stopped already: too late to matter")
_NO_LEASES_YET = illegal("a runner that is LOADING has no lease")
_BURY = go(S.DEAD, "reaped", action=bury)
_KILL = go(S.UNLOADING, "killed", action=kill)
_KILL_WEDGED = go(S.UNLOADING, "it cannot be trusted: killed", action=kill_wedged)
_KILLED_ALREADY = ignore("it is being killed already, and its deadline stands")
_KILL_NOW = (stay("killed at once", action=kill, when=is_before_kill), _KILLED_ALREADY)
_KILL_BY_ORDER_NOW = (
    stay("killed at once", action=kill_by_order, when=is_before_kill),
    stay("it is being killed already, and its deadline stands", action=note_order),
)

#        LOADING, READY, UNLOADING, DEAD
RUNNER = Table(
    "runner",
    RunnerState,
    RunnerTrigger,
    {
        T.SPAWN_FAILED: (
            go(S.DEAD, "no process came to be", action=bury),
            illegal("a runner that is READY was spawned"),
            go(S.DEAD, "no process came to be", action=bury),
            _DEAD,
        ),
        T.MODEL_LOADED: (
            go(S.READY, "the model is loaded", action=become_ready),
            ignore("doubled: it is READY already"),
            _LATE,
            _DEAD,
        ),
        T.LOAD_FAILED: (_KILL, ignore("stale: it has loaded"), _LATE, _DEAD),
        T.LOAD_STALLED: (_KILL, ignore("stale: it has loaded"), _LATE, _DEAD),
        T.LINK_LOST: (_KILL, _KILL, _KILL_NOW, _DEAD),
        T.PROCESS_EXITED: (_BURY, _BURY, _BURY, _DEAD),
        T.LEASE_GRANTED: (
            _NO_LEASES_YET,
            (stay("one slot is taken", action=begin_work, when=may_grant), illegal("no free slot, or fenced")),
            illegal("a runner that is being stopped grants nothing"),
            illegal("a dead runner grants nothing"),
        ),
        T.LEASE_ENDED: (
            _NO_LEASES_YET,
            (
                go(
                    S.UNLOADING,
                    "its last lease ended and its fence stands",
                    action=terminate,
                    when=is_fenced_and_leaseless,
                ),
                stay("idle: the keep-alive runs", action=end_work, when=has_no_lease),
                stay("other leases go on"),
            ),
            (
                stay("drained", action=terminate, when=is_draining_and_leaseless),
                stay("other leases go on, or the process is being ended anyway"),
            ),
            _DEAD,
        ),
        T.VICTIM_CHOSEN: (
            (
                go(
                    S.UNLOADING,
                    "nobody wants its load, and its bytes or its place are needed",
                    action=terminate,
                    when=is_unclaimed,
                ),
                illegal("a runner that somebody waits for is never a victim"),
            ),
            (
                go(S.UNLOADING, "idle, and its bytes or its place are needed", action=terminate, when=is_idle),
                illegal("a runner with a lease is never a victim"),
            ),
            illegal("it is leaving already"),
            illegal("it is gone already"),
        ),
        T.GRACE_EXPIRED: (
            (
                go(S.UNLOADING, "nobody came back for its load", action=terminate, when=is_unclaimed),
                ignore("stale: somebody wants it again"),
            ),
            ignore("stale: it has loaded"),
            _LATE,
            _DEAD,
        ),
        T.IDLE_EXPIRED: (
            ignore("stale: it is LOADING"),
            (
                go(S.UNLOADING, "idle for as long as its keep-alive", action=terminate, when=is_idle),
                ignore("stale: it is busy"),
            ),
            _LATE,
            _DEAD,
        ),
        T.FENCE_RAISED: (
            illegal("a load in progress is not fenced"),
            (
                go(S.UNLOADING, "idle when the fence went up", action=terminate, when=has_no_lease),
                stay("grants nothing new", action=raise_fence),
            ),
            illegal("it is leaving already"),
            illegal("it is gone already"),
        ),
        T.FENCE_DROPPED: (
            illegal("a load in progress is not fenced"),
            stay("grants again", action=drop_fence),
            _LATE,
            _DEAD,
        ),
        T.OPERATOR_STOP: (
            stay("will leave when idle", action=keep_no_longer),
            stay("leaves when idle", action=keep_no_longer),
            _LATE,
            _DEAD,
        ),
        T.OPERATOR_STOP_FORCED: (
            go(S.UNLOADING, "stopped by force", action=kill_by_order),
            go(S.UNLOADING, "stopped by force: leases get a limit", action=drain_for_operator),
            _KILL_BY_ORDER_NOW,
            _DEAD,
        ),
        T.WEDGED: (
            _KILL_WEDGED,
            _KILL_WEDGED,
            (stay("it cannot be trusted: killed at once", action=kill_wedged, when=is_before_kill), _KILLED_ALREADY),
            _DEAD,
        ),
        T.DEVICE_LOST: (_KILL, _KILL, _KILL_NOW, _DEAD),
        T.SHUTDOWN_ORDERED: (
            go(S.UNLOADING, "the service stops", action=kill_by_order),
            go(S.UNLOADING, "the service stops: leases get a limit", action=drain_for_shutdown),
            stay("the service stops", action=shorten_drain),
            _DEAD,
        ),
        T.SHUTDOWN_FORCED: (
            go(S.UNLOADING, "the service stops at once", action=kill_by_order),
            go(S.UNLOADING, "the service stops at once", action=kill_by_order),
            _KILL_BY_ORDER_NOW,
            _DEAD,
        ),
        T.DRAIN_LIMIT: (
            ignore("stale: it is not draining"),
            ignore("stale: it is not draining"),
            (stay("the drain limit is over", action=end_drain, when=is_draining), ignore("stale: it is not draining")),
            _DEAD,
        ),
        T.TERM_LIMIT: (
            ignore("stale: nobody asked it to end"),
            ignore("stale: nobody asked it to end"),
            (stay("did not end by itself", action=kill, when=is_terminating), ignore("stale: it was killed meanwhile")),
            _DEAD,
        ),
        T.KILL_LIMIT: (
            ignore("stale: nobody killed it"),
            ignore("stale: nobody killed it"),
            (stay("unreapable: SIGKILL did not end it", action=give_up, when=is_killing), ignore("stale")),
            _DEAD,
        ),
    },
)
