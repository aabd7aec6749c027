"""An external trigger box as a stimulator: what to tell it when, what its markers mean for us. Sans-IO: no stream, no clock.

Its bytes are one-line markers that a bridge carries to LSL and back. Stopped first and until the box itself shows it, settings read back,
one train, burst or pulse for each fire marker, each pulse confirmed by a receipt. The box may lie anywhere on a network, so every message
that matters is void when it comes late, and an armed box that hears nothing disarms itself.
"""

from typing import Final

from drivers.lsl_bridge_wire import LANGUAGE as BRIDGE
from drivers.lsl_bridge_wire import Down, Pong, decode_word
from drivers.lsl_trigger_core import (
    CALL,
    CHECK_BOX,
    LOOK_AT_BOX,
    STALE_ARMED_NS,
    STALE_STANDBY_NS,
    TriggerCore,
)
from drivers.lsl_trigger_models import HOST_PACED_NS, interval_ns
from drivers.lsl_trigger_picture import ARMED_PHASES, POLL_NS, SAFING_PHASES, Phase, condition_reasons, mismatches, unasked
from drivers.lsl_trigger_watch import TrainWatch
from drivers.lsl_trigger_wire import Arm, Fire, PulseGiven, Set, Status, decode_answer, pattern_of
from drivers.protocols import Step
from drivers.values import (
    BurstFired,
    Disabled,
    Prepared,
    Ready,
    Secured,
    StimEvent,
    TrainBegan,
    TrainEnded,
    TrainSettings,
    WireError,
)

SETTLE_NS: Final = 2_000_000_000  # twice what stimulators are given to follow their amplitude
CHARGE_LIMIT_NS: Final = 3_000_000_000  # the slower family is ready about 1 s after it is armed, 3 s at the most
ALIVE_MS: Final = 1000  # as a Magstim does by itself: armed and not asked for a second, it disarms
LEAST_GAP_S: Final = 0.5  # two markers follow each other no closer


