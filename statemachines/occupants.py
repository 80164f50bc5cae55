"""Who is in which state: a snapshot by machine and state, one short line for each."""

from collections.abc import Iterable, Iterator

from statemachines.snapshot import DeviceView, LoadView, RequestView, RunnerView, StateView
from statemachines.units import format_bytes

Place = tuple[str, str]
"""A machine and one of its states."""


def occupants(view: StateView) -> dict[Place, list[str]]:
    """Each state that somebody is in, with who that is, in order of age."""
    found: dict[Place, list[str]] = {}
    for place, words in _all(view):
        found.setdefault(place, []).append(words)
    return found


def _all(view: StateView) -> Iterator[tuple[Place, str]]:
    yield ("service", view.service), "the service"
    yield from ((("request", str(one.state)), _request(one)) for one in view.requests)
    yield from ((("load", str(one.state)), _load(one)) for one in view.loads)
    yield from ((("runner", str(one.state)), _runner(one)) for one in (*view.runners, *view.dead))
    yield from _devices(view.devices)


def _request(request: RequestView) -> str:
    where = "" if request.cause is None else f", waits for {request.cause.cause}"
    return f"request {request.request} {request.model}{where}"


def _load(load: LoadView) -> str:
    where = "" if load.cause is None else f", waits for {load.cause.cause}"
    return f"load {load.load} {load.model}{where}"


def _runner(runner: RunnerView) -> str:
    stage = f", {runner.stage}" if runner.stage else ""
    fence = "" if runner.fence is None else f", fenced for load {runner.fence}"
    leases = f", {len(runner.leases)} leases" if runner.leases else ""
    return f"runner {runner.runner} {runner.model}{stage}{fence}{leases}"


def _devices(devices: Iterable[DeviceView]) -> Iterator[tuple[Place, str]]:
    for device in devices:
        yield ("device", device.state), device.device
        sizes = {"reserved": device.reserved_bytes, "used": device.used_bytes, "returning": device.returning_bytes}
        yield from (
            (("bytes", name), f"{format_bytes(size)} on {device.device}") for name, size in sizes.items() if size
        )
