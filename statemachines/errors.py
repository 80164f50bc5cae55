"""What can go wrong, by whose side it is on.

In the core an error is a value (`Refusal`) that travels in an effect; at the two edges (HTTP, the runner's link)
it is raised as an exception. A message says what happened, on whose side, and what to do about it. No path and no
text of the operating system is ever part of a message that a client sees.
"""

from enum import StrEnum

import msgspec


class RefusalCode(StrEnum):
    """Why a request gets no answer. The value is what logs, metrics and `/debug` show."""

    NOT_FOUND = "not_found"
    INVALID = "invalid"
    NOT_SERVED = "not_served"
    QUEUE_FULL = "queue_full"
    TOO_LARGE = "too_large"
    PROMPT_TOO_LONG = "prompt_too_long"
    TEMPLATE_FAILED = "template_failed"
    NOT_READY = "not_ready"
    DRAINING = "draining"
    STOPPED_BY_OPERATOR = "stopped_by_operator"
    WAITED_TOO_LONG = "waited_too_long"
    MODEL_REPLACED = "model_replaced"
    LOAD_FAILED = "load_failed"
    OUT_OF_MEMORY = "out_of_memory"
    RUNNER_CRASHED = "runner_crashed"
    RUNNER_WEDGED = "runner_wedged"
    CLIENT_STALLED = "client_stalled"
    INTERNAL = "internal"


STATUS_HINTS: dict[RefusalCode, int] = {
    RefusalCode.NOT_FOUND: 404,
    RefusalCode.INVALID: 400,
    RefusalCode.NOT_SERVED: 501,
    RefusalCode.QUEUE_FULL: 503,
    RefusalCode.TOO_LARGE: 503,
    RefusalCode.PROMPT_TOO_LONG: 400,
    RefusalCode.TEMPLATE_FAILED: 400,
    RefusalCode.NOT_READY: 503,
    RefusalCode.DRAINING: 503,
    RefusalCode.STOPPED_BY_OPERATOR: 503,
    RefusalCode.WAITED_TOO_LONG: 503,
    RefusalCode.MODEL_REPLACED: 503,
    RefusalCode.LOAD_FAILED: 500,
    RefusalCode.OUT_OF_MEMORY: 503,
    RefusalCode.RUNNER_CRASHED: 500,
    RefusalCode.RUNNER_WEDGED: 500,
    RefusalCode.CLIENT_STALLED: 503,
    RefusalCode.INTERNAL: 500,
}

RETRY_AFTER_S: dict[RefusalCode, int] = {
    RefusalCode.QUEUE_FULL: 1,
    RefusalCode.TOO_LARGE: 3600,
    RefusalCode.NOT_READY: 1,
    RefusalCode.DRAINING: 20,
    RefusalCode.STOPPED_BY_OPERATOR: 1,
    RefusalCode.WAITED_TOO_LONG: 5,
    RefusalCode.MODEL_REPLACED: 1,
    RefusalCode.OUT_OF_MEMORY: 30,
    RefusalCode.CLIENT_STALLED: 1,
    RefusalCode.RUNNER_WEDGED: 1,
}
"""When another try may succeed, where nobody knows better [s]: of every code whose status is 503, and of a runner that
is replaced already.

A second where what was in the way is gone already. Half a minute where others have to give memory back. An hour where
nothing changes by itself: until somebody has changed the machine, its settings or the request.
"""


class Refusal(msgspec.Struct, frozen=True):
    """An error as a value.

    Attributes:
        code: the kind, for programs.
        message: what happened, whose side it is on and what to do, for people.
        retry_after_s: when another try may succeed, by what is known at this moment [s]; None when only the code
            tells.
    """

    code: RefusalCode
    message: str
    retry_after_s: int | None = None

    @property
    def retry_hint_s(self) -> int | None:
        """When another try may succeed [s]; None where time does not help."""
        return RETRY_AFTER_S.get(self.code) if self.retry_after_s is None else self.retry_after_s

    @property
    def status_hint(self) -> int:
        """The HTTP status that fits this refusal."""
        return STATUS_HINTS[self.code]


class RoundhouseError(Exception):
    """Base of every error that Roundhouse raises on purpose."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal

    @property
    def code(self) -> RefusalCode:
        return self.refusal.code

    @property
    def status_hint(self) -> int:
        return self.refusal.status_hint

    @property
    def retry_hint_s(self) -> int | None:
        return self.refusal.retry_hint_s


class RequestRefused(RoundhouseError):
    """Expected: the request cannot be served as it is, or not now."""


class RunnerFailed(RoundhouseError):
    """The runner's side: a load failed, a process crashed or wedged."""


class ConfigError(Exception):
    """A setting is wrong. Raised at start only; the message names the setting and what it may be."""


class DeviceError(Exception):
    """A device could not be read; the caller falls back to the ledger."""


class WireError(Exception):
    """The link between service and runner was misused."""


class LocalWireError(WireError):
    """Our own side tried to send something that the protocol forbids: a bug here."""


class RemoteWireError(WireError):
    """The other side sent something that the protocol forbids: that incarnation is killed."""


class InternalError(Exception):
    """An illegal event or a broken invariant: never caught below main; the journal is dumped."""
