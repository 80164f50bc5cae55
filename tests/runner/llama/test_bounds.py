import resource
import signal
import subprocess
import sys

import pytest

from runner.llama.bounds import OutOfBounds, run_bounded
from statemachines.units import GIB, MIB

pytestmark = pytest.mark.usefixtures("no_collection")


def spin() -> None:
    while True:
        pass


def spin_and_swallow() -> None:
    while True:
        try:
            spin()
        except Exception:
            continue


@pytest.mark.parametrize("code", [spin, spin_and_swallow])
def test_a_loop_ends_at_the_limit_of_processor_time(code: object) -> None:
    with pytest.raises(OutOfBounds, match="time"):
        run_bounded(code, cpu_s=0.02, memory_bytes=GIB)  # type: ignore[arg-type]  # either function fits


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts private mappings as data")
def test_a_large_allocation_fails_at_the_limit_of_memory() -> None:
    with pytest.raises(OutOfBounds, match="memory"):
        run_bounded(lambda: bytearray(512 * MIB), cpu_s=10, memory_bytes=64 * MIB)


def test_limits_are_gone_afterwards() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA), signal.getsignal(signal.SIGPROF)
    assert run_bounded(lambda: 42, cpu_s=10, memory_bytes=64 * MIB) == 42
    with pytest.raises(OutOfBounds):
        run_bounded(spin, cpu_s=0.02, memory_bytes=64 * MIB)
    assert (resource.getrlimit(resource.RLIMIT_DATA), signal.getsignal(signal.SIGPROF)) == before
    assert signal.getitimer(signal.ITIMER_PROF) == signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


ENDLESS_IN_C = """
from runner.llama import bounds
bounds.CPU_S_BEYOND = 0.1
one, other = [1.5], [1.5]
for _ in range(60):
    one, other = [one, one], [other, other]
bounds.run_bounded(lambda: one == other, cpu_s=0.1, memory_bytes=1 << 30)
"""


def test_an_operation_in_c_that_hears_no_exception_ends_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDLESS_IN_C], check=False, timeout=60)
    assert ended.returncode == -signal.SIGVTALRM


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError):
        run_bounded(lambda: 1 // 0, cpu_s=10, memory_bytes=64 * MIB)
