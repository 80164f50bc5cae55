"""A runner process: ``python -P -m runner TASK --fd N --owner WHOSE [--memory-bytes N]``; started by the service.

``--fd`` is our end of a connected socket (`docs/reference/wire.md`); ``--memory-bytes`` limits the address space.
``--owner`` is for others to read: it says whose runner this is, also when that server is gone.
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import msgspec

from runner.ending import leave, leave_after
from runner.hardening import harden, limit_memory
from runner.link import RunnerLink
from runner.tasks import TASKS, Work
from statemachines.wire.exits import ExitStatus
from statemachines.wire.link import Task
from statemachines.wire.messages import PROTOCOL_VERSION, Hello
from statemachines.wire.version import VERSION


class Arguments(msgspec.Struct, frozen=True):
    """What the command line says."""

    task: Task
    fd: int
    memory_bytes: int | None = None


def read_arguments(words: Sequence[str]) -> Arguments:
    """Read the command line by hand: only the service writes it, and argparse costs a fifth of the start.

    Raises:
        ValueError: it is not one that the service writes.
    """
    task, *rest = words
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    memory_bytes = options.pop("--memory-bytes", None)
    options.pop("--owner", None)
    arguments = Arguments(Task(task), int(options.pop("--fd", "")), None if memory_bytes is None else int(memory_bytes))
    if options:
        raise ValueError(f"unknown: {' '.join(options)}")
    return arguments


def main(words: Sequence[str], tasks: Mapping[Task, Work] = TASKS) -> NoReturn:
    """Be a runner until told otherwise. Never returns: see `runner.ending`.

    The link is served before anything is prepared, so that its end ends a process that is still importing. The
    greeting comes after it: who has greeted can begin at once.
    """
    try:
        arguments = read_arguments(words)
        sock = socket.socket(fileno=arguments.fd)
    except (ValueError, OSError) as error:
        leave(ExitStatus.USAGE, f"a runner is started by the service, not by hand ({error})")
    sock.set_inheritable(False)
    harden()
    _limit(arguments)
    link, work = RunnerLink(sock, arguments.task), tasks[arguments.task]
    link.start()
    try:
        link.send(Hello(PROTOCOL_VERSION, VERSION, os.getpid(), work.prepare()))
        status = work.run(link.receive, link.poll, link.send)
    except BaseException as error:  # The last handler of this process.
        leave_after(error)
    link.finish(status)


def _limit(arguments: Arguments) -> None:
    if arguments.memory_bytes is None:
        return
    try:
        limit_memory(arguments.memory_bytes)
    except (OSError, ValueError) as error:
        print(f"runner: runs without a memory limit, this system has none: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
