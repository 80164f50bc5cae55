"""With which status a runner process ends, so that the service can tell one end from another.

Numbers from 64 on follow BSD's ``sysexits.h``; a negative status is a signal's number, given by the system.
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """The ends that a runner chooses itself.

    Attributes:
        DONE: told to stop (Shutdown or SIGTERM), or the task is finished.
        USAGE: started with arguments that it does not know.
        CRASHED: an exception that nobody caught: a bug in the runner.
        OUT_OF_MEMORY: an allocation was refused, by its own limit or by the system.
        LINK_CLOSED: the service's end of the link is gone.
        PROTOCOL: the service broke the protocol, or speaks another version of it.
        NO_ENGINE: the task needs an engine that is not installed.
    """

    DONE = 0
    USAGE = 64
    NO_ENGINE = 69
    CRASHED = 70
    OUT_OF_MEMORY = 71
    LINK_CLOSED = 74
    PROTOCOL = 76
