"""Every limit that some rule uses, with its name and default (docs/reference/settings.md lists them)."""

import msgspec

from statemachines.units import NS_PER_S


class Limits(msgspec.Struct, frozen=True):
    """The core's limits. Durations in nanoseconds; the configuration spells them in seconds.

    Attributes:
        queue_len_max: requests that may wait at once, over all models [count].
        wait_ns: how long one request may wait for a slot.
        load_stall_ns: a load without progress for this long is killed.
        load_grace_ns: how long a load that nobody wants any more lives on; 0 is allowed.
        loads_parallel_max: loads that may run side by side [count].
        runners_max: runners that are LOADING, READY or UNLOADING at once [count].
        stop_grace_ns: from SIGTERM to SIGKILL.
        kill_grace_ns: from SIGKILL to calling a process unreapable.
        drain_ns: how long an operator's forced stop lets leases run on.
        shutdown_drain_ns: the same when the service stops.
        cancel_ack_ns: a runner that goes on without ending a cancelled lease for this long is wedged.
        wedge_ns: a busy runner that gets nothing done for this long is killed.
        retry_backoff_ns: pause before a load is tried a second time.
        load_attempts_max: tries of one load, the first included [count].
        plans_per_step_max: waiting loads that one step plans; the rest is due in the next step [count].
        keep_alive_default_ns: keep-alive of a fresh load whose request names none.
        keep_alive_max_ns: the longest keep-alive a client can get.
        host_budget_bytes: the most that runners may hold in host memory; None for what the host has.
        host_overhead_bytes: host memory that is never planned for.
        cpu_threads: cores that CPU runners share [count].
        dead_kept: DEAD runners that are remembered for operators [count].
        spare_warm_ns: a spare that has not imported its engine by then is killed.
        spare_pause_ns: from the end of the last load under way to the start of the next spare.
        spare_backoff_ns: the same after a spare was lost; doubled with each one more.
        spare_backoff_max_ns: the longest such pause.
    """

    queue_len_max: int = 512
    wait_ns: int = 600 * NS_PER_S
    load_stall_ns: int = 300 * NS_PER_S
    load_grace_ns: int = 30 * NS_PER_S
    loads_parallel_max: int = 2
    runners_max: int = 3
    stop_grace_ns: int = 5 * NS_PER_S
    kill_grace_ns: int = 5 * NS_PER_S
    drain_ns: int = 30 * NS_PER_S
    shutdown_drain_ns: int = 10 * NS_PER_S
    cancel_ack_ns: int = 10 * NS_PER_S
    wedge_ns: int = 60 * NS_PER_S
    retry_backoff_ns: int = 1 * NS_PER_S
    load_attempts_max: int = 2
    plans_per_step_max: int = 8
    keep_alive_default_ns: int = 300 * NS_PER_S
    keep_alive_max_ns: int = (1 << 63) - 1
    host_budget_bytes: int | None = None
    host_overhead_bytes: int = 0
    cpu_threads: int = 1
    dead_kept: int = 100
    spare_warm_ns: int = 30 * NS_PER_S
    spare_pause_ns: int = 1 * NS_PER_S
    spare_backoff_ns: int = 1 * NS_PER_S
    spare_backoff_max_ns: int = 60 * NS_PER_S
