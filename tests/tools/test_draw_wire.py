"""The page about the wire."""

import re

from statemachines.wire.link import Phase
from statemachines.wire.messages import ToRunner, ToService
from tests.statemachines.wire.strategies import kinds
from tools.draw_wire import PAGE, current, main


def test_the_page_says_what_the_code_does() -> None:
    assert main(["--check"]) == 0


def test_every_phase_and_every_message_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"\*\*(\w+)\*\*|`(\w+)`", page))
    words = {word for pair in named for word in pair}
    assert {str(phase) for phase in Phase} <= words
    assert {kind.__name__ for kind in (*kinds(ToRunner), *kinds(ToService))} <= words


def test_an_old_table_is_replaced() -> None:
    assert "old" not in current("<!-- exits -->old<!-- end -->")
