"""What each command does: checks who asks, on which state, in which step, then acts. Refusals are values.

One changing command at a time; `stop` and `hold` never wait for another.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from calibration.bad_input import BadInput
from daemon import ipc, operator_lease
from daemon.alarms import Alarms
from daemon.bus_requests import Call
from daemon.calibration_commands import CalibrationCommands
from daemon.calibrations import Calibrations
from daemon.calibrator import Calibrator
from daemon.chair_memory import ChairMemory
from daemon.config import SIMULATION_ONLY, Config, tracker_is_here
from daemon.core import Core
from daemon.day import REASON_TEXT
from daemon.ledger import LedgerError, Refused
from daemon.limits import LimitsInvalid
from daemon.messages import (
    METHODS,
    AlarmParams,
    Done,
    DoseBody,
    Error,
    ErrorCode,
    Message,
    NameParams,
    OpenPlanParams,
    OpenPlanResult,
    Step,
    StopParams,
    StopResult,
)
from daemon.mt_commands import MtCommands, refuse
from daemon.mt_core import ThresholdCore
from daemon.operator_lease import OperatorLease
from daemon.plan_values import PlanError
from daemon.protocol import ProtocolError
from daemon.reasons import TABLE
from daemon.record import Record
from daemon.registrar import Registrar
from daemon.registration_commands import RegistrationCommands
from daemon.session import COMMANDS
from daemon.session_words import ArmAsked, CloseAsked, HoldAsked, PlanOpened, ResumeAsked, StartAsked, StopAsked, Unregistered
from daemon.stimulator_section import TriggerBoxSection
from daemon.telling import Telling, dose_body
from daemon.treatment import Treatment, dosed_by, open_treatment
from drivers.values import StimState, TrackerState

ARM_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 10.0
STOP_TEST_S = 30.0
Result = Message | Error


class Commands:
    """The desk behind the network face."""

    def __init__(
        self,
        config: Config,
        core: Core,
        record: Record,
        registrar: Registrar,
        telling: Telling,
        alarms: Alarms,
        memory: ChairMemory,
        orders: ipc.Channel[ipc.FromHotOrder],
        threshold: ThresholdCore,
        calibrations: Calibrations,
        calibrator: Calibrator,
    ) -> None:
        self._config, self._core, self._record, self._registrar = config, core, record, registrar
        self._telling, self._alarms, self._memory, self._orders = telling, alarms, memory, orders
        self.lease: OperatorLease = operator_lease.FREE
        self.dose: DoseBody | None = None
        self._threshold = threshold
        self._calibrations, self._calibrator = calibrations, calibrator
        self._calibrating = CalibrationCommands(config, core, calibrations, calibrator, record, self)
        self._busy: str | None = None
        self._test_no = 0
        self._does: dict[str, Callable[[Call], Awaitable[Result]]] = {
            "stop": self._stop,
            "take_lease": self._take_lease,
            "keep_lease": self._keep_lease,
            "release_lease": self._release_lease,
            "open_plan": self._open_plan,
            "test_hardware_stop": self._test_hardware_stop,
            "arm": self._arm,
            "start": self._start,
            "hold": self._hold,
            "resume": self._resume,
            "close": self._close,
            "acknowledge_alarm": self._acknowledge_alarm,
        }
        self._does |= MtCommands(config, core, threshold, record, telling, self).does | self._calibrating.does
        self._does |= RegistrationCommands(core, registrar, record, alarms, self).does

    @property
    def operator(self) -> str | None:
        """Name of the one who holds the lease now."""
        holder = operator_lease.lapse(self.lease, time.monotonic_ns()).holder
        return None if holder is None else holder.name

    @property
    def busy(self) -> bool:
        """A command that changes something is at work."""
        return self._busy is not None

    async def dispatch(self, call: Call) -> Result:
        method = METHODS[call.method]
        now_ns = time.monotonic_ns()
        if method.lease and not operator_lease.holds(self.lease, call.client, now_ns):
            return refuse(ErrorCode.NOT_OPERATOR, f"{call.method} needs the operator lease", "Call take_lease first, and keep it.")
        if not method.changes:
            return await self._does[call.method](call)
        if (refused := self._untimely(call)) is not None:
            return refused
        self._busy = call.method
        try:
            return await self._does[call.method](call)
        finally:
            self._busy = None

    def _untimely(self, call: Call) -> Error | None:
        state = self._core.state
        if call.state_rev is None:
            remedy = "Send expect.state_rev as last told by v1/session."
            return refuse(ErrorCode.STATE_REV_MISSING, f"{call.method} changes the state and names no revision", remedy)
        if call.state_rev != state.rev:
            message = f"{call.method} was based on revision {call.state_rev}, the state is at {state.rev}"
            return refuse(ErrorCode.STALE_STATE, message, "Read v1/session and ask again.", retryable=True)
        if state.step not in COMMANDS[call.method]:
            steps = ", ".join(sorted(COMMANDS[call.method]))
            return refuse(ErrorCode.WRONG_STEP, f"{call.method} is not possible in step {state.step}", f"It is possible in: {steps}.")
        if self._threshold.is_open and call.method in ("open_plan", "arm", "test_hardware_stop"):
            return refuse(ErrorCode.WRONG_STEP, "a search for the motor threshold holds the chair", "Finish or close it first.")
        if self._calibrator.is_open and call.method in ("open_plan", "arm", "test_hardware_stop", "mt_open", "mt_arm"):
            return refuse(ErrorCode.WRONG_STEP, "a calibration holds the chair", "End or cancel it first.")
        if self._busy is not None:
            return refuse(ErrorCode.BUSY, f"{self._busy} is still at work", "Wait for its answer.", retryable=True)
        return None

    def _done(self) -> Done:
        return Done(state_rev=self._core.state.rev)

    # ---- anybody ----

    async def _stop(self, call: Call) -> Result:
        """Out at once; the answer waits a moment for the device's confirmation."""
        params = cast(StopParams, call.params)
        before = self._core.safe
        stop = StopAsked(why=f"stop: {params.why}")
        self._core.happen(stop)
        self._threshold.happen(stop)
        await self._core.until(lambda: self._core.safe is not before, STOP_TIMEOUT_S)
        safe = self._core.safe
        return StopResult(state_rev=self._core.state.rev, disarm_confirmed=None if safe is before or safe is None else safe.confirmed)

    async def _take_lease(self, call: Call) -> Result:
        params = cast(NameParams, call.params)
        return self._leased(operator_lease.take(self.lease, call.client, params.name, time.monotonic_ns()))

    async def _keep_lease(self, call: Call) -> Result:
        return self._leased(operator_lease.keep(self.lease, call.client, time.monotonic_ns()))

    async def _release_lease(self, call: Call) -> Result:
        return self._leased(operator_lease.release(self.lease, call.client, time.monotonic_ns()))

    def _leased(self, after: OperatorLease | ErrorCode) -> Result:
        if isinstance(after, ErrorCode):
            texts = {
                ErrorCode.LEASE_HELD: (f"{self.operator} holds the operator lease", "Ask for it to be released."),
                ErrorCode.NOT_OPERATOR: ("you do not hold the operator lease", "Take it first."),
            }
            message, remedy = texts.get(after, ("the name is empty", "Say who you are."))
            return refuse(after, message, remedy)
        self.lease = after
        return self._done()

    async def _acknowledge_alarm(self, call: Call) -> Result:
        params = cast(AlarmParams, call.params)
        if not self._alarms.acknowledge(params.id, params.name):
            return refuse(ErrorCode.BAD_PARAMS, f"there is no alarm {params.id!r}", "Use the id of a v1/alarm topic.")
        await self._record.note(params.name, f"acknowledged alarm {params.id}")
        return self._done()

    # ---- plan ----

    async def _open_plan(self, call: Call) -> Result:
        path = Path(cast(OpenPlanParams, call.params).path)
        try:
            treatment = await asyncio.to_thread(open_treatment, path, self._config)
            threshold = await self._record.latest_threshold(treatment.opened.plan.patient)
            treatment = dosed_by(treatment, self._config, threshold)
        except (PlanError, ProtocolError, LimitsInvalid, BadInput) as error:
            return refuse(ErrorCode.PLAN_REFUSED, str(error), "Correct the plan, then open it again.")
        except LedgerError:
            return refuse(ErrorCode.LEDGER_UNAVAILABLE, "the dose record is out of reach", "Call the engineer.", retryable=True)
        if treatment.course.settings.amplitude_pct_mso > self._config.stimulator.max_amplitude_pct_mso:
            message = f"the set point of {treatment.course.settings.amplitude_pct_mso} %MSO is above this chair's ceiling"
            return refuse(ErrorCode.PLAN_REFUSED, message, "Check the plan and [stimulator].max_amplitude_pct_mso.")
        if not self._core.may_open_plan:
            return refuse(ErrorCode.WRONG_STEP, "the session has moved on", "Close it first.")
        self._core.treatment = treatment
        registered = self._registrar.begin(await asyncio.to_thread(self._registrar.look_up, treatment))
        self.send_aim()
        self._core.happen(PlanOpened(course=treatment.course, registered=registered))
        dose = await self.refresh_dose()
        if dose is None:
            return refuse(ErrorCode.LEDGER_UNAVAILABLE, "the dose record is out of reach", "Call the engineer.", retryable=True)
        return OpenPlanResult(
            state_rev=self._core.state.rev,
            patient=treatment.course.patient,
            protocol=treatment.course.protocol,
            warnings=treatment.warnings,
            dose=dose,
        )

    async def refresh_dose(self) -> DoseBody | None:
        """Ask the ledger for the day of the open plan's patient, and tell it."""
        treatment = self._core.treatment
        if treatment is None:
            return None
        try:
            verdict = await self._record.day_of(treatment)
        except LedgerError:
            return None
        self.dose = dose_body(treatment.course.patient, verdict, treatment.limits)
        self._telling.tell_dose(self.dose)
        return self.dose

    def send_aim(self) -> None:
        """Tell the hot process where the target is, or that there is none."""
        aim = self._registrar.aim()
        self._telling.expected_error_mm = self._registrar.expected_error_mm
        self._telling.errors.display.aim(aim)
        self._orders.send(ipc.ClearAim() if aim is None else aim)

    # ---- calibrations ----

    def is_chair_free(self) -> bool:
        """No session, no search for a threshold, nothing being armed or opened."""
        return self._core.state.session_id is None and not self._threshold.is_open and self._busy is None

    def hand_over_calibration(self) -> None:
        """Tell the hot process which calibration of the coil is in use now; nothing where the chair's file says it."""
        calibrated = self._calibrations.for_hot()
        if calibrated is not None:
            self._orders.send(calibrated)

    def forget_registration(self) -> None:
        """What was touched with the old pointer no longer counts."""
        self._registrar.forget()
        self.send_aim()
        self._core.happen(Unregistered())

    def tracker_name(self) -> str:
        seen = self._telling.identity
        return "unknown" if seen is None else f"{seen.model} {seen.serial}, firmware {seen.firmware}, {seen.frame_hz:g} Hz"

    # ---- devices ----

    async def _test_hardware_stop(self, _call: Call) -> Result:
        if (unready := self.stimulator_unready()) is not None:
            return unready
        self._test_no -= 1  # apart from the numbers of real arms
        number = self._test_no
        self._core.stop_test = None
        if not self._orders.send(ipc.TestStop(arm_no=number, within_ns=round(STOP_TEST_S * 1e9))):
            return refuse(ErrorCode.DEVICE_NOT_READY, "the hot process does not listen", "Call the engineer.")

        def answered() -> bool:
            return self._core.stop_test is not None and self._core.stop_test.arm_no == number

        await self._core.until(answered, STOP_TEST_S + 5.0)
        seen = self._core.stop_test
        if seen is None or not seen.seen:
            why = "no answer" if seen is None else seen.why
            return refuse(ErrorCode.HARDWARE_STOP_UNTESTED, f"the hardware stop was not seen: {why}", "Press the red button while asked.")
        self._memory.remember_hardware_stop(time.time())
        await self._record.note(self.operator or "unknown", "tested the hardware stop: the device switched off")
        self._core.announce()
        return self._done()

    def stimulator_unready(self) -> Error | None:
        stim, safe = self._telling.stim, self._core.safe
        at_rest = stim is not None and stim.state in (StimState.STANDBY, StimState.FAULT) and stim.enabled is False
        if self._core.run_id is None or stim is None or safe is None or not safe.confirmed or not at_rest:
            state = "unknown" if stim is None else stim.state
            message = f"the stimulator is not in confirmed standby (state: {state})"
            return refuse(ErrorCode.DEVICE_NOT_READY, message, "Check its cable, its power and its display.", retryable=True)
        return None

    def simulated(self) -> bool:
        """Both devices have proved to be our simulators: by what they say and by where they are."""
        stim, identity, unit = self._telling.stim, self._telling.identity, self._config.stimulator
        return (
            stim is not None
            and stim.simulated
            and (isinstance(unit, TriggerBoxSection) or os.path.realpath(unit.port).startswith("/dev/pts/"))
            and identity is not None
            and identity.serial.startswith("SIM-")
            and tracker_is_here(self._config)
        )

    def stop_untested(self) -> Error | None:
        if self._memory.hardware_stop_tested(time.time()):
            return None
        message = "the hardware stop has not been tested today"
        return refuse(ErrorCode.HARDWARE_STOP_UNTESTED, message, "Call test_hardware_stop and press the red button.")

    def _cannot_arm(self, treatment: Treatment) -> Error | None:
        if (unready := self.stimulator_unready()) is not None:
            return unready
        if self._telling.tracker is None or self._telling.tracker.state != TrackerState.TRACKING:
            return refuse(ErrorCode.DEVICE_NOT_READY, "the tracker is not tracking", "Check the tracker.", retryable=True)
        if (untested := self.stop_untested()) is not None:
            return untested
        if (treatment.simulation_only or self._config.site.basis == SIMULATION_ONLY) and not self.simulated():
            message = "plan, protocol or site figures are signed for simulation only, and these devices are not the simulators"
            return refuse(ErrorCode.SIMULATION_ONLY, message, "Use figures that the site has signed for real devices.")
        return None

    # ---- delivery ----

    async def _arm(self, _call: Call) -> Result:
        treatment = self._core.treatment
        if treatment is None:
            return refuse(ErrorCode.WRONG_STEP, "no plan is open", "Open one first.")
        if (refused := self._cannot_arm(treatment)) is not None:
            return refused
        if (why := await self._calibrating.look_again()) is not None:
            return refuse(ErrorCode.CALIBRATION_REFUSED, why, "See `atmsd calibrate list`; calibrate, or accept a calibration.")
        core = self._core
        core.operator_name, core.refusal = self.operator or "unknown", None
        core.device_serial = None if self._telling.stim is None else f"{self._telling.stim.model} {self._telling.stim.serial}"
        core.happen(ArmAsked())

        def decided() -> bool:
            return not core.state.opening and core.state.arm_until_ns is None

        await core.until(decided, ARM_TIMEOUT_S)
        if core.refusal is not None:
            return await self._dose_refused(core.refusal)
        if not core.state.armed:
            why = core.state.stopped_why or "no confirmation"
            return refuse(ErrorCode.DEVICE_NOT_READY, f"the stimulator could not be armed: {why}", "See the alarms, then arm again.")
        return self._done()

    async def _dose_refused(self, refused: Refused) -> Error:
        dose = await self.refresh_dose()
        lines = [f"{reason}: {REASON_TEXT[reason].text}" for reason in refused.reasons]
        earliest = None if dose is None else dose.earliest_utc
        code = ErrorCode.LEDGER_UNAVAILABLE if dose is None else ErrorCode.DOSE_REFUSED
        details: dict[str, object] = {"reasons": [str(reason) for reason in refused.reasons], "earliest_utc": earliest}
        remedy = REASON_TEXT[refused.reasons[0]].remedy if earliest is None else f"A start is allowed from {earliest}."
        return refuse(code, "; ".join(lines), remedy, details=details)

    def _gate_closed(self, what: str) -> Error | None:
        against = self._telling.blocking(self._core.state)
        if not against:
            return None
        rows = [TABLE[veto][2] for veto in against]
        details: dict[str, object] = {"reasons": list(against)}
        message = f"{what} is not possible: {', '.join(rows)}"
        return refuse(ErrorCode.GATE_CLOSED, message, TABLE[against[0]][3], retryable=True, details=details)

    async def _start(self, _call: Call) -> Result:
        if (closed := self._gate_closed("start")) is not None:
            return closed
        self._core.happen(StartAsked())
        return self._done()

    async def _hold(self, _call: Call) -> Result:
        """Never refused for its timing: where nothing is delivered there is nothing to hold."""
        self._core.happen(HoldAsked(why=("operator",)))
        return self._done()

    async def _resume(self, _call: Call) -> Result:
        if (closed := self._gate_closed("resume")) is not None:
            return closed
        self._core.happen(ResumeAsked())
        return self._done()

    async def _close(self, _call: Call) -> Result:
        core = self._core
        core.happen(CloseAsked())
        await core.until(lambda: core.state.step in (Step.DONE, Step.PLAN), CLOSE_TIMEOUT_S)
        if core.state.step is Step.PLAN:
            core.treatment = None
        else:
            await self.refresh_dose()
        return self._done()
