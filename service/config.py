"""The effective settings. Where each one comes from (flag, environment, default) is `service.cli.settings`."""

from pathlib import Path

import msgspec

from statemachines.limits import Limits
from statemachines.units import NS_PER_S

COMPATIBLE_VERSION = "0.12.6"
"""What `/api/version` says by default: some clients refuse servers below 0.6.4."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one service runs with; checked by `service.cli.settings` before anything starts.

    Attributes:
        host, port: where HTTP listens; port 0 takes a free one.
        admin_listen: where operators are answered instead: ``unix:/PATH`` or ``HOST:PORT`` of this machine; None where
            clients are, or on a socket in the state folder when other machines reach that.
        allow_remote: written consent to listen on an address that is not loopback.
        models: the folder whose ``*.gguf`` files are served.
        state: the folder of `service.state`: digests and journals.
        demo: also serve the packaged scripted test model, as ``demo``; a file of that name in ``models`` comes first.
        context_length: default context [tokens]; None chooses by tier.
        origins: further CORS origins, wildcards allowed.
        compatible_version: what `/api/version` reports.
        log_format: ``human``, ``json``, or ``auto`` (human on a terminal).
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        sample_interval_ns: pause between two readings of memory.
        facts_limit_ns: deadline of reading one model file's header.
        facts_memory_bytes: memory limit of that task.
        link_exit_ns: from the end of a runner's link to its exit, before the link counts as lost.
        connections_max: clients that may be connected at once; None for all that the descriptors allow.
        head_ns: how long a client may take to send the head of a request.
        head_bytes_max, head_fields_max: how large that may be, and how many header fields it may have.
        body_ns: how long a client may take to send the body.
        body_bytes_max, bodies_bytes_max: the largest request body, and all of them together.
        idle_connection_ns: how long a connection may stay without a request.
        client_stall_ns: a client that reads nothing for this long loses its lease.
        followers_max: who may follow `/debug/events` at once [count].
        health_ns: how long the reactor may take to answer `/health`.
        metrics_models_max: models that have a label of their own in metrics [count].
        journal_steps_max: steps that the journal in memory keeps [count].
        spare: keep one runner process started ahead of need.
        strict: an illegal event ends the service (tests).
        limits: the core's limits.
    """

    host: str = "127.0.0.1"
    port: int = 11434
    allow_remote: bool = False
    admin_listen: str | None = None
    models: Path
    state: Path
    demo: bool = False
    context_length: int | None = None
    origins: tuple[str, ...] = ()
    compatible_version: str = COMPATIBLE_VERSION
    log_format: str = "auto"
    log_level: str = "info"
    sample_interval_ns: int = 1 * NS_PER_S
    facts_limit_ns: int = 10 * NS_PER_S
    facts_memory_bytes: int = 1 << 30
    link_exit_ns: int = 1 * NS_PER_S
    connections_max: int | None = None
    head_ns: int = 10 * NS_PER_S
    head_bytes_max: int = 16 << 10
    head_fields_max: int = 100
    body_ns: int = 60 * NS_PER_S
    body_bytes_max: int = 64 << 20
    bodies_bytes_max: int = 256 << 20
    idle_connection_ns: int = 75 * NS_PER_S
    client_stall_ns: int = 60 * NS_PER_S
    followers_max: int = 16
    health_ns: int = 1 * NS_PER_S
    metrics_models_max: int = 50
    journal_steps_max: int = 10_000
    spare: bool = True
    strict: bool = False
    limits: Limits = Limits()
