"""The page of metrics lists what the service exposes, with its type and its labels."""

import re
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from tests.checkout import ROOT
from tests.fakes.front import FakeFront
from tests.fakes.lookout import lookout_of

PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(roundhouse_[a-z_]+)` \| (\w+) \| (.*?)\| .+ \|$", PAGE, re.MULTILINE)
DOCUMENTED = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROWS}


def exposed() -> dict[str, str]:
    """Type of each metric by the name that a query uses."""
    families = text_string_to_metric_families(lookout_of(FakeFront()).metrics().decode())
    return {f"{one.name}_total" if one.type == "counter" else one.name: one.type for one in families}


def counted() -> dict[str, tuple[str, ...]]:
    """Labels of each metric that is kept."""
    registry: Any = lookout_of(FakeFront()).counts.metrics.registry
    kept = [one for one in registry._collector_to_names if isinstance(one, MetricWrapperBase)]
    return {f"{one._name}_total" if one._type == "counter" else one._name: one._labelnames for one in kept}


def test_every_metric_has_its_row_and_no_row_is_without_a_metric() -> None:
    found = {name: kind for name, kind in exposed().items() if name.startswith("roundhouse_")}
    assert {name: kind for name, (kind, _) in DOCUMENTED.items()} == found
    assert len(ROWS) == len(DOCUMENTED)


def test_counters_have_the_labels_that_their_rows_name() -> None:
    assert {name: DOCUMENTED[name][1] for name in counted()} == counted()


def test_figures_of_the_process_are_named() -> None:
    found = {name for name in exposed() if name.startswith("process_")}
    assert found <= set(re.findall(r"`(process_\w+)`", PAGE))


def test_names_say_their_units() -> None:
    for name, (kind, _) in DOCUMENTED.items():
        assert (kind == "counter") == name.endswith("_total"), name
        assert (kind != "histogram") or name.endswith("_seconds"), name


def test_other_pages_name_no_metric_that_is_not_there() -> None:
    known = set(DOCUMENTED) | {f"{name}{part}" for name in DOCUMENTED for part in ("_bucket", "_count", "_sum")}
    for page in (ROOT / "docs").rglob("*.md"):
        named = set(re.findall(r"\broundhouse_[a-z_]+[a-z]\b(?!\()", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page.name} names {named - known}"
