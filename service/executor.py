"""Performs effects: one small function per kind, none of which waits.

An effect wakes a handler, puts a message on its way, starts a supervised task or sets a flag. What comes of it
returns as an event. Effects about a runner that is gone are late, which is normal: they met its closing event on the
way.
"""

from collections.abc import Callable
from typing import Any

from structlog.typing import FilteringBoundLogger

from service.desk import Desk
from service.incarnation import Incarnation
from service.leases import Granted
from service.logs import LEVELS
from service.ports import Journal
from service.runners import Runners
from statemachines import effects
from statemachines.effects import AnyEffect
from statemachines.states import Stage
from statemachines.units import RunnerId

Finish = Callable[[tuple[RunnerId, ...]], None]

_TRANSITION_LEVELS = {
    ("runner", "unloading"): "info",
    ("load", "failed"): "warning",
    ("service", "open"): "info",
    ("service", "draining"): "info",
    ("service", "stopped"): "info",
}
"""Transitions that an operator wants to see on a quiet day; the rest is for debugging. A runner's birth, its model
and its end are told by its own task, which knows more about them."""

_RUNG_LEVELS = {"TermLimit": "warning", "KillLimit": "error"}
"""A runner that does not end when asked will do so again; one that not even SIGKILL ends holds its memory for good."""


class Executor:
    """The dispatch table.

    Args:
        sample: has the devices read now.
        finish: ends the service once the core has let go of it.
    """

    def __init__(
        self,
        *,
        runners: Runners,
        desk: Desk,
        sample: Callable[[], None],
        journal: Journal,
        log: FilteringBoundLogger,
        finish: Finish,
    ) -> None:
        self._runners = runners
        self._desk = desk
        self._sample = sample
        self._journal = journal
        self._log = log
        self._finish = finish
        self._table: dict[type, Callable[[Any], None]] = {
            effects.GrantLease: self._grant_lease,
            effects.RefuseRequest: self._refuse_request,
            effects.CancelLease: self._cancel_lease,
            effects.SpawnRunner: runners.spawn,
            effects.TerminateRunner: self._terminate_runner,
            effects.KillRunner: self._kill_runner,
            effects.SetThreads: self._set_threads,
            effects.SampleDevices: self._sample_devices,
            effects.FinishShutdown: self._finish_shutdown,
            effects.ReportTransition: self._report_transition,
            effects.ReportStage: self._report_stage,
            effects.ReportIgnored: self._report_ignored,
            effects.ReportIllegal: self._report_illegal,
        }

    def perform(self, effect: AnyEffect) -> None:
        """Do what the core decided, without waiting."""
        self._table[type(effect)](effect)

    # Requests

    def _grant_lease(self, effect: effects.GrantLease) -> None:
        incarnation = self._runners[effect.runner]
        stream = incarnation.leases.open(effect.lease)
        self._desk.grant(effect.request, Granted(incarnation, stream))

    def _refuse_request(self, effect: effects.RefuseRequest) -> None:
        refusal = effect.refusal
        label = self._desk.request_label(effect.request)
        self._log.info("request refused", request=label, code=refusal.code, reason=refusal.message)
        self._desk.refuse(effect.request, refusal)

    def _cancel_lease(self, effect: effects.CancelLease) -> None:
        self._with(effect.runner, lambda incarnation: incarnation.leases.cancel(effect.lease))

    # Runners

    def _terminate_runner(self, effect: effects.TerminateRunner) -> None:
        self._with(effect.runner, Incarnation.terminate)

    def _kill_runner(self, effect: effects.KillRunner) -> None:
        self._with(effect.runner, Incarnation.kill)

    def _set_threads(self, effect: effects.SetThreads) -> None:
        self._with(effect.runner, lambda incarnation: incarnation.set_threads(effect.threads))

    def _with(self, runner: RunnerId, order: Callable[[Incarnation], None]) -> None:
        incarnation = self._runners.get(runner)
        if incarnation is not None:
            order(incarnation)

    # Devices and the service

    def _sample_devices(self, _effect: effects.SampleDevices) -> None:
        self._sample()

    def _finish_shutdown(self, effect: effects.FinishShutdown) -> None:
        self._finish(effect.unreapable)

    # Reports

    def _report_transition(self, effect: effects.ReportTransition) -> None:
        level = _TRANSITION_LEVELS.get((effect.machine, effect.target), "debug")
        if effect.machine == "runner":
            self._runners.move(RunnerId(effect.id), effect.target)
        self._say(level, f"{effect.machine} {effect.target}", effect.machine, effect.id, why=effect.why)
        if effect.machine == "runner" and effect.target == "dead":
            self._runners.forget(RunnerId(effect.id))

    def _report_stage(self, effect: effects.ReportStage) -> None:
        level = _RUNG_LEVELS.get(effect.trigger, "info")
        self._say(level, f"runner {effect.stage}", "runner", effect.runner, why=effect.why)
        if effect.stage == Stage.UNREAPABLE:  # Its link may stay open for as long as it hangs, and say nothing.
            self._with(effect.runner, lambda incarnation: incarnation.leases.lose_all())

    def _report_ignored(self, effect: effects.ReportIgnored) -> None:
        """Late and doubled events are the normal course of things."""
        said = {"trigger": effect.trigger, "reason": effect.reason, "met": effect.state}
        self._say("debug", "event ignored", effect.machine, effect.id, **said)

    def _report_illegal(self, effect: effects.ReportIllegal) -> None:
        said = {"trigger": effect.trigger, "reason": effect.reason, "met": effect.state}
        self._say("error", "illegal event: the journal is written out", effect.machine, effect.id, **said)
        self._journal.dump(f"illegal: {effect.machine} {effect.id} in {effect.state} met {effect.trigger}")

    def _say(self, level: str, line: str, machine: str, machine_id: int, **fields: object) -> None:
        incarnation = self._incarnation(machine, machine_id)
        if incarnation is not None:
            incarnation.record.say(level, line, **fields)
        else:
            self._log.log(LEVELS[level], line, **{machine: machine_id}, **fields)

    def _incarnation(self, machine: str, machine_id: int) -> Incarnation | None:
        return self._runners.get(RunnerId(machine_id)) if machine == "runner" else None
