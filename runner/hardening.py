"""What a runner process does to itself before it does anything else, so that its death harms nobody but itself."""

import contextlib
import faulthandler
import resource
import signal
import sys

from statemachines.units import MIB

OOM_SCORE_ADJ = 1000
"""The highest: adds the whole memory to the score, so that the kernel gives up a runner before anything else on the
machine, and the largest runner first. A runner is the one process here that can be replaced without loss."""

CORE_BYTES_MAX = 1 if sys.platform == "linux" else 0
"""No core dumps: one would write tens of gigabytes of weights. Linux hands a dump to a collector (systemd-coredump,
apport) even at 0; 1 is its own mark for never, and less than the smallest dump file."""

STACK_BYTES = 112 * MIB
"""The engine's tokenizers of many models recurse once for each character of an unbroken run (llama.cpp issue 27783):
26,000 letters overflowed the usual 8 MiB and killed the runner. The system keeps 128 MiB free below a main thread's
stack, and only what is touched takes memory."""


def harden() -> None:
    """Be the first to go when memory runs out, leave no core dump, outlive a terminal's Ctrl-C, name a crash."""
    _raise_stack_limit()
    _volunteer_for_the_oom_killer()
    with contextlib.suppress(ValueError, OSError):  # A hard limit below ours is as good.
        resource.setrlimit(resource.RLIMIT_CORE, (CORE_BYTES_MAX, CORE_BYTES_MAX))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Whether leases end is the service's decision.
    faulthandler.enable(all_threads=False)  # A native crash leaves a Python stack in the service's log.


def limit_memory(memory_bytes: int) -> None:
    """Let allocations beyond ``memory_bytes`` of address space fail; before any thread is started.

    Raises:
        OSError, ValueError: the system has no such limit; the task must then be bounded by itself.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _raise_stack_limit() -> None:
    """Of this thread, the main one; the system reads the limit when the stack grows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def _volunteer_for_the_oom_killer() -> None:
    """Linux only; elsewhere, or where it is forbidden, the order stays as the system has it."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(OOM_SCORE_ADJ))
