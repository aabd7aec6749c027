"""What each command of the registration does: acts on the registrar, then tells session and hot process. Refusals are values."""

from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from daemon.alarms import Alarms
from daemon.bus_requests import Call
from daemon.core import Core
from daemon.messages import (
    CheckParams,
    CheckResult,
    Done,
    Error,
    ErrorCode,
    Message,
    Priority,
    RegistrationResult,
    Step,
    TouchNowParams,
    TouchParams,
    TouchResult,
)
from daemon.mt_commands import refuse
from daemon.record import Record
from daemon.registrar import Registrar
from daemon.registration_telling import registration_body
from daemon.session_words import Registered, Unregistered

Result = Message | Error
TOUCH_REMEDY = "Hold the tip still on the mark, in view of the camera."
SWEEP_REMEDY = "Sweep on: forehead, nose bridge, crown, both sides."


class Desk(Protocol):
    """What the commands of a session know, and these ask."""

    @property
    def operator(self) -> str | None: ...

    def send_aim(self) -> None: ...


class RegistrationCommands:
    """`does`: each command's method by its name."""

    def __init__(self, core: Core, registrar: Registrar, record: Record, alarms: Alarms, desk: Desk) -> None:
        self._core, self._registrar, self._record, self._alarms, self._desk = core, registrar, record, alarms, desk
        self.does: dict[str, Callable[[Call], Awaitable[Result]]] = {
            "touch_landmark": self._touch_landmark,
            "touch_now": self._touch_now,
            "retake_landmark": self._retake_landmark,
            "undo_touch": self._undo_touch,
            "start_sweep": self._start_sweep,
            "end_sweep": self._end_sweep,
            "accept_registration": self._accept_registration,
            "reject_registration": self._reject_registration,
            "check_touch": self._check_touch,
            "start_quick_registration": self._start_quick_registration,
        }

    def _done(self, trouble: str | None = None, remedy: str = "") -> Result:
        if trouble is not None:
            return refuse(ErrorCode.REGISTRATION_REFUSED, trouble, remedy)
        return Done(state_rev=self._core.state.rev)

    @property
    def _by(self) -> str:
        return self._desk.operator or "unknown"

    # ---- touching ----

    async def _touch_landmark(self, call: Call) -> Result:
        return await self._touch(cast(TouchParams, call.params).landmark, at_once=False)

    async def _touch_now(self, call: Call) -> Result:
        return await self._touch(cast(TouchNowParams, call.params).landmark, at_once=True)

    async def _touch(self, landmark: str | None, *, at_once: bool) -> Result:
        if landmark is not None and (unknown := self._unknown(landmark)) is not None:
            return unknown
        answer = await self._registrar.touch(landmark, at_once=at_once)
        if isinstance(answer, str):
            return refuse(ErrorCode.TOUCH_REFUSED, answer, TOUCH_REMEDY, retryable=True)
        name, touch, apart_mm, kept = answer
        return TouchResult(state_rev=self._core.state.rev, landmark=name, touches=kept, spread_mm=touch.spread_mm, apart_mm=apart_mm)

    def _unknown(self, landmark: str) -> Error | None:
        treatment = self._core.treatment
        known = () if treatment is None else sorted(treatment.opened.plan.fiducials_in_mri_mm)
        if landmark in known:
            return None
        return refuse(ErrorCode.BAD_PARAMS, f"the plan marks no {landmark!r}", f"Marked are: {', '.join(known)}.")

    async def _retake_landmark(self, call: Call) -> Result:
        return self._done(await self._registrar.retake(cast(TouchParams, call.params).landmark), "Name one that was touched.")

    async def _undo_touch(self, _call: Call) -> Result:
        return self._done(await self._registrar.undo(), "Touch or sweep first.")

    # ---- sweep, verdict ----

    async def _start_sweep(self, _call: Call) -> Result:
        return self._done(self._registrar.start_sweep(), "Touch each landmark as the screen asks.")

    async def _end_sweep(self, _call: Call) -> Result:
        trouble = await self._registrar.end_sweep()
        if trouble is not None:
            return refuse(ErrorCode.REGISTRATION_REFUSED, trouble, SWEEP_REMEDY)
        return RegistrationResult(state_rev=self._core.state.rev, registration=registration_body(self._registrar))

    async def _accept_registration(self, _call: Call) -> Result:
        refusal = await self._registrar.accept(self._by)
        if refusal is not None:
            return refuse(ErrorCode.REGISTRATION_REFUSED, refusal, "Do what the screen asks, or register again.")
        await self._registered("accepted a registration")
        return self._done()

    async def _registered(self, what: str) -> None:
        """A registration stands from now on."""
        self._alarms.clear("reference_slipped")
        self._desk.send_aim()
        self._core.happen(Registered())
        standing, treatment = self._registrar.standing, self._core.treatment
        if standing is not None and treatment is not None:
            error_mm = self._registrar.expected_error_mm
            note = f"{what}: {standing.kind}, {standing.verdict}, expected error {error_mm:.2f} mm at the target"
            await self._record.note(self._by, note, patient=treatment.course.patient)

    async def _reject_registration(self, _call: Call) -> Result:
        trouble = await self._registrar.reject(self._by)
        self._unregistered()
        return self._done(trouble)

    def _unregistered(self) -> None:
        self._alarms.clear("reference_slipped")
        self._desk.send_aim()
        self._core.happen(Unregistered())

    async def _start_quick_registration(self, _call: Call) -> Result:
        trouble = self._registrar.start_quick()
        if trouble is None:
            self._unregistered()
        return self._done(trouble, "Register the head in full.")

    # ---- checks ----

    async def _check_touch(self, call: Call) -> Result:
        params = cast(CheckParams, call.params)
        answer = await self._registrar.check_touch(params.landmark, at_once=params.now, by=self._by)
        if isinstance(answer, str):
            return refuse(ErrorCode.TOUCH_REFUSED, answer, TOUCH_REMEDY, retryable=True)
        landmark, distance_mm, complete = answer
        self._tell_slip(landmark, distance_mm)
        self._desk.send_aim()
        if complete and self._registrar.standing is not None and self._core.state.step is Step.REGISTER:
            await self._registered("took up an earlier registration after a check")
        return CheckResult(state_rev=self._core.state.rev, landmark=landmark, distance_mm=distance_mm, complete=complete)

    def _tell_slip(self, landmark: str, distance_mm: float) -> None:
        check, limits = self._registrar.check, self._registrar.check_limits
        if check is None or not check.has_slipped:
            self._alarms.clear("reference_slipped")
        elif not distance_mm <= limits.block_mm:
            text = f"{landmark} lies {distance_mm:.1f} mm from where it was at the registration: the head tracker has slipped"
            self._alarms.raise_("reference_slipped", Priority.MEDIUM, text, "Register again, or touch nose and both ears again.")
        if distance_mm > limits.warn_mm and check is not None and not check.has_slipped:
            text = f"{landmark} lies {distance_mm:.1f} mm from where it was at the registration"
            self._alarms.raise_("reference_drifts", Priority.LOW, text, "Touch it again, or register quickly.")
        else:
            self._alarms.clear("reference_drifts")
