"""What a MagVenture driver keeps and how it makes safe: the state behind drivers.magventure. Sans-IO; hears nothing by itself.

Owns the faults, the disable, the moments of polls and deadlines, and what must hold before a pulse; not the order of a conversation.
"""

from drivers.magventure_asking import Line
from drivers.magventure_bursts import BurstWatch
from drivers.magventure_models import capability, host_pacing_reasons, reasons_against, waveform_for
from drivers.magventure_output import CoilRise
from drivers.magventure_phases import (
    ARMED_PHASES,
    POLL_FREE_AFTER_NS,
    POLL_FREE_NS,
    POLLS,
    SAFING_PHASES,
    STALE_ARMED_NS,
    STATE_OF,
    Phase,
)
from drivers.magventure_picture import Picture, reported, temperature_reason
from drivers.magventure_reading import EventReader
from drivers.magventure_safing import Safing
from drivers.magventure_train import TrainWatch
from drivers.magventure_wire import Event, Waveform
from drivers.protocols import Step
from drivers.values import Disabled, Secured, StimEvent, StimFault, StimReport, StimState, TrainEnded, TrainSettings

START_BELOW_C = 40  # house limits, below the 43 degrees C at which the device is commonly said to disable itself
STOP_AT_C = 41
MISSED_LIMIT = 2  # answers in a row that did not come within their second
IDLE_WAKE_NS = 1_000_000_000

CALL = "Press Disable on the panel or the coil's button, or switch the mains off."
CHECK_LINE = "Check that the stimulator is on and its COM2 cable is plugged in."
LOOK_AT_PANEL = "Look at the panel, then prepare again."


