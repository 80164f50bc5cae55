"""How long an idle runner stays, and who may say so."""

from statemachines import effects, events
from statemachines.units import FOREVER_NS, NS_PER_S, RunnerId
from tests.statemachines.bench import Bench, key_of

ONE = RunnerId(1)


def test_an_idle_runner_leaves_when_its_keep_alive_is_over() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=5 * NS_PER_S)
    assert bench.runner(ONE).expires_at == bench.at + 5 * NS_PER_S
    bench.pass_time(5 * NS_PER_S)
    assert bench.runner(ONE).stage == "terminating"
    assert bench.now(effects.TerminateRunner) == [effects.TerminateRunner(ONE)]


def test_a_request_stops_the_keep_alive_and_its_end_starts_it_anew() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=5 * NS_PER_S)
    bench.pass_time(4 * NS_PER_S)
    request = bench.ask("a")
    assert bench.runner(ONE).expires_at is None
    bench.pass_time(20 * NS_PER_S)
    bench.answer(request)
    assert bench.runner(ONE).expires_at == bench.at + 5 * NS_PER_S


def test_keep_alive_zero_unloads_when_idle_and_for_ever_never_does() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=0)
    bench.pass_time(0)
    assert bench.runner(ONE).state == "unloading"
    other = bench.ready("b", keep_alive_ns=FOREVER_NS)
    assert bench.runner(other).expires_at is None
    bench.pass_time(10**6 * NS_PER_S)
    assert bench.runner(other).state == "ready"


def test_slots_are_handed_on_before_idleness_is_judged() -> None:
    bench = Bench()
    bench.ready("a", keep_alive_ns=FOREVER_NS)
    first = bench.ask("a", keep_alive_ns=0)
    second = bench.ask("a")
    bench.answer(first)
    assert bench.request(second).state == "leased"
    bench.pass_time(0)
    assert bench.runner(ONE).state == "ready"


def test_who_comes_after_a_stop_gets_the_default_keep_alive_of_the_load_he_waits_for() -> None:
    bench = Bench(loads_parallel_max=1)
    bench.ask("z")
    bench.ask("a", keep_alive_ns=FOREVER_NS)
    bench.give(events.OperatorStop(key=key_of("a")))
    bench.ask("a")
    bench.load(ONE)
    runner = bench.last_spawn().runner
    bench.load(runner)
    assert bench.runner(runner).keep_alive_ns == bench.limits.keep_alive_default_ns
