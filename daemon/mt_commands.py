"""What each command about the motor threshold does: checks, then an event for the search. Refusals are values."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from calibration.motor_threshold import Method
from daemon.bus_requests import Call
from daemon.config import SIMULATION_ONLY, Config
from daemon.core import Core
from daemon.day import REASON_TEXT
from daemon.ledger import LedgerError, Refused
from daemon.limit_files import SiteLimits, site_limits
from daemon.limits import LimitsInvalid, threshold_limits
from daemon.messages import (
    Done,
    Error,
    ErrorCode,
    Message,
    MtAnswerParams,
    MtOpenParams,
    MtPulseParams,
)
from daemon.messages import Step as SessionStep
from daemon.mt_chair import HuntAsked, Step
from daemon.mt_core import ThresholdCore
from daemon.mt_values import Evidence, MotorThresholdRecord
from daemon.mt_words import Answer, Confirm, HotspotFound, PulseWanted, Setup
from daemon.record import Record
from daemon.session_start import coil_name
from daemon.session_words import ArmAsked, CloseAsked
from daemon.telling import Telling

ARM_TIMEOUT_S = 20.0
OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 10.0
Result = Message | Error
FREE_STEPS = (SessionStep.PLAN, SessionStep.REGISTER, SessionStep.AIM, SessionStep.DONE)


def refuse(code: ErrorCode, message: str, remedy: str, *, retryable: bool = False, details: dict[str, object] | None = None) -> Error:
    return Error(code=code, message=message, remedy=remedy, retryable=retryable, details=details or {})


class Desk(Protocol):
    """What the commands of a treatment know, and these ask."""

    @property
    def operator(self) -> str | None: ...

    def simulated(self) -> bool: ...

    def stimulator_unready(self) -> Error | None: ...

    def stop_untested(self) -> Error | None: ...


class MtCommands:
    """The desk for the motor threshold."""

    def __init__(self, config: Config, core: Core, threshold: ThresholdCore, record: Record, telling: Telling, desk: Desk) -> None:
        self._config, self._core, self._threshold = config, core, threshold
        self._record, self._telling, self._desk = record, telling, desk
        self._figures: SiteLimits | None = None  # what the site said when the search was opened
        self.does: dict[str, Callable[[Call], Awaitable[Result]]] = {
            "mt_open": self._open,
            "mt_arm": self._arm,
            "mt_pulse": self._pulse,
            "mt_hotspot": self._hotspot,
            "mt_answer": self._answer,
            "mt_confirm": self._confirm,
            "mt_close": self._close,
        }

    def _done(self) -> Done:
        return Done(state_rev=self._core.state.rev)

    # ---- commands ----

    async def _open(self, call: Call) -> Result:
        params = cast(MtOpenParams, call.params)
        if (refused := self._cannot_open(params)) is not None:
            return refused
        try:
            figures = await asyncio.to_thread(site_limits, self._config, params.patient)
            limits = threshold_limits((*figures.site, *figures.patient), self._config.site.timezone)
            previous = await self._record.latest_threshold(params.patient)
            today = (await self._record.verdict(params.patient, 0, limits)).mt_pulses_today
            setup = self._setup(params, previous, limits.min_mt_pulse_interval_s, limits.max_set_point_mso)
        except LimitsInvalid as error:
            return refuse(ErrorCode.DOSE_REFUSED, str(error), "Correct the file named.", details={"reasons": ["LIMITS_INVALID"]})
        except LedgerError:
            return refuse(ErrorCode.LEDGER_UNAVAILABLE, "the dose record is out of reach", "Call the engineer.", retryable=True)
        except ValueError as error:
            return refuse(ErrorCode.BAD_PARAMS, str(error), "Correct it, then open the search again.")
        stim, state, threshold = self._telling.stim, self._core.state, self._threshold
        before = threshold.search
        arm_no = max(state.arm_no, 0 if before is None else before.arm_no)
        grant_no = max(state.grant_no, 0 if before is None else before.grant_no)
        serial = None if stim is None or stim.serial is None else str(stim.serial)
        self._figures = figures
        threshold.begin(setup, limits, serial, arm_no, grant_no, today)
        await self._core.until(lambda: self._step() is not Step.OPENING, OPEN_TIMEOUT_S)
        search = threshold.search
        if search is not None and isinstance(search.refused, Refused):
            return self._dose_refused(search.refused)
        return self._done()

    def _cannot_open(self, params: MtOpenParams) -> Error | None:
        if self._threshold.is_open or self._core.state.step not in FREE_STEPS or self._core.state.session_id is not None:
            return refuse(ErrorCode.WRONG_STEP, "the chair is in use", "Close what is open first.")
        if params.evidence == "emg" and not self._threshold.has_muscle:
            message = "no EMG is at hand: no stream is configured, or pylsl is missing"
            return refuse(ErrorCode.BAD_PARAMS, message, "Name it under [emg] in the chair's file and install atmsd[lsl], or judge by eye.")
        if self._config.site.basis == SIMULATION_ONLY and not self._desk.simulated():
            message = "the site's figures are signed for simulation only, and these devices are not the simulators"
            return refuse(ErrorCode.SIMULATION_ONLY, message, "Have the site's file signed.")
        return None

    def _setup(self, params: MtOpenParams, previous: MotorThresholdRecord | None, interval_s: float, most_mso: int) -> Setup:
        stim = self._config.stimulator
        highest = min(params.most_mso, most_mso, stim.max_amplitude_pct_mso)
        return Setup(
            patient=params.patient,
            operator=self._desk.operator or "",
            method=Method(params.procedure),
            evidence=Evidence(params.evidence),
            muscle=params.muscle,
            side="left" if params.side == "left" else "right",
            device=stim.model,
            coil_serial=coil_name(self._config),
            planned_pulses=params.planned_pulses,
            min_interval_ns=round(interval_s * 1e9),
            seed=secrets.randbits(63),
            most_mso=highest,
            step_mso=params.step_mso,
            medication_sha256=params.medication_sha256,
            previous=previous,
        )

    async def _arm(self, _call: Call) -> Result:
        for refused in (self._desk.stimulator_unready(), self._desk.stop_untested()):
            if refused is not None:
                return refused
        if (refused := await self._changed_limits() or self._asked(ArmAsked())) is not None:
            return refused
        await self._core.until(lambda: self._step() is not Step.ARMING, ARM_TIMEOUT_S)
        search = self._threshold.search
        if search is None or search.step is not Step.ARMED:
            why = "no answer in time" if search is None or not search.why else search.why
            return refuse(ErrorCode.DEVICE_NOT_READY, f"the stimulator did not arm: {why}", "Look at it, then arm again.", retryable=True)
        return self._done()

    async def _changed_limits(self) -> Error | None:
        """Nothing is armed on limits that are no longer what the site says."""
        changed = () if self._figures is None else await asyncio.to_thread(self._figures.changed)
        if not changed:
            return None
        message = f"the site's limits are no longer what this search was opened with: {', '.join(changed)}"
        return refuse(ErrorCode.DOSE_REFUSED, message, "Close the search, then open it again.", details={"reasons": ["LIMITS_INVALID"]})

    async def _pulse(self, call: Call) -> Result:
        params = cast(MtPulseParams, call.params)
        search = self._threshold.search
        if search is not None and params.number != search.hunt.asked + 1:
            return refuse(ErrorCode.STALE_STATE, f"pulse {params.number} is not the next one", "Read v1/mt and ask again.", retryable=True)
        if self._step() is not Step.ARMED:
            return refuse(ErrorCode.WRONG_STEP, "the search is not armed", "Call mt_arm first.")
        return self._asked(HuntAsked(event=PulseWanted(amplitude_mso=params.amplitude_mso))) or self._done()

    async def _hotspot(self, _call: Call) -> Result:
        return self._asked(HuntAsked(event=HotspotFound(mri_from_coil=self._telling.mri_from_coil()))) or self._done()

    async def _answer(self, call: Call) -> Result:
        params = cast(MtAnswerParams, call.params)
        return self._asked(HuntAsked(event=Answer(number=params.number, responded=params.responded))) or self._done()

    async def _confirm(self, _call: Call) -> Result:
        confirm = Confirm(by=self._desk.operator or "", utc_us=time.time_ns() // 1000)
        if (refused := self._asked(HuntAsked(event=confirm))) is not None:
            return refused
        await self._threshold.settled()
        return self._done()

    async def _close(self, _call: Call) -> Result:
        if self._threshold.search is None:
            return self._done()
        self._threshold.happen(CloseAsked())
        await self._core.until(lambda: not self._threshold.is_open, CLOSE_TIMEOUT_S)
        return self._done()

    def _asked(self, event: ArmAsked | HuntAsked) -> Error | None:
        if self._threshold.search is None:
            return refuse(ErrorCode.WRONG_STEP, "no search is open", "Call mt_open first.")
        self._threshold.happen(event)
        why = self._threshold.refusal
        return refuse(ErrorCode.WRONG_STEP, why, "Read v1/mt: it says what is awaited.") if why else None

    def _step(self) -> Step | None:
        return None if self._threshold.search is None else self._threshold.search.step

    def _dose_refused(self, refused: Refused) -> Error:
        lines = "; ".join(f"{reason}: {REASON_TEXT[reason].text}" for reason in refused.reasons)
        details: dict[str, object] = {"reasons": [str(reason) for reason in refused.reasons], "earliest_utc": None}
        return refuse(ErrorCode.DOSE_REFUSED, lines, REASON_TEXT[refused.reasons[0]].remedy, details=details)
