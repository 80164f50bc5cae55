"""Births: which process a number means."""

import os
import subprocess
import sys

import psutil
import pytest

from service.births import ProcessIdentity, birth_of, own_identity, parse_identity

IDLE = [sys.executable, "-c", "import sys; sys.stdin.read()"]
ABSENT_PID = 2**30
"""Above what any system gives."""


def test_a_process_keeps_its_birth_and_no_other_has_it_with_its_number() -> None:
    assert birth_of(os.getpid()) == birth_of(os.getpid()) is not None


def test_a_child_is_born_after_its_parent() -> None:
    with subprocess.Popen(IDLE, stdin=subprocess.PIPE) as child:
        ours, its = birth_of(os.getpid()), birth_of(child.pid)
    assert ours is not None
    assert its is not None
    assert its > ours


def test_a_process_that_is_not_there_has_none() -> None:
    assert birth_of(ABSENT_PID) is None


def test_one_that_has_ended_has_none_though_nobody_has_reaped_it() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
        assert birth_of(child.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are not part of what is read")
def test_the_name_of_a_program_may_hold_anything() -> None:
    program = "import sys; open('/proc/self/comm', 'w').write('a) R 1 (b'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        before = birth_of(child.pid)
        assert child.stdout is not None
        child.stdout.readline()
        assert birth_of(child.pid) == before is not None


def test_systems_without_proc_are_asked_through_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        assert birth_of(os.getpid()) == round(psutil.Process().create_time() * 1_000_000)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert birth_of(child.pid) is None
    assert birth_of(ABSENT_PID) is None


def test_an_identity_is_alive_while_its_very_process_is() -> None:
    us = own_identity()
    assert us.is_alive
    assert not ProcessIdentity(us.pid, us.birth + 1).is_alive
    assert not ProcessIdentity(ABSENT_PID, us.birth).is_alive


def test_an_identity_is_read_back_from_its_words() -> None:
    assert parse_identity(str(own_identity())) == own_identity()


@pytest.mark.parametrize(
    "text", ["", "1", "1:", ":1", "0:1", "1:0", "-1:1", "1:1 ", "1:1:1", "\u0661:1", "9" * 11 + ":1"]
)
def test_what_names_no_process_for_sure_is_no_identity(text: str) -> None:
    assert parse_identity(text) is None
