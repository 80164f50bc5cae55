"""Descriptors: the usual limit is raised at the start, and whatever clients do, there are some left for runners."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from service.connections import connections_max
from tests.integration.faults.harness import POLITE
from tests.integration.faults.raw_client import question, status_of
from tests.integration.faults.separate import HUNG_S, PROGRAM, Separate, separate

KEPT = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@contextmanager
def service_with(soft: int, hard: int, models: Path, folder: Path) -> Iterator[Separate]:
    """A service that was started with so many descriptors."""
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); {PROGRAM}"
    with separate(models, folder, program=limited) as service:
        yield service


def connect(service: Separate) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=HUNG_S)


def idle_client(service: Separate) -> socket.socket:
    """One that was answered, and stays."""
    client = connect(service)
    client.sendall(KEPT)
    assert status_of(answer_of(client)) == 200
    return client


def answer_of(client: socket.socket) -> bytes:
    """One whole answer of JSON on a connection that may stay open."""
    received = b""
    while not received.endswith(b"}"):
        data = client.recv(1 << 16)
        assert data, received
        received += data
    return received


@pytest.mark.skipif(HARD < 1024, reason="the limit cannot be raised far enough to see it")
def test_a_low_soft_limit_is_raised_and_a_crowd_is_let_in(models: Path, tmp_path: Path) -> None:
    with service_with(64, HARD, models, tmp_path) as service, ExitStack() as crowd:
        assert psutil.Process(service.process.pid).rlimit(resource.RLIMIT_NOFILE)[0] > 64
        for _ in range(200):
            crowd.enter_context(idle_client(service))
        assert service.generate("polite").json()["response"] == POLITE
        assert service.end() == 0


def test_when_clients_have_all_that_they_may_have_the_next_is_told_and_a_runner_can_be_started(
    models: Path, tmp_path: Path
) -> None:
    most = connections_max(300, None)
    with service_with(300, 300, models, tmp_path) as service, ExitStack() as crowd:
        asking, *_ = [crowd.enter_context(idle_client(service)) for _ in range(most)]
        for _ in range(20):
            with connect(service) as one_too_many:
                answer = answer_of(one_too_many)
                assert status_of(answer) == 503
                assert b"setting connections_max" in answer
        asking.sendall(question("polite", stream=False))
        assert POLITE.encode() in answer_of(asking)
        service.until("too many connections: a client is turned away", connections=most)
        crowd.close()
        while (reply := service.generate("polite")).status_code == 503:
            pass  # until it has seen that they have left
        assert reply.json()["response"] == POLITE
        assert service.end() == 0
        service.until("stopped")
        said = [row for row in service.rows if row["level"] in ("warning", "error")]
        assert len(said) == 1
