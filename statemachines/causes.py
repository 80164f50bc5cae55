"""Why something waits: a named cause and its holders. There is no wait without one (rule 5)."""

from enum import StrEnum

import msgspec

from statemachines.snapshot import CauseView


class Cause(StrEnum):
    """What a waiting request or load waits for."""

    SLOT = "slot"
    BEHIND_LOAD = "behind_load"
    LOADING = "loading"
    BYTES = "bytes"
    RUNNER_PLACE = "runner_place"
    LOAD_PLACE = "load_place"
    EARLIER_LOADS = "earlier_loads"
    EARLIER_REQUESTS = "earlier_requests"
    KEY = "key"
    FENCE = "fence"
    BACKOFF = "backoff"
    PLANNING = "planning"
    LEASE_END = "lease_end"
    HANDLER_END = "handler_end"


_WORDS: dict[Cause, str] = {
    Cause.SLOT: "every slot of the model's runner is taken",
    Cause.BEHIND_LOAD: "another load of the same model, with other options, comes first",
    Cause.LOADING: "the weights are coming in",
    Cause.BYTES: "memory has to come free first",
    Cause.RUNNER_PLACE: "as many runners as allowed exist, and one has to leave first",
    Cause.LOAD_PLACE: "as many loads as allowed are in progress",
    Cause.EARLIER_LOADS: "earlier loads have the first claim on memory and places",
    Cause.EARLIER_REQUESTS: "a runner has to leave, and requests that came earlier have their turn there first",
    Cause.KEY: "the runner that is loaded does not cover the options asked for, and has to leave first",
    Cause.FENCE: "the model's runner takes nothing new, because another load waits for it to leave",
    Cause.BACKOFF: "the last try failed, and the next one follows after a pause",
    Cause.PLANNING: "it is about to be planned",
    Cause.LEASE_END: "its client is gone, and the runner has not yet ended the answer",
    Cause.HANDLER_END: "the answer is complete, and its last piece is on the way to the client",
}


class Wait(msgspec.Struct, frozen=True):
    """One cause with its holders.

    Attributes:
        holders: who is waited for, such as ``runner 3``; in order of age.
        until: core time at which this cause ends by itself [ns], or None.
    """

    cause: Cause
    holders: tuple[str, ...] = ()
    until: int | None = None

    @property
    def words(self) -> str:
        """The cause in a sentence, with its holders."""
        text = _WORDS[self.cause]
        return f"{text} ({', '.join(self.holders)})" if self.holders else text

    def view(self) -> CauseView:
        return CauseView(self.cause.value, self.holders, self.words, self.until)


PLANNING = Wait(Cause.PLANNING)
