"""What effects become that no handler and no runner sees: log lines and dumps."""

import pytest
import trio
from trio.testing import MockClock

from statemachines.effects import (
    CancelLease,
    FinishShutdown,
    GrantLease,
    KillRunner,
    RefuseRequest,
    ReportIgnored,
    ReportIllegal,
    ReportStage,
    ReportTransition,
    SampleDevices,
    SetThreads,
    TerminateRunner,
)
from statemachines.errors import Refusal, RefusalCode
from statemachines.units import LeaseId, RequestId, RunnerId
from tests.service.shell import Shell, running, settings

NOBODY = RunnerId(404)


async def test_every_effect_about_a_runner_that_is_gone_is_late_and_nothing_more() -> None:
    async with running() as shell:
        for effect in (
            CancelLease(LeaseId(1), NOBODY),
            TerminateRunner(NOBODY),
            KillRunner(NOBODY),
            SetThreads(NOBODY, 2),
            RefuseRequest(RequestId(404), Refusal(RefusalCode.DRAINING, "late")),
        ):
            shell.executor.perform(effect)

        assert {row["level"] for row in shell.lines.rows()} <= {"debug", "info"}


async def test_a_grant_on_a_runner_that_never_was_is_a_bug() -> None:
    async with running() as shell:
        with pytest.raises(KeyError):
            shell.executor.perform(GrantLease(RequestId(1), LeaseId(1), NOBODY, None))


async def test_sampling_and_finishing_are_passed_on(nursery: trio.Nursery) -> None:
    shell = Shell(nursery, settings())
    shell.executor.perform(SampleDevices())
    shell.executor.perform(FinishShutdown((RunnerId(7),)))

    assert shell.samples_wanted == 1
    assert shell.finished == (7,)


async def test_b06_an_event_that_is_ignored_is_worth_a_debug_line(nursery: trio.Nursery) -> None:
    shell = Shell(nursery, settings())
    shell.executor.perform(ReportIgnored("runner", 3, "dead", "ProcessExited", "late"))

    (row,) = shell.lines.rows("event ignored")
    assert row | {"level": "debug", "runner": 3, "met": "dead", "trigger": "ProcessExited", "reason": "late"} == row


async def test_an_illegal_event_is_an_error_with_the_journal_written_out(nursery: trio.Nursery) -> None:
    shell = Shell(nursery, settings())
    shell.executor.perform(ReportIllegal("load", 3, "served", "Claimed", "it is closed"))

    (row,) = [row for row in shell.lines.rows() if row["level"] == "error"]
    assert row | {"load": 3, "met": "served"} == row
    assert shell.journal.dumps == ["illegal: load 3 in served met Claimed"]


@pytest.mark.parametrize(
    ("machine", "target", "level"),
    [
        ("runner", "unloading", "info"),
        ("load", "failed", "warning"),
        ("service", "open", "info"),
        ("request", "leased", "debug"),
        ("load", "served", "debug"),
    ],
)
async def test_transitions_have_the_level_that_an_operator_wants(
    nursery: trio.Nursery, machine: str, target: str, level: str
) -> None:
    shell = Shell(nursery, settings())
    shell.executor.perform(ReportTransition(machine, 5, "somewhere", target, "Trigger", "because"))

    (row,) = shell.lines.rows(f"{machine} {target}")
    assert (row["level"], row["why"], row[machine]) == (level, "because", 5)


@pytest.mark.parametrize(
    ("stage", "trigger", "level"),
    [
        ("terminating", "DrainLimit", "info"),
        ("killing", "ShutdownForced", "info"),
        ("killing", "TermLimit", "warning"),
        ("unreapable", "KillLimit", "error"),
    ],
)
async def test_b06_rungs_of_a_stop_are_louder_the_less_the_runner_heeds_them(
    nursery: trio.Nursery, stage: str, trigger: str, level: str
) -> None:
    shell = Shell(nursery, settings())
    shell.executor.perform(ReportStage(RunnerId(5), stage, trigger, "because"))

    (row,) = shell.lines.rows(f"runner {stage}")
    assert (row["level"], row["why"], row["runner"]) == (level, "because", 5)


async def test_b06_lines_about_a_living_runner_say_its_new_state(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:

        async def ask() -> None:
            async with shell.leased():
                pass

        nursery.start_soon(ask)
        process = await shell.ready_process()
        shell.desk.stop(shell.store.find("a:latest"))
        await trio.sleep(1)

        (row,) = shell.lines.rows("runner unloading")
        assert row | {"runner": 1, "pid": process.pid, "model": "a:latest", "state": "unloading"} == row
        assert shell.runners.get(RunnerId(1)) is None