class LslTriggerStimulator(TriggerCore):
    """One box as every stimulator is used; what it must be given stands in `TriggerCore`."""

    def least_gap_s(self, _settings: TrainSettings) -> float:
        return LEAST_GAP_S

    def connected(self, now_ns: int) -> Step[StimEvent]:
        self._forget()
        self._phase = Phase.SECURING
        self._begin_safing(now_ns)
        return self._step(now_ns)

    def disconnected(self, now_ns: int) -> Step[StimEvent]:
        status, is_at_rest = self._heard.status, self._watch is None or self._watch.ended_ns is not None
        was_armed = self._phase in ARMED_PHASES or (status is not None and status.armed)
        box, newest = self._heard.box, self._heard.receipts.newest
        if box is not None:
            self._left = (box, newest) if is_at_rest and newest is not None else None
        self._forget()
        self._phase = Phase.OFF
        if was_armed:
            what = "the line was lost while the box was armed: it disarms itself within a second, a train that runs ends with that"
            self._tell_fault(what, CALL, now_ns)
        return self._step(now_ns)

    def feed(self, data: bytes, now_ns: int) -> Step[StimEvent]:
        if self._phase is not Phase.OFF:
            before = self._heard.status
            for line in self._reader.feed(data):
                self._receive(line, now_ns)
            status = self._heard.status
            if status is not None and status is not before:
                self._follow_orders(status, now_ns)
            self._advance(now_ns)
        return self._step(now_ns)

    def tick(self, now_ns: int) -> Step[StimEvent]:
        if self._phase is not Phase.OFF:
            self._advance(now_ns)
        return self._step(now_ns)

    def prepare(self, settings: TrainSettings, now_ns: int) -> Step[StimEvent]:
        reasons = list(self.can(settings))
        if self._phase is not Phase.IDLE:
            reasons.append(f"the box is {self._phase.name.lower()}, not in standby")
        if reasons:
            return self._refusal("the train cannot be prepared: " + "; ".join(reasons), "Change the plan or wait for standby.", now_ns)
        self._phase = Phase.PREPARING
        self._fault = self._prepared = None
        self._wanted = settings
        self._deadline_ns = now_ns + SETTLE_NS
        self._order(lambda number: Set(run=self._run, id=number, pattern=pattern_of(settings)), now_ns)
        return self._step(now_ns)

    def enable(self, now_ns: int) -> Step[StimEvent]:
        reasons = self._reasons_not_to_charge(Phase.IDLE, STALE_STANDBY_NS, self._start_temp_c, now_ns)
        if reasons:
            return self._refusal("the box is not armed: " + "; ".join(reasons), "Prepare first, from standby.", now_ns)
        self._phase = Phase.ARMING
        self._deadline_ns = now_ns + CHARGE_LIMIT_NS
        within_ms = STALE_ARMED_NS // 1_000_000
        self._order(
            lambda number: Arm(run=self._run, id=number, after=self._newest, within_ms=within_ms, alive_ms=ALIVE_MS), now_ns
        )
        return self._step(now_ns)

    def start_train(self, now_ns: int) -> Step[StimEvent]:
        settings, reasons = self._prepared, self._reasons_not_to_fire(Phase.READY, self._start_temp_c, now_ns)
        if settings is not None and self._model != "train" and settings.bursts > 1:
            reasons.append(f"this box makes one {self._model} of a marker, and the host has to ask for each")
        if reasons or settings is None:
            return self._refusal("nothing is fired: " + "; ".join(reasons), "Prepare and arm first.", now_ns)
        self._watch = TrainWatch(settings, self._run, now_ns, host_paced=False, has_receipts=self._has_receipts)
        self._fire(self._watch, settings.bursts, now_ns)
        return self._step(now_ns)

    def start_burst(self, now_ns: int) -> Step[StimEvent]:
        settings, watch = self._prepared, self._watch
        goes_on = self._phase in (Phase.STARTING, Phase.FIRING) and watch is not None and watch.host_paced
        phase, limit_c = (self._phase, self._stop_temp_c) if goes_on else (Phase.READY, self._start_temp_c)
        reasons = self._reasons_not_to_fire(phase, limit_c, now_ns)
        if settings is not None and settings.bursts > 1 and interval_ns(settings) < HOST_PACED_NS:
            reasons.append("the host does not time bursts that are closer than 500 ms")
        if watch is not None and goes_on:
            reasons += watch.reasons_against_more(now_ns)
        if reasons or settings is None:
            return self._refusal("nothing is fired: " + "; ".join(reasons), "Prepare and arm first.", now_ns)
        if watch is None or not goes_on:
            watch = self._watch = TrainWatch(settings, self._run, now_ns, host_paced=True, has_receipts=self._has_receipts)
        self._fire(watch, 1, now_ns)
        return self._step(now_ns)

    def end_train(self, now_ns: int) -> Step[StimEvent]:
        watch = self._watch
        if watch is None or not watch.host_paced or self._phase not in (Phase.STARTING, Phase.FIRING):
            return self._refusal("no train that the host paces is running", "Start one first.", now_ns)
        self._end_train(watch, now_ns)
        self._phase = Phase.READY
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

    # ---- firing -------------------------------------------------------------------------------------------------------------

    @property
    def _newest(self) -> int:
        """Number of the newest status: what the box sent last, as far as is known here."""
        return 1 if self._heard.status is None else self._heard.status.number

    def _reasons_not_to_fire(self, phase: Phase, limit_c: int, now_ns: int) -> list[str]:
        status = self._heard.status
        reasons = self._reasons_not_to_charge(phase, STALE_ARMED_NS, limit_c, now_ns)
        if status is None or not (status.armed and status.ready):
            reasons.append("the box is not ready")
        return reasons

    def _fire(self, watch: TrainWatch, bursts: int, now_ns: int) -> None:
        """Void at the box unless its newest status, as known here, is as young there as it must be here."""
        first, within_ms = watch.fired + 1, STALE_ARMED_NS // 1_000_000
        command_id = self._order(
            lambda number: Fire(run=self._run, id=number, after=self._newest, within_ms=within_ms, first=first, bursts=bursts), now_ns
        )
        watch.fire(command_id, bursts, now_ns)
        self._unconfirmed += not self._has_receipts
        if self._phase is Phase.READY:
            self._phase = Phase.STARTING

    # ---- lines in -----------------------------------------------------------------------------------------------------------

    def _receive(self, line: str, now_ns: int) -> None:
        try:
            word = decode_word(line) if line.startswith(BRIDGE) else decode_answer(line)
        except WireError:
            self._unreadable += 1
            return
        match word:
            case Status():
                self._take_status(word, now_ns)
            case PulseGiven():
                self._take_receipt(word, now_ns)
            case Pong():
                self._pong, self._pong_ns = word, now_ns
            case Down(why=why):
                self._tell_fault(f"the bridge to LSL has ended: {why}", CHECK_BOX, now_ns)

    def _take_status(self, status: Status, now_ns: int) -> None:
        foreign = self._heard.is_foreign(status)
        if foreign is not None:
            self._worry(foreign, LOOK_AT_BOX, now_ns)
            return
        self._notice_start(status.box, now_ns)
        old = self._heard.status
        if not self._heard.is_news(status):
            return
        if self._has_receipts:
            self._note_owed(status.given, now_ns)
        self._follow_train(status, now_ns)
        is_ours = self._watch is not None and self._watch.ended_ns is None
        self._take_acts(unasked(old, status, self._phase, is_ours), now_ns)
        self._follow_safing(status, now_ns)
        self._check_condition(status, now_ns)

    def _take_receipt(self, pulse: PulseGiven, now_ns: int) -> None:
        if not self._has_receipts:
            return
        self._notice_start(pulse.box, now_ns)
        is_past = self._heard.is_past(pulse.box)
        if not is_past and not self._heard.receipts.is_new(pulse.number):
            return
        watch = self._watch
        if watch is None or is_past or not watch.owns(pulse, now_ns):
            self._events.append(BurstFired(at_ns=now_ns, didt_a_per_us=None, asked=False))
            if self._phase is not Phase.SECURING:
                self._fail("a pulse was given that nobody here asked for", "Keep hands and triggers off the stimulator.", now_ns)
            return
        self._begin_train(watch, now_ns)
        is_told = watch.count(pulse)
        if is_told:
            self._events.append(BurstFired(at_ns=now_ns, didt_a_per_us=None, asked=True))
        fault = watch.receipt_fault(pulse, is_told, now_ns)
        if fault:
            self._fail(fault, LOOK_AT_BOX, now_ns)

    def _notice_start(self, box: str, now_ns: int) -> None:
        if self._heard.starts_anew(box):
            self._tell_fault("the box has started anew", LOOK_AT_BOX, now_ns)
            self._owes_disabled = True
            self._secure_again(now_ns)

    # ---- what follows -------------------------------------------------------------------------------------------------------

    def _begin_train(self, watch: TrainWatch, now_ns: int) -> None:
        if watch.began_ns is None:
            watch.began_ns = now_ns
            self._events.append(TrainBegan(at_ns=now_ns))
        if self._phase is Phase.STARTING:
            self._phase = Phase.FIRING

    def _end_train(self, watch: TrainWatch, now_ns: int) -> None:
        if watch.ended_ns is None:
            watch.ended_ns = now_ns
            self._events.append(TrainEnded(at_ns=now_ns))

    def _follow_train(self, status: Status, now_ns: int) -> None:
        watch = self._watch
        if watch is None or watch.ended_ns is not None or status.heard < watch.last_fire:
            return
        if status.running:
            self._begin_train(watch, now_ns)
        elif status.refused is None and (watch.began_ns is not None or watch.may_be_over(now_ns)):
            self._begin_train(watch, now_ns)
            if watch.idle_ns is None and not watch.host_paced:
                watch.idle_ns = now_ns

    def _conclude_train(self, watch: TrainWatch, now_ns: int) -> None:
        """The box says that it is through: once every receipt is here, or the grace for them is over."""
        deadline_ns = watch.deadline_ns()
        if watch.idle_ns is None or watch.host_paced or deadline_ns is None or now_ns < deadline_ns:
            return
        self._end_train(watch, now_ns)
        if self._phase is not Phase.FIRING:
            return
        fault = watch.short_fault() or watch.early_fault(now_ns)
        if fault:
            self._fail(fault, LOOK_AT_BOX, now_ns)
        else:
            self._phase = Phase.READY

    def _follow_safing(self, status: Status, now_ns: int) -> None:
        """A proof that waited on its way tells of then; the next one is not far."""
        safing = self._safing
        is_old = now_ns - self._heard.as_of_ns > STALE_STANDBY_NS
        if safing is None or self._phase not in SAFING_PHASES or is_old or not safing.observe(status, now_ns):
            return
        if self._watch is not None and self._watch.ended_ns is None:
            self._watch.ended_ns = now_ns
        if self._phase is Phase.SECURING:
            if self._fault_clears_when_secured:
                self._fault = None
            found_enabled = status.found_armed or status.found_running
            self._events.append(Secured(found_enabled=found_enabled, found_running=status.found_running, at_ns=now_ns))
            self._tell_missed(status, now_ns)
        if self._owes_disabled:
            self._owes_disabled = False
            self._events.append(Disabled(confirmed=True, at_ns=now_ns))
        self._phase = Phase.IDLE
        self._poll_ns = now_ns

    def _tell_missed(self, status: Status, now_ns: int) -> None:
        """Pulses that the box has given since the line was lost at rest: nobody here asked for them."""
        left, self._left = self._left, None
        if left is not None and left[0] == status.box and status.given is not None:
            unasked_pulses = range(status.given - left[1])
            self._events += [BurstFired(at_ns=now_ns, didt_a_per_us=None, asked=False) for _ in unasked_pulses]

    def _check_condition(self, status: Status, now_ns: int) -> None:
        if self._phase in ARMED_PHASES:
            reasons = condition_reasons(status, self._stop_temp_c)
            if reasons:
                self._fail("; ".join(reasons), "Let the coil cool; look at the box and the stimulator.", now_ns)

    def _follow_orders(self, status: Status, now_ns: int) -> None:
        """What became of the last command, and whether what was read back still stands."""
        if status.heard < self._order_id:
            return
        differ = () if self._wanted is None else mismatches(self._wanted, status, self._coil_type, counts=self._has_receipts)
        refused = status.refused if status.heard == self._order_id else None
        if self._phase is Phase.PREPARING:
            differ = (*differ, *self._reasons_of_the_way(now_ns), *([f"refused: {refused}"] if refused else []))
            self._conclude_preparing(differ, refused is not None, now_ns)
        elif self._phase in ARMED_PHASES and refused:
            self._fail(f"the box refuses: {refused}", LOOK_AT_BOX, now_ns)
        elif self._phase in ARMED_PHASES and differ:
            self._take_acts(list(differ), now_ns)
        elif self._phase is Phase.ARMING and status.armed and status.ready and not status.running:
            self._phase = Phase.READY
            self._events.append(Ready(at_ns=now_ns))

    def _conclude_preparing(self, differ: tuple[str, ...], is_refused: bool, now_ns: int) -> None:
        """A stimulator takes time to follow: looked at again until all is equal or the time is up."""
        if self._wanted is None or (differ and not is_refused and now_ns < self._deadline_ns):
            return
        self._phase = Phase.IDLE
        self._prepared = None if differ else self._wanted
        self._events.append(Prepared(settings=self._wanted, mismatches=differ, at_ns=now_ns))

    # ---- time ---------------------------------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> None:
        self._settle_owed(now_ns)
        self._advance_safing(now_ns)
        if self._watch is not None:
            self._conclude_train(self._watch, now_ns)
        self._advance_orders(now_ns)
        if self._phase in POLL_NS and now_ns >= self._poll_ns:
            self._poll_ns = now_ns + POLL_NS[self._phase]
            self._ask(now_ns)

    def _advance_orders(self, now_ns: int) -> None:
        is_stale = now_ns - self._heard.as_of_ns >= STALE_ARMED_NS
        overdue = None if self._watch is None else self._watch.overdue_fault(now_ns)
        if self._phase in ARMED_PHASES and now_ns >= self._alive_until_ns:
            self._fail("the daemon was not heard: the box is not kept armed", CALL, now_ns)
        elif self._phase in ARMED_PHASES and is_stale:
            self._fail(f"no status for 450 ms while armed: {self._who_is_missing(now_ns)}", CHECK_BOX, now_ns)
        elif self._phase is Phase.ARMING and now_ns >= self._deadline_ns:
            self._fail("not ready within 3 s of being armed", LOOK_AT_BOX, now_ns)
        elif self._phase in (Phase.STARTING, Phase.FIRING) and overdue:
            self._fail(overdue, LOOK_AT_BOX, now_ns)
        elif self._phase is Phase.PREPARING and now_ns >= self._deadline_ns and is_stale:
            self._fail("the box did not answer to its settings", CHECK_BOX, now_ns)
        elif self._phase is Phase.IDLE and is_stale:
            self._phase = Phase.SECURING
            self._tell_fault(f"no answer: {self._who_is_missing(now_ns)}", CHECK_BOX, now_ns)
            self._secure_again(now_ns)