class MagVentureCore:
    """One MagPro of the given model, with one coil.

    `events_per_burst`: receipts the unit sends for one burst; a single pulse or a pair has one. The temperature limits may only be
    lowered. A fault stands in `report` until it is acknowledged or the next `prepare`; one of the line alone clears when the device
    is secured again. Raises Refused for an unknown model and ValueError for limits above the built-in ones.
    """

    def __init__(
        self,
        model: str,
        coil_type: int,
        *,
        events_per_burst: int,
        max_amplitude_pct_mso: int,
        start_temp_c: int = START_BELOW_C,
        stop_temp_c: int = STOP_AT_C,
        where: str = "stimulator",
    ) -> None:
        if start_temp_c > START_BELOW_C or stop_temp_c > STOP_AT_C or start_temp_c > stop_temp_c:
            limits = f"{START_BELOW_C} and {STOP_AT_C} degrees C"
            raise ValueError(f"{where}: the temperature limits {start_temp_c} and {stop_temp_c} may only be below {limits}")
        if events_per_burst < 1 or not 0 <= max_amplitude_pct_mso <= 100:
            raise ValueError(f"{where}: events_per_burst must be at least 1 and the amplitude ceiling 0 to 100 %")
        self._model = capability(model, where)
        self._coil_type = coil_type
        self._events_per_burst = events_per_burst
        self._max_amplitude_pct_mso = max_amplitude_pct_mso
        self._start_temp_c, self._stop_temp_c = start_temp_c, stop_temp_c
        self._phase = Phase.OFF
        self._forget()
        self._report = StimReport(received_ns=0, state=StimState.DISCONNECTED)

    def _forget(self) -> None:
        """All that was known through the transport that is now gone."""
        self._reader = EventReader()
        self._picture = Picture()
        self._status_ns = 0  # when the last whole status came that was asked for
        self._line = Line()
        self._safing: Safing | None = None
        self._owes_disabled = False
        self._found_enabled = self._found_running = False
        self._watch: TrainWatch | BurstWatch | None = None
        self._rise = CoilRise()
        self._prepared: TrainSettings | None = None
        self._wanted: TrainSettings | None = None
        self._fault: str | None = None
        self._fault_clears_when_secured = False
        self._quiet_ns: int | None = None  # when a start is planned
        self._poll_ns = 0
        self._polls_done = 0
        self._deadline_ns = 0  # of settling or of enabling
        self._bytes = bytearray()
        self._events: list[StimEvent] = []

    # ---- the protocol's plain answers ---------------------------------------------------------------------------------------

    @property
    def report(self) -> StimReport:
        return self._report

    @property
    def estimates(self) -> bool:
        return False

    @property
    def damaged(self) -> int:
        return self._reader.broken

    @property
    def prepared(self) -> TrainSettings | None:
        return self._prepared

    def can(self, settings: TrainSettings) -> tuple[str, ...]:
        return reasons_against(settings, self._model, self._max_amplitude_pct_mso)

    def may_keep_alive(self, until_ns: int) -> None:
        """Nothing here keeps the device enabled, and nothing would disable it: a MagPro has no time-out of its own."""

    def start_is_due(self, at_ns: int) -> None:
        """A start is planned for then: no question is put in the 80 ms before, so that its answer is not in the way."""
        self._quiet_ns = at_ns

    def least_gap_s(self, _settings: TrainSettings) -> float:
        """No pause is asked for by the device: it keeps what it needs between trains itself, and lowers the output, which is watched."""
        return 0.0

    # ---- what must hold -----------------------------------------------------------------------------------------------------

    @property
    def _bursts(self) -> BurstWatch | None:
        """The train whose bursts the host asks for, if there is one."""
        return self._watch if isinstance(self._watch, BurstWatch) else None

    @property
    def _receipts_per_burst(self) -> int:
        """A single pulse has one receipt, and so has a pair: it tells of both."""
        prepared = self._prepared
        if prepared is None or waveform_for(prepared, self._model) is not Waveform.BURST:
            return 1
        return min(self._events_per_burst, prepared.pulses_per_burst)

    def _reasons_not_to_charge(self, phase: Phase, stale_ns: int, now_ns: int) -> list[str]:
        """What must hold before the device is enabled, and again before a train."""
        too_warm = self._rise.reason(self._picture.temperature_c, self._stop_temp_c)
        return self._reasons_of_moment(phase, stale_ns, self._start_temp_c, now_ns) + ([too_warm] if too_warm else [])

    def _reasons_of_moment(self, phase: Phase, stale_ns: int, limit_c: int, now_ns: int) -> list[str]:
        reasons = []
        if self._phase is not phase:
            reasons.append(f"the device is {self._phase.name.lower()}, not {phase.name.lower()}")
        if self._prepared is None:
            reasons.append("no settings are read back equal")
        if now_ns - self._status_ns > stale_ns:
            reasons.append("its last status is too old")
        if self._picture.running is not False:
            reasons.append("a train may be running")
        too_warm = temperature_reason(self._picture.temperature_c, limit_c)
        return reasons + ([too_warm] if too_warm else [])

    def _reasons_against_burst(self, now_ns: int) -> list[str]:
        """What must hold before the first burst of a train, which is a start like any other, and before each that follows."""
        if self._phase is Phase.BURSTS and self._bursts is not None:
            reasons = self._reasons_of_moment(Phase.BURSTS, STALE_ARMED_NS, self._stop_temp_c, now_ns)
            return reasons + self._bursts.reasons_against(now_ns)
        reasons = self._reasons_not_to_charge(Phase.READY, STALE_ARMED_NS, now_ns)
        return reasons if self._prepared is None else reasons + host_pacing_reasons(self._prepared, self._model)

    # ---- making safe --------------------------------------------------------------------------------------------------------

    def _fail(self, what: str, remedy: str, now_ns: int) -> None:
        self._tell_fault(what, remedy, now_ns)
        self._prepared = None
        if self._phase not in SAFING_PHASES:
            self._make_safe(now_ns)

    def _tell_fault(self, what: str, remedy: str, now_ns: int) -> None:
        """A fault stands, unless it is of the line alone: that one never hides or clears another."""
        self._events.append(StimFault(what=what, remedy=remedy, at_ns=now_ns))
        is_of_the_line = self._phase is Phase.SECURING
        if not is_of_the_line or self._fault is None or self._fault_clears_when_secured:
            self._fault = what
            self._fault_clears_when_secured = is_of_the_line

    def _refusal(self, what: str, remedy: str, now_ns: int) -> Step[StimEvent]:
        self._events.append(StimFault(what=what, remedy=remedy, at_ns=now_ns))
        return self._step(now_ns)

    def _make_safe(self, now_ns: int) -> None:
        self._owes_disabled = True
        enable_in_doubt = self._phase is Phase.ARMING and not self._picture.enabled
        if self._phase is not Phase.SECURING:
            self._phase = Phase.STOPPING
        if self._safing is None or self._safing.confirmed_ns is not None:
            self._begin_safing(now_ns, enable_in_doubt)

    def _begin_safing(self, now_ns: int, enable_in_doubt: bool) -> None:
        self._line.clear()
        self._safing = Safing(now_ns, enable_in_doubt)
        self._bytes += self._safing.send(now_ns)

    def _follow_safing(self, event: Event, now_ns: int) -> None:
        safing = self._safing
        if safing is None:
            return
        if safing.confirmed_ns is not None and self._picture.enabled:
            self._begin_safing(now_ns, enable_in_doubt=False)
        elif safing.observe(event, now_ns):
            if self._watch is not None and self._watch.ended_ns is None:
                self._watch.end(now_ns)
            if self._owes_disabled:
                self._owes_disabled = False
                self._events.append(Disabled(confirmed=True, at_ns=now_ns))
            self._poll_ns = now_ns
            if self._phase is Phase.STOPPING and not self._picture.running:
                self._rest(now_ns)

    def _conclude_safing(self, now_ns: int) -> None:
        if self._picture.running:
            return
        if self._phase is Phase.SECURING:
            if self._fault_clears_when_secured:
                self._fault = None
            self._events.append(Secured(found_enabled=self._found_enabled, found_running=self._found_running, at_ns=now_ns))
        self._rest(now_ns)

    def _rest(self, now_ns: int) -> None:
        self._phase = Phase.IDLE
        self._safing = None
        self._poll_ns = now_ns

    def _secure_again(self, now_ns: int) -> None:
        """Nobody answers: begin as on a fresh line."""
        self._phase, self._prepared = Phase.SECURING, None
        self._tell_fault(f"no answer {MISSED_LIMIT} times in a row", CHECK_LINE, now_ns)
        self._found_enabled = self._found_running = False
        self._begin_safing(now_ns, enable_in_doubt=False)

    # ---- time ---------------------------------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> None:
        self._line.expire(now_ns)
        if self._line.missed >= MISSED_LIMIT and self._phase not in ARMED_PHASES:
            self._line.missed = 0
            self._secure_again(now_ns)
        self._advance_safing(now_ns)
        self._advance_armed(now_ns)
        self._end_bursts(now_ns)
        may_poll = self._safing is None or self._safing.confirmed_ns is not None
        if self._phase in POLLS and may_poll and self._line.is_empty and now_ns >= self._next_poll_ns(now_ns):
            interval_ns, cycle = POLLS[self._phase]
            self._line.put(cycle[self._polls_done % len(cycle)])
            self._polls_done += 1
            self._poll_ns = now_ns + interval_ns
        if not self._waits_for_burst:
            self._bytes += self._line.next_bytes(now_ns)

    def _next_poll_ns(self, now_ns: int) -> int:
        """When to ask next: not just before a start that was announced."""
        quiet_ns = self._quiet_ns
        if self._phase is Phase.READY and quiet_ns is not None and quiet_ns - POLL_FREE_NS <= now_ns < quiet_ns + POLL_FREE_AFTER_NS:
            return max(self._poll_ns, quiet_ns + POLL_FREE_AFTER_NS)
        return self._poll_ns

    @property
    def _waits_for_burst(self) -> bool:
        """Until a burst is confirmed the line carries nothing else, so that no answer stands before its receipt."""
        return self._phase is Phase.BURSTS and self._bursts is not None and self._bursts.is_waiting

    def _advance_safing(self, now_ns: int) -> None:
        safing = self._safing
        if safing is None:
            return
        if safing.alarm_is_due(now_ns):
            if self._owes_disabled:
                self._events.append(Disabled(confirmed=False, at_ns=now_ns))
            if self._picture.bits is not None:
                self._tell_fault("the device does not confirm that it is disabled", CALL, now_ns)
        if safing.silence_is_due(now_ns, self._picture.bits is None):
            self._tell_fault("no answer", CHECK_LINE, now_ns)
        if safing.lingering_is_due(now_ns, bool(self._picture.running)):
            self._tell_fault("the device is disabled but still reports a running train", CALL, now_ns)
        if safing.confirmed_ns is None and now_ns >= safing.due_ns:
            self._bytes += safing.send(now_ns)

    def _advance_armed(self, now_ns: int) -> None:
        if self._phase is Phase.ARMING and now_ns >= self._deadline_ns:
            self._fail("not ready within 2 s of the enable", LOOK_AT_PANEL, now_ns)
        if self._watch is not None and self._phase in (Phase.STARTING, Phase.FIRING, Phase.BURSTS):
            overdue = self._watch.overdue_fault(now_ns)
            if overdue:
                self._fail(overdue, LOOK_AT_PANEL, now_ns)
        if self._status_is_owed and now_ns >= self._stale_ns:
            self._fail("no status for 450 ms while enabled", CHECK_LINE, now_ns)

    @property
    def _status_is_owed(self) -> bool:
        """Whether a status must be young now: not from a start or trigger until it is confirmed, for then nothing is asked."""
        return self._phase in (Phase.READY, Phase.FIRING) or (self._phase is Phase.BURSTS and not self._waits_for_burst)

    @property
    def _stale_ns(self) -> int:
        """When the last status is too old; what tells of a train's begin is as good as one."""
        began_ns = self._watch.began_ns if self._watch is not None else None
        return max(self._status_ns, began_ns or 0) + STALE_ARMED_NS

    def _end_bursts(self, now_ns: int) -> None:
        """The train that the host ends is over once its last burst surely is."""
        bursts = self._bursts
        if bursts is None or self._phase is not Phase.BURSTS or not bursts.is_ending or bursts.is_waiting or now_ns < bursts.over_ns:
            return
        bursts.end(now_ns)
        self._rise.end(now_ns)
        self._events.append(TrainEnded(at_ns=now_ns))
        self._become_ready(first_poll_ns=now_ns)

    def _become_ready(self, first_poll_ns: int) -> None:
        self._phase = Phase.READY
        self._polls_done = 0
        self._poll_ns = first_poll_ns

    # ---- what goes out ------------------------------------------------------------------------------------------------------

    def _step(self, now_ns: int) -> Step[StimEvent]:
        report = self._described()
        if report != self._report:
            self._report = report
            self._events.append(report)
        step = Step[StimEvent](wake_ns=self._wake_ns(now_ns), send=bytes(self._bytes), events=tuple(self._events))
        self._bytes.clear()
        self._events.clear()
        return step

    def _described(self) -> StimReport:
        has_fault = self._fault is not None and self._phase not in ARMED_PHASES and self._phase is not Phase.OFF
        return reported(self._picture, self._status_ns, StimState.FAULT if has_fault else STATE_OF[self._phase], self._fault)

    def _wake_ns(self, now_ns: int) -> int:
        if self._phase is Phase.OFF:
            return now_ns + IDLE_WAKE_NS
        times = [now_ns + IDLE_WAKE_NS, self._reader.expires_ns, self._line.expires_ns]
        if self._safing is not None and self._safing.confirmed_ns is None:
            times.append(self._safing.due_ns)
        elif self._phase in POLLS and self._line.is_empty and not self._waits_for_burst:
            times.append(self._next_poll_ns(now_ns))
        if self._phase in (Phase.STARTING, Phase.FIRING, Phase.BURSTS) and self._watch is not None:
            times.append(self._watch.deadline_ns())
        if self._status_is_owed:
            times.append(self._stale_ns)
        if self._phase is Phase.ARMING:
            times.append(self._deadline_ns)
        return min(at_ns for at_ns in times if at_ns is not None)
