"""The request machine: WAITING -> LEASED -> RELEASING -> DONE.

Theory of operation. Two facts end a request, not one, and they come in either order: `LeaseEnded` frees the slot,
`RequestFinished` (from the handler) closes the request. RELEASING is the time between them: either the handler is
done and the runner has been told to stop (`lease` is set), or the lease is over and the handler is still writing
(`lease` is None).

A lease that was lost before anything reached the client goes back to WAITING once; after that, or when we stopped the
runner on purpose, the request is told why. A handler that is not done always hears from the core after a lost lease:
a second grant, or a refusal.

Invariant: exactly the LEASED requests, and the RELEASING ones whose lease is set, hold a slot.
"""

from enum import StrEnum

from statemachines.deadlines import DeadlineName
from statemachines.effects import CancelLease, GrantLease, RefuseRequest
from statemachines.entities import Request, Runner
from statemachines.errors import Refusal, RefusalCode
from statemachines.events import LeaseEnded, LeaseOutcome
from statemachines.failures import out_of_memory_while_answering
from statemachines.states import RequestState
from statemachines.step import Step
from statemachines.table import Table, go, ignore, illegal
from statemachines.units import LeaseId


class RequestTrigger(StrEnum):
    GRANTED = "Granted"
    REFUSED = "Refused"
    WAIT_EXPIRED = "WaitExpired"
    LEASE_ENDED = "LeaseEnded"
    LEASE_LOST = "LeaseLost"
    FINISHED = "Finished"


# Guards


def is_lease_over(request: Request) -> bool:
    return request.lease is None


def may_retry(request: Request) -> bool:
    """Lost for the first time, with nothing sent, and not because we stopped its runner on purpose."""
    assert request.runner is not None
    return request.is_unsent and not request.is_retried and request.runner.ordered is None


# Actions


def take_lease(request: Request, step: Step, lease: LeaseId) -> None:
    assert request.runner is not None
    request.lease = lease
    request.granted_at = step.at
    step.disarm(DeadlineName.WAIT, request.id)
    step.emit(GrantLease(request.id, lease, request.runner.id, request.waited_load))


def refuse(request: Request, step: Step, refusal: Refusal) -> None:
    step.disarm(DeadlineName.WAIT, request.id)
    step.emit(RefuseRequest(request.id, refusal))


def leave(request: Request, step: Step, _fact: object) -> None:
    step.disarm(DeadlineName.WAIT, request.id)


def cancel_lease(request: Request, step: Step, _fact: object) -> None:
    assert request.runner is not None
    assert request.lease is not None
    request.cancel_step = request.runner.engine_step
    step.emit(CancelLease(request.lease, request.runner.id))
    step.arm(DeadlineName.CANCEL_ACK, request.lease, step.limits.cancel_ack_ns)


def end_lease(request: Request, step: Step, _fact: LeaseEnded) -> None:
    assert request.lease is not None
    step.disarm(DeadlineName.CANCEL_ACK, request.lease)
    request.lease = None
    request.runner = None


def wait_again(request: Request, step: Step, fact: LeaseEnded) -> None:
    end_lease(request, step, fact)
    request.is_retried = True
    request.granted_at = None
    request.waiting_since = step.at
    step.arm(DeadlineName.WAIT, request.id, step.limits.wait_ns)


def tell_loss(request: Request, step: Step, fact: LeaseEnded) -> None:
    assert request.runner is not None
    runner = request.runner
    step.emit(RefuseRequest(request.id, runner.ordered or runner.lost_as or _loss(runner, fact)))
    end_lease(request, step, fact)


def _loss(runner: Runner, fact: LeaseEnded) -> Refusal:
    """What the end of the lease alone tells."""
    if fact.outcome is LeaseOutcome.OUT_OF_MEMORY:
        return out_of_memory_while_answering(runner.load, fact.bound)
    return _LOSSES[fact.outcome]


_LOSSES = {
    LeaseOutcome.CRASHED: Refusal(
        RefusalCode.RUNNER_CRASHED,
        "the model's runner ended unexpectedly while it answered; the server's log says how it ended",
    ),
    LeaseOutcome.CANCELLED: Refusal(
        RefusalCode.CLIENT_STALLED,
        "the answer was cancelled because the client read nothing for too long; read the answer as it comes",
    ),
}

S = RequestState
T = RequestTrigger

_TAKEN = illegal("it holds a lease already")
_OVER = illegal("it is over")

#        WAITING, LEASED, RELEASING, DONE
REQUEST = Table(
    "request",
    RequestState,
    RequestTrigger,
    {
        T.GRANTED: (go(S.LEASED, "a slot is its own", action=take_lease), _TAKEN, _OVER, _OVER),
        T.REFUSED: (go(S.DONE, "refused", action=refuse), _TAKEN, _OVER, _OVER),
        T.WAIT_EXPIRED: (
            go(S.DONE, "it waited as long as it may", action=refuse),
            ignore("stale: it has its lease"),
            ignore("stale: it has had its lease"),
            ignore("stale: it is over"),
        ),
        T.LEASE_ENDED: (
            illegal("it holds no lease"),
            go(S.RELEASING, "the slot is free; the handler is still writing", action=end_lease),
            go(S.DONE, "the slot is free; the handler was done before", action=end_lease),
            _OVER,
        ),
        T.LEASE_LOST: (
            illegal("it holds no lease"),
            (
                go(S.WAITING, "lost with nothing sent: once more", action=wait_again, when=may_retry),
                go(S.RELEASING, "lost: the handler is told why", action=tell_loss),
            ),
            go(S.DONE, "cancelled, or lost after the handler was done", action=end_lease),
            _OVER,
        ),
        T.FINISHED: (
            go(S.DONE, "the client left while it waited", action=leave),
            go(S.RELEASING, "the handler is done: the runner is told to stop", action=cancel_lease),
            (
                go(S.DONE, "the last piece is written", when=is_lease_over),
                ignore("doubled: the handler was done before"),
            ),
            ignore("a refusal has closed it already"),
        ),
    },
)
