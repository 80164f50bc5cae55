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
from typing import TYPE_CHECKING

from statemachines.deadlines import DeadlineName
from statemachines.effects import CancelLease, GrantLease, RefuseRequest
from statemachines.errors import Refusal, RefusalCode
from statemachines.events import LeaseEnded, LeaseOutcome, RequestArrived
from statemachines.facts import LoadKey, LoadOptions
from statemachines.step import Step
from statemachines.table import Table, go, ignore, illegal
from statemachines.units import LeaseId, LoadId, RequestId

if TYPE_CHECKING:
    from statemachines.load import Load
    from statemachines.runner import Runner


class RequestState(StrEnum):
    WAITING = "waiting"
    LEASED = "leased"
    RELEASING = "releasing"
    DONE = "done"


class RequestTrigger(StrEnum):
    GRANTED = "Granted"
    REFUSED = "Refused"
    WAIT_EXPIRED = "WaitExpired"
    LEASE_ENDED = "LeaseEnded"
    LEASE_LOST = "LeaseLost"
    FINISHED = "Finished"


class Request:
    """One request.

    Attributes:
        arrival: the event that brought it.
        arrived_step: orders it among all others, also after a retry.
        runner: where it waits for a slot, or where its lease is.
        load, behind: the load that it claims, or that is in its way.
        waited_load: the load that it had to wait for, for the handler's load duration.
        lease: its lease while it holds a slot.
        is_retried: it was lost once already.
        is_unsent: its lease was lost by a crash before anything reached the client.
    """

    __slots__ = (
        "arrival",
        "arrived_step",
        "behind",
        "cancel_step",
        "granted_at",
        "is_retried",
        "is_unsent",
        "lease",
        "load",
        "runner",
        "state",
        "waited_load",
    )

    def __init__(self, arrival: RequestArrived, step_number: int) -> None:
        self.arrival = arrival
        self.arrived_step = step_number
        self.state = RequestState.WAITING
        self.runner: Runner | None = None
        self.load: Load | None = None
        self.behind: Load | None = None
        self.waited_load: LoadId | None = None
        self.lease: LeaseId | None = None
        self.granted_at: int | None = None
        self.cancel_step: int | None = None
        self.is_retried = False
        self.is_unsent = False

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.arrival.model} {self.state}>"

    @property
    def id(self) -> RequestId:
        return self.arrival.request

    @property
    def key(self) -> LoadKey:
        return self.arrival.key

    @property
    def wanted(self) -> LoadOptions:
        return self.arrival.wanted


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
    step.arm(DeadlineName.WAIT, request.id, step.limits.wait_ns)


def tell_loss(request: Request, step: Step, fact: LeaseEnded) -> None:
    assert request.runner is not None
    step.emit(RefuseRequest(request.id, request.runner.ordered or _LOSSES[fact.outcome]))
    end_lease(request, step, fact)


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
            go(S.DONE, "lost, but the handler was done before", action=end_lease),
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
