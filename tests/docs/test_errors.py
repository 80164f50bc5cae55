"""The page of errors says of each code what the code says."""

import re

import pytest

from statemachines.errors import RETRY_AFTER_S, STATUS_HINTS, RefusalCode
from tests.checkout import ROOT

ROW = re.compile(r"^\| `([a-z_]+)` \| (\d{3}) \|(.*?)\| .+ \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
ROWS = {code: (int(status), retry) for code, status, retry in ROW.findall(PAGE)}
COMPUTED = {RefusalCode.QUEUE_FULL, RefusalCode.DRAINING}
"""Whose time depends on the moment more than on the code."""


def test_every_code_has_one_row() -> None:
    assert sorted(code for code, *_ in ROW.findall(PAGE)) == sorted(RefusalCode)


@pytest.mark.parametrize("code", RefusalCode)
def test_its_row_has_its_status_and_its_time(code: RefusalCode) -> None:
    status, retry = ROWS[code]
    assert status == STATUS_HINTS[code]
    assert bool(retry.strip()) == (code in RETRY_AFTER_S)
    if code in RETRY_AFTER_S and code not in COMPUTED:
        assert re.match(rf"{RETRY_AFTER_S[code]}\b", retry.strip())
