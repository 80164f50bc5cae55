"""Brings a runner of a separate service into a phase of its life and holds it there, for something to happen.

Each function asks, waits until the phase is reached, and leaves its clients open on the stack. What holds the phase is
a gate, an answer without end, or a prompt that is long enough; `starting` is held by nothing: a runner that has come
further by the time its service dies is in another of these phases.

There is no phase of a runner that is awake and was asked to end. Nothing can hold it there: its link thread obeys at
once, in the middle of a load and of an import too, and an engine that answers obeys after its step, so that the runner
would be gone before its service dies, or not, as chance has it. It is frozen before it is asked (`unloading`,
`withdrawn`); thawed when its service is dead, it finds the order and the end of its link at the same time.
"""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psutil

from tests.integration.faults.harness import ENDLESS, POLITE
from tests.integration.faults.separate import Separate, freeze

LONG_PROMPT = "so " * 60_000
"""Takes the engine several seconds before the first token."""

Phase = Callable[[Separate, ExitStack], None]


def spare_importing(service: Separate, clients: ExitStack) -> None:
    """The spare is in the middle of importing its engine, and held there; see `separate`."""
    assert service.import_gate is not None
    service.import_gate.arrived()


def spare_warm(service: Separate, clients: ExitStack) -> None:
    """The spare waits to be taken."""
    service.until_state(lambda state: state["spare"]["state"] == "warm")


def starting(service: Separate, clients: ExitStack) -> None:
    """The interpreter of a runner has been started, and has not said anything yet."""
    clients.enter_context(service.ask("polite"))
    service.until("runner started")


def loading(service: Separate, clients: ExitStack) -> None:
    """The engine is in the middle of a load, waiting for the system."""
    gate = service.hold("polite")
    clients.enter_context(service.ask("polite"))
    gate.arrived()


def idle(service: Separate, clients: ExitStack) -> None:
    """Loaded, and nobody asks."""
    assert service.generate("polite").json()["response"] == POLITE
    service.until("runner started")


def first_token(service: Separate, clients: ExitStack) -> None:
    """The engine evaluates a prompt; nothing has been said."""
    client = clients.enter_context(service.ask("endless", LONG_PROMPT, options=ENDLESS))
    service.until_state(lambda state: [runner for runner in state["runners"] if runner["leases"]])
    client.setblocking(False)
    try:
        said = client.recv(1)
    except BlockingIOError:
        said = b""
    assert said == b""


def mid_answer(service: Separate, clients: ExitStack) -> None:
    """Tokens come without end; the client reads none of them."""
    client = clients.enter_context(service.ask("endless", options=ENDLESS))
    assert client.recv(64, socket.MSG_PEEK).startswith(b"HTTP/1.1 200")


def draining(service: Separate, clients: ExitStack) -> None:
    """The service was told to stop, and an answer goes on."""
    mid_answer(service, clients)
    service.process.terminate()
    service.until("runner unloading")


def unloading(service: Separate, clients: ExitStack) -> None:
    """The runner was asked to end; it is frozen, so that it has not heard of it."""
    frozen(service, clients)
    service.generate("polite", "", keep_alive=0)
    service.until("runner unloading")


def withdrawn(service: Separate, clients: ExitStack) -> None:
    """The same in the middle of a load that nobody wants any more; the service must have no grace for one."""
    gate = service.hold("polite")
    client = clients.enter_context(service.ask("polite"))
    gate.arrived()
    service.until("runner started")
    freeze(the_runner(service))
    client.close()
    service.until("runner unloading")


def frozen(service: Separate, clients: ExitStack) -> None:
    """Loaded and stopped: it hears of nothing until somebody lets it go on."""
    idle(service, clients)
    freeze(the_runner(service))


def needs(phase: Phase) -> dict[str, Any]:
    """With what else a service must be started for a phase to be reached."""
    return {"spare": phase in (spare_importing, spare_warm), "holds_imports": phase is spare_importing}


def the_runner(service: Separate) -> psutil.Process:
    """The one of which the log has been read that it was started for a model."""
    started = {row["pid"] for row in service.said("runner started")}
    (runner,) = (child for child in service.children() if child.pid in started)
    return runner


AWAKE: tuple[Phase, ...] = (spare_importing, spare_warm, starting, loading, idle, first_token, mid_answer, draining)
"""Phases in which a runner notices by itself that its service is gone."""
