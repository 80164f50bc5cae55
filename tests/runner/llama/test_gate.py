import os
import threading
from pathlib import Path

from runner.llama.gate import Gate


def test_no_gate_is_always_open() -> None:
    Gate(None).wait()


def test_a_gate_holds_once_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "gate"
    os.mkfifo(path)
    gate, passed = Gate(str(path)), threading.Event()
    thread = threading.Thread(target=lambda: (gate.wait(), passed.set(), gate.wait()))
    thread.start()
    with path.open("wb"):  # returns once the other side waits
        assert not passed.is_set()
    thread.join()
    assert passed.is_set()
