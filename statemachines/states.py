"""The states of whoever lives in the core; what leads from one to the next is in their tables."""

from enum import StrEnum


class RequestState(StrEnum):
    WAITING = "waiting"
    LEASED = "leased"
    RELEASING = "releasing"
    DONE = "done"


class LoadState(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    SERVED = "served"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class RunnerState(StrEnum):
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    DEAD = "dead"


class Stage(StrEnum):
    """How far UNLOADING has gone."""

    NONE = ""
    DRAINING = "draining"
    TERMINATING = "terminating"
    KILLING = "killing"
    UNREAPABLE = "unreapable"
