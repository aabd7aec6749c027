"""A MagVenture MagPro as a stimulator: what to send when, what its frames mean for us. Sans-IO; owns no port and reads no clock.

Disabled first and until proven, settings written and read back, one train per start, watched receipt by receipt. The panel stays
live beside the host, so every change that was not asked for is reported, and while armed it ends in a disable.
"""

from drivers.magventure_asking import ENABLE, READ_BACK, Line, writing
from drivers.magventure_command_wire import StartTrain, encode_command
from drivers.magventure_models import capability, reasons_against, waveform_for
from drivers.magventure_phases import (
    ARMED_PHASES,
    ARMED_POLL_NS,
    ENABLE_LIMIT_NS,
    POLLS,
    SAFING_PHASES,
    SETTLE_NS,
    SETTLE_WAVEFORM_NS,
    STALE_ARMED_NS,
    STALE_STANDBY_NS,
    STATE_OF,
    TRAIN_POLL_NS,
    Phase,
    unasked,
)
from drivers.magventure_picture import Picture, mismatches, reported, seen, temperature_reason
from drivers.magventure_reading import NOISE_LIMIT, EventReader
from drivers.magventure_safing import Safing
from drivers.magventure_train import TrainWatch
from drivers.magventure_wire import Event, LongStatus, Mode, PageReport, PulseFired
from drivers.protocols import Step
from drivers.values import (
    BurstFired,
    Disabled,
    PanelAct,
    Prepared,
    Ready,
    Secured,
    StimEvent,
    StimFault,
    StimReport,
    StimState,
    TrainBegan,
    TrainEnded,
    TrainSettings,
)

START_BELOW_C = 40  # house limits, below the 43 degrees C at which the device is commonly said to disable itself
STOP_AT_C = 41
BAUD = 38400  # port COM2: 8N1, no handshake
MISSED_LIMIT = 2  # answers in a row that did not come within their second
IDLE_WAKE_NS = 1_000_000_000

CALL = "Press Disable on the panel or the coil's button, or switch the mains off."
CHECK_LINE = "Check that the stimulator is on and its COM2 cable is plugged in."
LOOK_AT_PANEL = "Look at the panel, then prepare again."


