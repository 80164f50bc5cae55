from runner.llama.beats import Beats, LoadProgress
from statemachines.units import NS_PER_MS
from statemachines.wire.messages import Beat, Progress, ToService


class Clock:
    """A clock that a test turns."""

    now_ns = 1

    def __call__(self) -> int:
        return self.now_ns

    def pass_ms(self, count: int) -> None:
        self.now_ns += count * NS_PER_MS


def test_beats_come_at_most_every_half_second() -> None:
    sent: list[ToService] = []
    clock = Clock()
    beats = Beats(sent.append, clock)
    beats.begin_step()
    beats.node()
    clock.pass_ms(499)
    beats.node()
    assert sent == [Beat(1, 1)]
    clock.pass_ms(1)
    beats.node()
    assert sent[1:] == [Beat(1, 4)]


def test_a_step_that_does_nothing_sends_no_beat() -> None:
    sent: list[ToService] = []
    clock = Clock()
    beats = Beats(sent.append, clock)
    beats.begin_step()
    clock.pass_ms(60_000)
    assert sent == [Beat(1, 1)]


def test_progress_is_told_first_last_and_a_few_times_a_second() -> None:
    sent: list[ToService] = []
    clock = Clock()
    progress = LoadProgress(sent.append, clock)
    for done in (0.0, 0.1, 0.2):
        progress.report(done)
    clock.pass_ms(250)
    progress.report(0.3)
    progress.report(1.0)
    assert sent == [Progress(0), Progress(300_000), Progress(1_000_000)]
