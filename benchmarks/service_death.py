"""How long runners outlive a service that is killed with SIGKILL, by what they are doing.

Run: ``python -m benchmarks.service_death [ROUNDS]``. Needs the engine and the package ``gguf``. Each row is a fresh
service; from the kill to the end of the last runner. What must be met stands above, and the exit status is 1 when it is
not.
"""

import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from statemachines.units import NS_PER_S
from tests.integration.faults.harness import HUNG_S, limits
from tests.integration.faults.models import make_models
from tests.integration.faults.separate import separate
from tests.integration.faults.service_phases import AWAKE, Phase, needs
from tests.leaks import adopt_orphans

MUST_S = 2
ROUNDS = 20


def one_death_s(phase: Phase, models: Path) -> float:
    with TemporaryDirectory() as folder, ExitStack() as clients:
        patient = limits(shutdown_drain_ns=HUNG_S * NS_PER_S)
        with separate(models, Path(folder), limits=patient, **needs(phase)) as service:
            phase(service, clients)
            return service.murder()


def main(rounds: int) -> int:
    """Measure and print; the exit status."""
    adopt_orphans()  # Or the figure would include the time until the machine's first process reaps them.
    with TemporaryDirectory() as folder:
        models = make_models(Path(folder))
        print(f"{rounds} services each; the last runner must be gone after {MUST_S} s")
        worst_s = 0.0
        for phase in AWAKE:
            times_s = [one_death_s(phase, models) for _ in range(rounds)]
            worst_s = max(worst_s, *times_s)
            median_ms, most_ms = statistics.median(times_s) * 1000, max(times_s) * 1000
            print(f"{phase.__name__:15} median {median_ms:7.1f} ms   max {most_ms:7.1f} ms", flush=True)
    print(f"the last runner was gone after {worst_s:.2f} s at most: {'MISSED' if worst_s > MUST_S else 'met'}")
    return 1 if worst_s > MUST_S else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