class MagVentureStimulator:
    """One MagPro of the given model, with one coil, firing device-paced trains.

    `events_per_burst`: receipts the unit sends for one burst; a single pulse has one. The temperature limits may only be lowered.
    A fault stands in `report` until it is acknowledged or the next `prepare`; one of the line alone clears when the device is
    secured again.
    Raises Refused for an unknown model and ValueError for limits above the built-in ones.
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
        self._watch: TrainWatch | None = None
        self._prepared: TrainSettings | None = None
        self._wanted: TrainSettings | None = None
        self._fault: str | None = None
        self._fault_clears_when_secured = False
        self._poll_ns = 0
        self._polls_done = 0
        self._deadline_ns = 0  # of settling or of enabling
        self._bytes = bytearray()
        self._events: list[StimEvent] = []

    # ---- the protocol -----------------------------------------------------------------------------------------------

    @property
    def report(self) -> StimReport:
        return self._report

    @property
    def damaged(self) -> int:
        return self._reader.broken

    @property
    def prepared(self) -> TrainSettings | None:
        return self._prepared

    def can(self, settings: TrainSettings) -> tuple[str, ...]:
        return reasons_against(settings, self._model, self._max_amplitude_pct_mso)

    def connected(self, now_ns: int) -> Step[StimEvent]:
        self._forget()
        self._phase = Phase.SECURING
        self._begin_safing(now_ns, enable_in_doubt=True)
        return self._step(now_ns)

    def disconnected(self, now_ns: int) -> Step[StimEvent]:
        was_armed = self._phase in ARMED_PHASES or self._picture.enabled
        self._forget()
        self._phase = Phase.OFF
        if was_armed:
            self._tell_fault("the line was lost while the device was enabled: it stays enabled", CALL, now_ns)
        return self._step(now_ns)

    def feed(self, data: bytes, now_ns: int) -> Step[StimEvent]:
        if self._phase is not Phase.OFF:
            self._receive(self._reader.feed(data, now_ns), now_ns)
        return self._step(now_ns)

    def tick(self, now_ns: int) -> Step[StimEvent]:
        if self._phase is not Phase.OFF:
            self._receive(self._reader.expire(now_ns), now_ns)
        return self._step(now_ns)

    def prepare(self, settings: TrainSettings, now_ns: int) -> Step[StimEvent]:
        reasons = list(self.can(settings))
        if self._phase is not Phase.IDLE:
            reasons.append(f"the device is {self._phase.name.lower()}, not in standby")
        if reasons:
            return self._refusal("the train cannot be prepared: " + "; ".join(reasons), "Change the plan or wait for standby.", now_ns)
        bits = self._picture.bits
        changes_waveform = bits is None or bits.waveform is not waveform_for(settings) or bits.mode is not Mode.STANDARD
        self._phase = Phase.PREPARING
        self._fault = self._prepared = None
        self._wanted = settings
        self._deadline_ns = now_ns + (SETTLE_WAVEFORM_NS if changes_waveform else SETTLE_NS)
        self._line.put((*writing(settings, self._model), *READ_BACK))
        self._advance(now_ns)
        return self._step(now_ns)

    def enable(self, now_ns: int) -> Step[StimEvent]:
        reasons = self._reasons_not_to_charge(Phase.IDLE, STALE_STANDBY_NS, now_ns)
        if reasons:
            return self._refusal("the device is not enabled: " + "; ".join(reasons), "Prepare first, from standby.", now_ns)
        self._phase = Phase.ARMING
        self._deadline_ns = now_ns + ENABLE_LIMIT_NS
        self._line.put((ENABLE, *READ_BACK))
        self._advance(now_ns)
        return self._step(now_ns)

    def may_keep_alive(self, until_ns: int) -> None:
        """Nothing to be done: this unit stays enabled whether or not it is asked anything."""

    def start_is_due(self, at_ns: int) -> None:
        """Nothing to be done: a question that is out does not delay a start."""

    def least_gap_s(self, _settings: TrainSettings) -> float:
        return 0.0

    def start_train(self, now_ns: int) -> Step[StimEvent]:
        """Start at once: the bytes of a poll that is out have long left, and nothing else is sent until the train runs."""
        reasons = self._reasons_not_to_charge(Phase.READY, STALE_ARMED_NS, now_ns)
        if reasons or self._prepared is None:
            return self._refusal("the train is not started: " + "; ".join(reasons), "Prepare and enable first.", now_ns)
        self._phase = Phase.STARTING
        self._watch = TrainWatch(self._prepared, min(self._events_per_burst, self._prepared.pulses_per_burst), now_ns)
        self._line.clear()
        self._bytes += encode_command(StartTrain())
        return self._step(now_ns)

    def acknowledge(self, now_ns: int) -> Step[StimEvent]:
        if self._phase is Phase.IDLE:
            self._fault = None
        return self._step(now_ns)

    def stop(self, now_ns: int) -> Step[StimEvent]:
        if self._phase is Phase.OFF:
            self._events.append(Disabled(confirmed=False, at_ns=now_ns))
        else:
            self._make_safe(now_ns)
        return self._step(now_ns)

    # ---- bytes in ---------------------------------------------------------------------------------------------------

    def _receive(self, events: list[Event], now_ns: int) -> None:
        for event in events:
            self._observe(event, now_ns)
        if self._reader.was_spoiled():
            self._line.ask_again()
        if self._reader.is_noise():
            self._fail(f"{NOISE_LIMIT} frames in a row are unreadable", CHECK_LINE, now_ns)
        self._advance(now_ns)

    def _observe(self, event: Event, now_ns: int) -> None:
        old, self._picture = self._picture, seen(self._picture, event)
        if self._phase is Phase.SECURING:
            self._note_what_was_found(event, old)
        if isinstance(event, PulseFired):
            self._count_pulse(event, now_ns)
        self._follow_train(old, now_ns)
        self._report_acts(old, now_ns)
        self._follow_safing(event, now_ns)
        self._check_armed(now_ns)
        if self._line.is_answered_by(event):
            if isinstance(event, LongStatus):
                self._status_ns = now_ns
            if self._line.is_empty:
                self._conclude(now_ns)

    def _note_what_was_found(self, event: Event, old: Picture) -> None:
        """On a fresh line a page report can only mean that our disable ended a train: nothing was asked about pages."""
        is_running = bool(self._picture.running) or (isinstance(event, PageReport) and old.page is None)
        self._found_running = self._found_running or is_running
        self._found_enabled = self._found_enabled or is_running or bool(self._picture.enabled)

    def _count_pulse(self, event: PulseFired, now_ns: int) -> None:
        watch = self._watch
        if watch is None or not watch.owns_pulse(now_ns):
            self._events.append(BurstFired(at_ns=now_ns, didt_a_per_us=event.didt_a_per_us, asked=False))
            if self._phase is not Phase.SECURING:
                self._fail("a pulse was fired that nobody here asked for", "Keep hands and triggers off the stimulator.", now_ns)
            return
        if watch.count():
            self._events.append(BurstFired(at_ns=now_ns, didt_a_per_us=event.didt_a_per_us, asked=True))
        fault = watch.receipt_fault(event.didt_a_per_us, now_ns)
        if fault:
            self._fail(fault, "Check coil and settings; measure the output before going on.", now_ns)

    def _follow_train(self, old: Picture, now_ns: int) -> None:
        watch = self._watch
        if watch is None or old.running == self._picture.running:
            return
        if self._picture.running and watch.ended_ns is None:
            watch.begin(now_ns)
            self._events.append(TrainBegan(at_ns=now_ns))
            if self._phase is Phase.STARTING:
                self._phase = Phase.FIRING
                self._poll_ns = now_ns
        elif old.running:
            watch.end(now_ns)
            self._events.append(TrainEnded(at_ns=now_ns))
            self._judge_end(watch, now_ns)

    def _judge_end(self, watch: TrainWatch, now_ns: int) -> None:
        if self._phase is not Phase.FIRING:
            return
        fault = watch.short_fault()
        if fault:
            self._fail(fault, LOOK_AT_PANEL, now_ns)
        else:
            self._become_ready(first_poll_ns=now_ns)

    def _become_ready(self, first_poll_ns: int) -> None:
        self._phase = Phase.READY
        self._polls_done = 0
        self._poll_ns = first_poll_ns

    def _report_acts(self, old: Picture, now_ns: int) -> None:
        is_ours = self._watch is not None and self._watch.ended_ns is None
        acts = unasked(old, self._picture, self._phase, is_ours)
        if self._picture.running and not old.running and not is_ours:
            self._watch = None
        self._take_acts(acts, now_ns)

    def _take_acts(self, acts: list[str], now_ns: int) -> None:
        if not acts:
            return
        self._prepared = None
        self._events += [PanelAct(what=act, at_ns=now_ns) for act in acts]
        if self._phase in ARMED_PHASES or self._phase is Phase.PREPARING:
            self._fail("changed without being asked: " + "; ".join(acts), LOOK_AT_PANEL, now_ns)
        elif self._phase is Phase.IDLE and (self._picture.enabled or self._picture.running):
            self._make_safe(now_ns)

    def _check_armed(self, now_ns: int) -> None:
        if self._phase in ARMED_PHASES:
            reason = temperature_reason(self._picture.temperature_c, self._stop_temp_c)
            if reason:
                self._fail(reason, "Let the coil cool; check its cooling and its plug.", now_ns)

    def _conclude(self, now_ns: int) -> None:
        """All that was asked is answered: what follows."""
        differ = () if self._wanted is None else mismatches(self._wanted, self._picture, self._model, self._coil_type)
        if self._phase in SAFING_PHASES:
            self._conclude_safing(now_ns)
        elif self._phase is Phase.PREPARING:
            self._conclude_preparing(differ, now_ns)
        elif self._phase in (Phase.ARMING, Phase.READY) and differ:
            self._take_acts(list(differ), now_ns)
        elif self._phase is Phase.ARMING and self._picture.enabled and self._picture.running is False:
            self._events.append(Ready(at_ns=now_ns))
            self._become_ready(first_poll_ns=now_ns + ARMED_POLL_NS)

    def _conclude_preparing(self, differ: tuple[str, ...], now_ns: int) -> None:
        """Settings take time to settle: read back again until equal or the time is up."""
        if differ and now_ns < self._deadline_ns:
            self._poll_ns = now_ns + TRAIN_POLL_NS
        elif self._wanted is not None:
            self._phase = Phase.IDLE
            self._prepared = None if differ else self._wanted
            self._events.append(Prepared(settings=self._wanted, mismatches=differ, at_ns=now_ns))

    # ---- making safe ------------------------------------------------------------------------------------------------

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

    # ---- time -------------------------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> None:
        self._line.expire(now_ns)
        if self._line.missed >= MISSED_LIMIT and self._phase not in ARMED_PHASES:
            self._line.missed = 0
            self._secure_again(now_ns)
        self._advance_safing(now_ns)
        self._advance_armed(now_ns)
        may_poll = self._safing is None or self._safing.confirmed_ns is not None
        if self._phase in POLLS and may_poll and self._line.is_empty and now_ns >= self._poll_ns:
            interval_ns, cycle = POLLS[self._phase]
            self._line.put(cycle[self._polls_done % len(cycle)])
            self._polls_done += 1
            self._poll_ns = now_ns + interval_ns
        self._bytes += self._line.next_bytes(now_ns)

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
        if self._watch is not None and self._phase in (Phase.STARTING, Phase.FIRING):
            overdue = self._watch.overdue_fault(now_ns)
            if overdue:
                self._fail(overdue, LOOK_AT_PANEL, now_ns)
        if self._phase in (Phase.READY, Phase.FIRING) and now_ns >= self._stale_ns:
            self._fail("no status for 450 ms while enabled", CHECK_LINE, now_ns)

    @property
    def _stale_ns(self) -> int:
        """When the last status is too old; the report of a train's begin is as good as one."""
        began_ns = self._watch.began_ns if self._watch is not None else None
        return max(self._status_ns, began_ns or 0) + STALE_ARMED_NS

    def _reasons_not_to_charge(self, phase: Phase, stale_ns: int, now_ns: int) -> list[str]:
        """What must hold before the device is enabled, and again before a train."""
        reasons = []
        if self._phase is not phase:
            reasons.append(f"the device is {self._phase.name.lower()}, not {phase.name.lower()}")
        if self._prepared is None:
            reasons.append("no settings are read back equal")
        if now_ns - self._status_ns > stale_ns:
            reasons.append("its last status is too old")
        if self._picture.running is not False:
            reasons.append("a train may be running")
        too_warm = temperature_reason(self._picture.temperature_c, self._start_temp_c)
        return reasons + ([too_warm] if too_warm else [])

    # ---- what goes out ----------------------------------------------------------------------------------------------

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
        elif self._phase in POLLS and self._line.is_empty:
            times.append(self._poll_ns)
        if self._phase in (Phase.STARTING, Phase.FIRING) and self._watch is not None:
            times.append(self._watch.deadline_ns())
        if self._phase in (Phase.READY, Phase.FIRING):
            times.append(self._stale_ns)
        if self._phase is Phase.ARMING:
            times.append(self._deadline_ns)
        return min(at_ns for at_ns in times if at_ns is not None)
