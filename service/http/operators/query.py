"""What ``/debug/events`` is asked for: its parameters, checked."""

import msgspec

from service.http.errors import ApiError
from service.http.exchange import Exchange
from service.operators.interest import KINDS, Interest
from statemachines.units import RequestId

LIMIT_DEFAULT = 100
_TRUTH = {"": False, "0": False, "false": False, "1": True, "true": True}


class Query(msgspec.Struct, frozen=True):
    """A checked wish to read the journal.

    Attributes:
        follow: go on with what comes.
        limit: of the steps that are there already, as many of the latest [count].
        last_id: the id of the step that was read last, or an empty string.
    """

    interest: Interest
    follow: bool
    limit: int
    last_id: str


def parse_query(exchange: Exchange) -> Query:
    """The parameters of a request.

    Raises:
        ApiError: 400, one is not what it may be.
    """
    follow = _TRUTH.get(exchange.query("follow").lower())
    if follow is None:
        raise ApiError(400, "follow must be 0 or 1")
    limit = _number(exchange.query("limit") or str(LIMIT_DEFAULT), "limit")
    ids = [(kind, _id(exchange, kind, text)) for kind in KINDS if (text := exchange.query(kind))]
    interest = Interest(ids, exchange.query("model") or None)
    return Query(interest, follow, limit, exchange.header("Last-Event-ID"))


def _id(exchange: Exchange, kind: str, text: str) -> int:
    """A number as ``/debug/state`` shows it; of a request also the id that its client was given."""
    _, dash, number = text.rpartition("-")
    found = _number(number, kind)
    if dash and (kind != "request" or exchange.front.request_label(RequestId(found)) != text):
        raise ApiError(400, f"{text[:80]!r} is no {kind} of this start of the service")
    return found


def _number(text: str, name: str) -> int:
    if not is_number(text):
        raise ApiError(400, f"{name} must be a whole number")
    return int(text)


def is_number(text: str) -> bool:
    """Whether it is one that we may have given out: digits, and not so many that reading them is work."""
    return text.isascii() and text.isdecimal() and len(text) < 19
