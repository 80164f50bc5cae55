"""Which known name was probably meant."""

import pytest

from service.cli.nearest import nearest

KNOWN = ("host", "log_format", "log_level", "queue_len", "spare", "spare_pause_s", "state")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("quue_len", "queue_len"),
        ("queue_length", "queue_len"),
        ("queue", "queue_len"),
        ("log", "log_level"),
        ("spare", "spare"),
        ("spares", "spare"),
        ("a", None),
        ("q", None),
        ("xyz", None),
        ("temperature", None),
        ("", None),
    ],
)
def test_it_is_the_one_that_looks_most_like_it_or_none(name: str, meant: str | None) -> None:
    assert nearest(name, KNOWN) == meant


def test_among_equals_it_does_not_depend_on_their_order() -> None:
    assert nearest("host_x", ("host_b", "host_a")) == nearest("host_x", ("host_a", "host_b"))
