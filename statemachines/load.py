"""The load machine: what requests wait for.

Theory of operation. A `Load` is one wish for a loaded model: a load key and options. It owns its claimants (the
requests that wait for it), its tries, the fences it raised, its grace and its back-off. At most one is open (WAITING
or STARTING) per load key; a request that its options cover joins it, one that they do not waits behind it.

- WAITING: it has no process; the cause is named.
- STARTING: it has an incarnation that is LOADING.
- SERVED: a READY runner covers it; closed. Its claimants are placed anew.
- FAILED: it cannot be loaded; each claimant is refused with the same error.
- WITHDRAWN: nobody wants it any more, or it was ordered away; claimants, if any, are refused.

An incarnation that leaves LOADING other than to READY tells its load exactly once, in that step (`AttemptLost` or
`LoadRefused`). A load without claimants lives on for a grace while STARTING, because clients come back; it gives way
at once to a load that somebody wants.

Invariants: an open load has a claimant or a grace deadline; a WAITING load always has a claimant; a STARTING load has
exactly one incarnation.
"""

from enum import StrEnum

from statemachines.causes import PLANNING, Cause, Wait
from statemachines.deadlines import DeadlineName
from statemachines.entities import Load, Runner
from statemachines.errors import Refusal
from statemachines.states import LoadState
from statemachines.step import Step
from statemachines.table import Table, go, ignore, illegal, stay


class LoadTrigger(StrEnum):
    CLAIMED = "Claimed"
    ABANDONED = "Abandoned"
    STARTED = "Started"
    LOADED = "Loaded"
    COVERED = "Covered"
    ATTEMPT_LOST = "AttemptLost"
    LOAD_REFUSED = "LoadRefused"
    GRACE_EXPIRED = "GraceExpired"
    BACKOFF_EXPIRED = "BackoffExpired"
    YIELDED = "Yielded"
    FORCED = "Forced"
    DEVICE_LOST = "DeviceLost"


# Guards


def is_unclaimed(load: Load) -> bool:
    return not load.claimants


def may_try_again(load: Load) -> bool:
    return bool(load.claimants) and load.attempts < load.attempts_max


# Actions


def start(load: Load, _step: Step, runner: Runner) -> None:
    load.runner = runner
    load.attempts += 1


def welcome(load: Load, step: Step, _fact: object) -> None:
    step.disarm(DeadlineName.GRACE, load.id)


def begin_grace(load: Load, step: Step, _fact: object) -> None:
    step.arm(DeadlineName.GRACE, load.id, step.limits.load_grace_ns)


def back_off(load: Load, step: Step, _failure: Refusal) -> None:
    load.runner = None
    load.wait = Wait(Cause.BACKOFF, until=step.at + step.limits.retry_backoff_ns)
    step.arm(DeadlineName.BACKOFF, load.id, step.limits.retry_backoff_ns)


def plan_again(load: Load, _step: Step, _fact: object) -> None:
    load.runner = None
    load.wait = PLANNING


def close(load: Load, step: Step, _fact: object) -> None:
    load.runner = None
    step.disarm(DeadlineName.GRACE, load.id)
    step.disarm(DeadlineName.BACKOFF, load.id)


def close_with(load: Load, step: Step, failure: Refusal) -> None:
    """Close, and remember what the claimants are told."""
    load.failure = failure
    close(load, step, None)


S = LoadState
T = LoadTrigger

_CLOSED = ignore("closed already: late or doubled")
_NOT_OPEN = illegal("a closed load has nothing left to do")

#        WAITING, STARTING, SERVED, FAILED, WITHDRAWN
LOAD = Table(
    "load",
    LoadState,
    LoadTrigger,
    {
        T.CLAIMED: (
            stay("one more request wants it"),
            stay("wanted, again or by one more", action=welcome),
            _NOT_OPEN,
            _NOT_OPEN,
            _NOT_OPEN,
        ),
        T.ABANDONED: (
            go(S.WITHDRAWN, "its last claimant left before it had a process", action=close),
            stay("its last claimant left: it lives on for its grace", action=begin_grace),
            _NOT_OPEN,
            _NOT_OPEN,
            _NOT_OPEN,
        ),
        T.STARTED: (
            go(S.STARTING, "its bytes and its place are there", action=start),
            illegal("it has an incarnation already"),
            _NOT_OPEN,
            _NOT_OPEN,
            _NOT_OPEN,
        ),
        T.LOADED: (
            illegal("it has no incarnation"),
            go(S.SERVED, "its runner is READY", action=close),
            _NOT_OPEN,
            _NOT_OPEN,
            _NOT_OPEN,
        ),
        T.COVERED: (
            go(S.SERVED, "a READY runner has come to cover it", action=close),
            illegal("its own incarnation is LOADING: nobody else can be READY"),
            _NOT_OPEN,
            _NOT_OPEN,
            _NOT_OPEN,
        ),
        T.ATTEMPT_LOST: (
            illegal("it has no incarnation"),
            (
                go(S.WAITING, "its process failed: one more try after a pause", action=back_off, when=may_try_again),
                go(S.WITHDRAWN, "its process failed, and nobody wants it any more", action=close, when=is_unclaimed),
                go(S.FAILED, "its process failed, and no try is left", action=close_with),
            ),
            _CLOSED,
            _CLOSED,
            _CLOSED,
        ),
        T.LOAD_REFUSED: (
            go(S.FAILED, "it can never fit", action=close_with),
            go(S.FAILED, "its runner cannot load it, and would not the next time", action=close_with),
            _CLOSED,
            _CLOSED,
            _CLOSED,
        ),
        T.GRACE_EXPIRED: (
            ignore("stale: it has no process to end"),
            (
                go(S.WITHDRAWN, "nobody came back for it", action=close, when=is_unclaimed),
                ignore("stale: somebody wants it again"),
            ),
            _CLOSED,
            _CLOSED,
            _CLOSED,
        ),
        T.BACKOFF_EXPIRED: (
            stay("the pause is over", action=plan_again),
            ignore("stale: it has started"),
            _CLOSED,
            _CLOSED,
            _CLOSED,
        ),
        T.YIELDED: (
            illegal("it holds nothing that it could yield"),
            (
                go(S.WITHDRAWN, "nobody wants it, and somebody wants its place", action=close, when=is_unclaimed),
                illegal("a load that somebody wants does not yield"),
            ),
            _NOT_OPEN,
            _NOT_OPEN,
            _NOT_OPEN,
        ),
        T.FORCED: (
            go(S.WITHDRAWN, "ordered away", action=close_with),
            go(S.WITHDRAWN, "ordered away", action=close_with),
            _CLOSED,
            _CLOSED,
            _CLOSED,
        ),
        T.DEVICE_LOST: (
            stay("planned anew without the lost device", action=plan_again),
            (
                go(S.WITHDRAWN, "its device is lost, and nobody wants it", action=close, when=is_unclaimed),
                go(S.WAITING, "its device is lost: planned anew, and not counted as a try", action=plan_again),
            ),
            _CLOSED,
            _CLOSED,
            _CLOSED,
        ),
    },
)
