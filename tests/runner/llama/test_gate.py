import os
import threading
from pathlib import Path

from runner.llama.gate import pass_gate


def test_no_gate_and_a_gate_that_is_not_there_are_open(tmp_path: Path) -> None:
    pass_gate(None)
    pass_gate(str(tmp_path / "gate"))


def test_a_gate_holds_until_it_is_closed(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    passed = threading.Event()
    thread = threading.Thread(target=lambda: (pass_gate(str(gate)), passed.set()))
    thread.start()
    with gate.open("wb"):  # returns once the other side waits
        assert not passed.is_set()
    thread.join()
    assert passed.is_set()
