"""The end of the service: refuse, withdraw, drain, terminate, kill."""

from statemachines import effects, events
from statemachines.errors import RefusalCode
from statemachines.events import LeaseOutcome
from statemachines.failures import RESTART_S
from statemachines.units import NS_PER_S, RunnerId
from tests.statemachines.bench import Bench, key_of

ONE = RunnerId(1)


def test_shutdown_refuses_withdraws_drains_and_ends() -> None:
    bench = Bench(loads_parallel_max=1, shutdown_drain_ns=4 * NS_PER_S)
    bench.ready("a")
    leased, slotless = bench.ask("a"), bench.ask("a")
    starting, waiting = bench.ask("b"), bench.ask("c")
    bench.give(events.ShutdownOrdered())
    for request in (slotless, starting, waiting, bench.ask("d")):
        assert bench.refusal_of(request).code is RefusalCode.DRAINING
    assert (bench.runner(ONE).stage, bench.runner(RunnerId(2)).stage) == ("draining", "killing")
    bench.give(events.ShutdownOrdered())
    assert bench.now(effects.ReportIgnored)[0].reason == "it is stopping already"
    bench.exit(RunnerId(2), -9)
    bench.pass_time(4 * NS_PER_S)
    bench.end(bench.lease_of(leased), LeaseOutcome.CANCELLED)
    assert bench.refusal_of(leased).code is RefusalCode.DRAINING
    bench.exit(ONE)
    assert bench.now(effects.FinishShutdown) == [effects.FinishShutdown(())]
    assert bench.core.snapshot().service == "stopped"


def test_who_comes_during_a_shutdown_is_told_when_the_service_is_back_at_the_latest() -> None:
    bench = Bench(shutdown_drain_ns=10 * NS_PER_S, stop_grace_ns=5 * NS_PER_S, kill_grace_ns=3 * NS_PER_S)
    bench.ready("a")
    bench.ask("a")
    bench.give(events.ShutdownOrdered())
    assert bench.refusal_of(bench.ask("b")).retry_hint_s == 18 + RESTART_S
    bench.pass_time(4 * NS_PER_S)
    assert bench.refusal_of(bench.ask("b")).retry_hint_s == 14 + RESTART_S
    bench.give(events.ShutdownOrdered(force=True))
    assert bench.refusal_of(bench.ask("b")).retry_hint_s == 3 + RESTART_S
    bench.pass_time(NS_PER_S)
    bench.give(events.ShutdownOrdered(force=True))
    assert bench.refusal_of(bench.ask("b")).retry_hint_s == 2 + RESTART_S


def _due(bench: Bench, runner: RunnerId, name: str) -> int:
    return next(deadline.due for deadline in bench.runner(runner).deadlines if deadline.name == name)


def test_shutdown_shortens_a_longer_drain_and_leaves_a_shorter_one() -> None:
    bench = Bench(drain_ns=30 * NS_PER_S, shutdown_drain_ns=10 * NS_PER_S)
    for model in ("a", "b"):
        bench.ready(model)
        bench.ask(model)
    bench.give(events.OperatorStop(key=key_of("a"), force=True))
    bench.pass_time(25 * NS_PER_S)
    bench.give(events.OperatorStop(key=key_of("b"), force=True))
    bench.give(events.ShutdownOrdered())
    dues = [_due(bench, RunnerId(runner), "drain") - bench.at for runner in (1, 2)]
    assert dues == [5 * NS_PER_S, 10 * NS_PER_S]


def test_shutdown_leaves_a_runner_that_is_ending_already_alone() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=0)
    bench.pass_time(0)
    due = bench.runner(ONE).deadlines
    bench.give(events.ShutdownOrdered())
    assert bench.runner(ONE).deadlines == due


def test_a_second_shutdown_kills_at_once_and_a_third_changes_nothing() -> None:
    bench = Bench()
    bench.ready("b")
    bench.ready("a")
    bench.ask("a")
    bench.give(events.ShutdownOrdered())
    assert [bench.runner(RunnerId(runner)).stage for runner in (1, 2)] == ["terminating", "draining"]
    bench.give(events.ShutdownOrdered(force=True))
    assert {effect.runner for effect in bench.now(effects.KillRunner)} == {1, 2}
    dues = [bench.runner(RunnerId(runner)).deadlines for runner in (1, 2)]
    bench.pass_time(NS_PER_S)
    bench.give(events.ShutdownOrdered(force=True))
    bench.give(events.LinkLost(runner=ONE, message="end"))
    assert [bench.runner(RunnerId(runner)).deadlines for runner in (1, 2)] == dues


def test_a_first_shutdown_may_be_the_forced_one() -> None:
    bench = Bench()
    bench.ready("a")
    bench.ask("b")
    bench.give(events.ShutdownOrdered(force=True))
    assert {effect.runner for effect in bench.now(effects.KillRunner)} == {1, 2}


def test_nothing_is_tried_again_while_the_service_stops() -> None:
    bench = Bench()
    bench.ready("a")
    request = bench.ask("a")
    bench.give(events.LinkLost(runner=ONE, message="end"))
    bench.give(events.ShutdownOrdered())
    bench.end(bench.lease_of(request), LeaseOutcome.CRASHED, sent=False)
    assert bench.refusal_of(request).code is RefusalCode.DRAINING
    assert len(bench.all(effects.SpawnRunner)) == 1


def test_shutdown_ends_although_a_process_cannot_be_reaped() -> None:
    bench = Bench(kill_grace_ns=NS_PER_S)
    bench.ready("a")
    bench.give(events.ShutdownOrdered(force=True))
    bench.pass_time(NS_PER_S)
    assert bench.now(effects.FinishShutdown) == [effects.FinishShutdown((ONE,))]
    bench.give(events.ShutdownOrdered())
    assert bench.now(effects.ReportIgnored)[0].reason == "it has stopped"


def test_shutdown_before_the_service_opened_ends_too() -> None:
    bench = Bench(is_open=False)
    bench.give(events.ShutdownOrdered())
    assert bench.now(effects.FinishShutdown) == [effects.FinishShutdown(())]
    bench.give(events.ServiceOpened())
    assert bench.core.snapshot().service == "stopped"
