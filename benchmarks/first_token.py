"""How long the first token takes, beside llama-cpp-python without a service: `python -m benchmarks.first_token`.

Both sides get the same model, prompts, threads, context and `OMP_WAIT_POLICY`, and take turns with a pause between, so
that each works while the other is idle. Every prompt begins differently and every evaluation starts from an empty
cache. Timed is, with the service, from sending the request to the arrival of the first token over an open connection;
without it, from the prompt's text to the first piece of a streamed completion. What must be met stands behind the
figures; the exit status is 1 when it is not, or when the host spoiled a figure however often it was measured.

What came out on which machine stands in docs/performance.md.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.models import FOLDER, made
from benchmarks.processes import RUNNER_VARIABLES, Bare, command_line
from benchmarks.rows import Limit, Row, differences, successive
from benchmarks.service import Service
from benchmarks.steal import T, Undisturbed, undisturbed
from benchmarks.surroundings import surroundings
from benchmarks.turns import (
    FIRST,
    SECOND,
    Pair,
    Plan,
    cold,
    load_both,
    loaded,
    others_start,
    resident,
    second_load,
    warm_up,
)
from service.cli.cores import usable_cores

LOADED = (Limit(50, 3), Limit(95, 6))
COLD = (Limit(50, 100),)
GAP = (Limit(100, 500),)
RESIDENT = (Limit(50, 90),)


def head(plan: Plan) -> Iterator[str]:
    """Where, with which versions, and what was started."""
    size_mb = plan.model(FIRST).stat().st_size / 1e6
    sides = f"{plan.threads} threads, context {plan.context_tokens}"
    passive = command_line([], RUNNER_VARIABLES)
    yield from surroundings()
    yield f"model       {size_mb:.1f} MB; prompt of {plan.prompt_tokens} tokens, answer of {plan.answer_tokens}"
    yield f"service     {command_line(plan.service_words, {})} (its runners have {passive})"
    yield f"in-process  {command_line(Bare.WORDS, RUNNER_VARIABLES)} ({sides})"


def measured(plan: Plan) -> Iterator[Row]:
    """The rows as they come."""
    with TemporaryDirectory() as home, Service.started(plan.service_words, Path(home)) as service:
        warm_up(service, plan)
        yield from compared("cold", turns(plan.cold_rounds, partial(cold, service, plan)), COLD)
        yield from second_loads(turns(plan.cold_rounds, partial(second_load, service, plan)))
        with Bare.started() as bare:
            load_both(service, bare, plan)
            pairs = turns(plan.pairs, partial(loaded, service, bare, plan))
        yield from compared("loaded", pairs, LOADED)
        yield Row("in-process, each minus the one before it", successive([pair.value.bare_ms for pair in pairs]))
        idle_mb = resident(service, plan, len(pairs))
        yield Row(f"service, idle after {plan.requests} requests", [idle_mb], "MB", RESIDENT)
    if plan.llama_server is not None:
        starts = turns(plan.cold_rounds, partial(others_start, plan.llama_server, plan))
        times = [start.value for start in starts]
        yield Row("llama-server, from its start", times, "ms", (), disturbance(starts), disturbed(starts))


def turns(count: int, turn: Callable[[int], T]) -> list[Undisturbed[T]]:
    """So many turns, repeated where the host took the processor away."""
    return [undisturbed(partial(turn, number)) for number in range(count)]


def compared(name: str, pairs: Sequence[Undisturbed[Pair]], limits: tuple[Limit, ...]) -> Iterator[Row]:
    """Both sides, and what lies between them, pair by pair."""
    served, bare = [pair.value.served_ms for pair in pairs], [pair.value.bare_ms for pair in pairs]
    shares = [pair.value.runner_ms for pair in pairs]
    yield Row(f"{name}, over HTTP", served)
    yield Row(f"{name}, in-process", bare)
    yield Row(f"{name}, over HTTP minus the prompt in its runner", differences(served, shares))
    between = differences(served, bare)
    yield Row(f"{name}, over HTTP minus in-process", between, "ms", limits, disturbance(pairs), disturbed(pairs))


def second_loads(pairs: Sequence[Undisturbed[tuple[float, float]]]) -> Iterator[Row]:
    """A load that comes while the spare is being replaced."""
    yield Row("a second model, asked for after the first by", [pair.value[0] for pair in pairs], "ms", GAP)
    loads = [pair.value[1] for pair in pairs]
    yield Row("a second model's load, without a spare", loads, "ms", (), disturbance(pairs), disturbed(pairs))


def disturbance(turns: Sequence[Undisturbed[T]]) -> str:
    """What the host took away while these were measured."""
    most, repeats = max(turn.steal_share for turn in turns), sum(turn.repeats for turn in turns)
    return f"steal {most:.1%} at most, {repeats} turns repeated"


def disturbed(turns: Sequence[Undisturbed[T]]) -> int:
    return sum(turn.is_disturbed for turn in turns)


def read_plan(words: Sequence[str]) -> Plan:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmarks.first_token", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--pairs", type=int, default=50, help="turns with a loaded model [50]")
    parser.add_argument("--cold-rounds", type=int, default=10, help="turns with a model that is not loaded [10]")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="on both sides [the usable cores]")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where its models are kept [{FOLDER}]")
    parser.add_argument("--llama-server", type=Path, help="a llama-server to start for comparison")
    return Plan(**vars(parser.parse_args(words)))


def main(plan: Plan) -> int:
    """Measure and print; the exit status."""
    for seed, name in enumerate((FIRST, SECOND), 1):
        made(plan.model(name), seed, plan.write)
    print(*head(plan), sep="\n", flush=True)
    rows = []
    for row in measured(plan):
        rows.append(row)
        print(row, flush=True)
    if plan.llama_server is None:
        print("llama-server, from its start: not given (--llama-server PATH)")
    return 1 if any(not row.is_good for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(read_plan(sys.argv[1:])))
