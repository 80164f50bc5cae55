"""A real `Lookout` over a scripted front."""

from service.journal import RingJournal
from service.metrics.counts import Counts
from service.metrics.registry import Metrics
from service.operators.health import Health
from service.operators.lookout import Lookout
from service.reactor import Probe
from statemachines.events import ServiceOpened
from statemachines.limits import Limits
from statemachines.units import NS_PER_S
from tests.fakes.clock import HandClock
from tests.fakes.front import FakeFront

JOURNAL_STEPS = 1000


def lookout_of(front: FakeFront) -> Lookout:
    """What operators would see of it."""
    clock, limits = HandClock(), Limits()
    lookout = Lookout(
        counts=Counts(Metrics(), models_max=2),
        health=Health(ask=_answered, closed=lambda _at: front.shut, clock=clock, limit_ns=NS_PER_S),
        snapshot=front.snapshot,
        spare=lambda: front.spare().state,
        inbox_len=lambda: 0,
        journal=RingJournal(version="0", limits=limits, clock=clock, folder=lambda: None, steps_max=JOURNAL_STEPS),
        clock=clock,
        limits=limits,
        engine=front.engine,
        followers_max=2,
    )
    lookout.journal.write(ServiceOpened(), ())
    return lookout


def _answered() -> Probe:
    """A reactor that is never busy."""
    probe = Probe()
    probe.answer(0)
    return probe
