"""A runner program without an engine, for tests of real processes: real link, real hardening, tasks that do as told.

Started as `service.processes.RUNNER` is, with this file instead of ``-m runner``. Task ``facts`` takes each
`ReadFacts` as an order (its first path, ``word:argument``) and answers with a `FactsRefused` whose message is the
result. Task ``serve`` loads nothing and answers every prompt with its own words; one that begins with ``hold`` is not
answered until it is cancelled. With ``NEVER_READY`` in its environment it never greets: it prepares in native code for
ever.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable

from runner.__main__ import main
from runner.tasks import Poll, Receive, Send, Work
from statemachines.errors import Refusal, RefusalCode
from statemachines.facts import AllocationReport, LoadedFacts
from statemachines.wire.link import Task
from statemachines.wire.messages import (
    Cancel,
    Delta,
    EndReason,
    FactsRefused,
    Generate,
    LeaseEnded,
    Load,
    Progress,
    ReadFacts,
    Ready,
    SetThreads,
    Shutdown,
    TextPrompt,
    ThreadsSet,
    Tokens,
    ToRunner,
    ToService,
)

LIBC = ctypes.CDLL(None)


def obey(receive: Receive, poll: Poll, send: Send) -> int:
    """Task ``facts``."""
    while isinstance(message := receive(), ReadFacts):
        order, _, argument = message.paths[0].partition(":")
        if order == "exit":
            return int(argument)
        if order == "speak_out_of_turn":
            send(Progress(1))
        send(FactsRefused(Refusal(RefusalCode.INVALID, ORDERS[order](argument))))
        if order == "echo_and_exit":
            return 0
    return 1


def say(text: str) -> str:
    print(text)
    return ""


def say_bytes(text: str) -> str:
    os.write(2, bytes.fromhex(text))
    return ""


def flood(_argument: str) -> str:
    """Print without end, as native code does: nobody asks whether there is room."""
    while True:
        os.write(2, b"x" * 4096)


def be_busy(_argument: str) -> str:
    """Native code that never comes back; says so when it begins."""
    print("busy", flush=True)
    while True:
        LIBC.pause()


def fail(text: str) -> str:
    raise RuntimeError(text)


def allocate(size_bytes: str) -> str:
    return str(len(bytearray(int(size_bytes))))


def crash(_argument: str) -> str:
    os.abort()


def allocate_natively(size_bytes: str) -> str:
    """C++'s ``operator new``: nobody catches what it throws."""
    new = ctypes.CDLL("libstdc++.so.6")._Znwm
    new.argtypes, new.restype = [ctypes.c_size_t], ctypes.c_void_p
    return str(new(int(size_bytes)))


def show_environment(_argument: str) -> str:
    return json.dumps(dict(os.environ))


def show_situation(_argument: str) -> str:
    """Everything that spawning and hardening decide."""
    return json.dumps(
        {
            "folder": os.getcwd(),
            "leads_its_session": os.getsid(0) == os.getpid(),
            "ignores_sigint": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
            "core_bytes_max": resource.getrlimit(resource.RLIMIT_CORE),
            "stack_bytes_max": resource.getrlimit(resource.RLIMIT_STACK)[0],
            "memory_bytes_max": resource.getrlimit(resource.RLIMIT_AS)[0],
            "stdin_at_end": os.read(0, 1) == b"",
            "modules": sorted(sys.modules),
            "inherited": [fd for fd in range(3, 256) if _is_inheritable(fd)],
            "oom_score_adj": _read("/proc/self/oom_score_adj"),
        }
    )


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


ORDERS: dict[str, Callable[[str], str]] = {
    "say": say,
    "say_bytes": say_bytes,
    "flood": flood,
    "be_busy": be_busy,
    "fail": fail,
    "allocate": allocate,
    "allocate_natively": allocate_natively,
    "crash": crash,
    "environment": show_environment,
    "situation": show_situation,
    "echo": lambda text: text,
    "echo_and_exit": lambda text: text,
    "speak_out_of_turn": lambda text: text,
}


def prepare() -> str:
    """Task ``serve``, before it greets: at once, or never when the test says so in the environment."""
    return be_busy("") if os.environ.get("NEVER_READY") else "obedient 1"


def parrot(receive: Receive, poll: Poll, send: Send) -> int:
    """Task ``serve``."""
    held: list[Generate] = []
    while not isinstance(message := receive(), Shutdown):
        for answer in replies(message, held):
            send(answer)
    for generate in held:
        send(LeaseEnded(generate.lease, EndReason.CANCELLED))
    return 0


def replies(message: ToRunner, held: list[Generate]) -> list[ToService]:
    match message:
        case Load():
            return [Progress(500_000), Ready(LoadedFacts(4096, 1), AllocationReport(), 32, 1)]
        case Generate(prompt=TextPrompt(text=text)) if text.startswith("hold"):
            held.append(message)
            return [Tokens(1, (Delta(message.lease, "holding"),))]
        case Generate(prompt=TextPrompt(text=text), lease=lease):
            said: list[ToService] = [Tokens(step, (Delta(lease, word),)) for step, word in enumerate(text.split())]
            return [*said, LeaseEnded(lease, EndReason.STOP)]
        case Cancel(lease=lease):
            held[:] = [generate for generate in held if generate.lease != lease]
            return [LeaseEnded(lease, EndReason.CANCELLED)]
        case SetThreads(threads=threads):
            return [ThreadsSet(threads)]
    return []


if __name__ == "__main__":
    main(sys.argv[1:], {Task.SERVE: Work(parrot, prepare), Task.FACTS: Work(obey)})
