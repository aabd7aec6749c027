"""A MagVenture MagPro as a stimulator: what to send when, what its frames mean for us. Sans-IO; owns no port and reads no clock.

Disabled first and until proven, settings written and read back, one train per start, or one burst per trigger, watched receipt by
receipt. The panel stays live beside the host, so every change that was not asked for is reported, and while armed it ends in a disable.
"""

from drivers.magventure_asking import ENABLE, READ_BACK, writing
from drivers.magventure_bursts import BurstWatch
from drivers.magventure_command_wire import StartTrain, Trigger, encode_command
from drivers.magventure_core import CALL, CHECK_LINE, LOOK_AT_PANEL, MagVentureCore
from drivers.magventure_models import mode_for, waveform_for
from drivers.magventure_output import CoilRise
from drivers.magventure_phases import (
    ARMED_PHASES,
    ARMED_POLL_NS,
    ENABLE_LIMIT_NS,
    SAFING_PHASES,
    SETTLE_NS,
    SETTLE_WAVEFORM_NS,
    STALE_ARMED_NS,
    STALE_STANDBY_NS,
    TRAIN_POLL_NS,
    Phase,
    unasked,
)
from drivers.magventure_picture import Picture, mismatches, seen, temperature_reason
from drivers.magventure_reading import NOISE_LIMIT
from drivers.magventure_train import TrainWatch
from drivers.magventure_wire import Event, LongStatus, Mode, PageReport, PulseFired
from drivers.protocols import Step
from drivers.values import BurstFired, Disabled, PanelAct, Prepared, Ready, StimEvent, TrainBegan, TrainEnded, TrainSettings

BAUD = 38400  # 8N1, no handshake


class MagVentureStimulator(MagVentureCore):
    """One unit as every stimulator is used; what it must be given stands in `MagVentureCore`."""

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
        self._phase = Phase.PREPARING
        self._fault = self._prepared = None
        self._wanted = settings
        self._deadline_ns = now_ns + self._settle_ns(settings)
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

    def _settle_ns(self, settings: TrainSettings) -> int:
        """Relays are moved and the charge is made anew where waveform or mode change."""
        bits = self._picture.bits
        wanted = (waveform_for(settings, self._model), mode_for(settings, self._model))
        return SETTLE_NS if bits is not None and (bits.waveform, bits.mode) == wanted else SETTLE_WAVEFORM_NS

    def start_train(self, now_ns: int) -> Step[StimEvent]:
        """Start at once: the bytes of a poll that is out have long left, and nothing else is sent until the train runs."""
        reasons = self._reasons_not_to_charge(Phase.READY, STALE_ARMED_NS, now_ns)
        if reasons or self._prepared is None:
            return self._refusal("the train is not started: " + "; ".join(reasons), "Prepare and enable first.", now_ns)
        self._phase = Phase.STARTING
        self._watch = TrainWatch(self._prepared, self._receipts_per_burst, now_ns)
        self._rise.begin(self._picture.temperature_c)
        self._line.clear()
        self._bytes += encode_command(StartTrain())
        return self._step(now_ns)

    def start_burst(self, now_ns: int) -> Step[StimEvent]:
        """Fire at once, the first of a train or the next. `TrainBegan` comes with the first receipt.

        Refused while the burst before is not confirmed, sooner than its length and 100 ms after its trigger, and beyond the train's
        number of bursts. A burst of which no receipt comes within 300 ms is a fault, and the device is disabled.
        """
        reasons = self._reasons_against_burst(now_ns)
        if reasons or self._prepared is None:
            return self._refusal("the burst is not fired: " + "; ".join(reasons), "Prepare and enable first, keep the pauses.", now_ns)
        bursts = self._bursts
        if self._phase is not Phase.BURSTS or bursts is None:
            self._phase = Phase.BURSTS
            bursts = self._watch = BurstWatch(self._prepared, self._receipts_per_burst)
            self._polls_done = 0
            self._rise.begin(self._picture.temperature_c)
        bursts.ask(now_ns)
        self._bytes += encode_command(Trigger())
        return self._step(now_ns)

    def end_train(self, now_ns: int) -> Step[StimEvent]:
        """`TrainEnded` follows when the last burst is confirmed and has had its length: at once, if that is so already."""
        bursts = self._bursts
        if self._phase is not Phase.BURSTS or bursts is None:
            what = f"there is no train of bursts to end: the device is {self._phase.name.lower()}"
            return self._refusal(what, "This is a fault of the program that asks.", now_ns)
        bursts.is_ending = True
        self._advance(now_ns)
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
        self._feel_coil(old, now_ns)
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

    def _feel_coil(self, old: Picture, now_ns: int) -> None:
        if old.coil_type != self._picture.coil_type:
            self._rise = CoilRise()
        self._rise.felt(self._picture.temperature_c, now_ns)

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
        begins = watch.began_ns is None
        opens_burst = watch.count(now_ns)
        if begins and watch.began_ns is not None:
            self._events.append(TrainBegan(at_ns=now_ns))
        if opens_burst:
            self._events.append(BurstFired(at_ns=now_ns, didt_a_per_us=event.didt_a_per_us, asked=True))
        fault = watch.receipt_fault(event.didt_a_per_us, event.didt_b_per_us if event.bits.mode is Mode.TWIN else None)
        if fault:
            self._fail(fault, "Check coil and settings; measure the output before going on.", now_ns)
        elif self._phase is Phase.BURSTS and not self._waits_for_burst:
            self._poll_ns = now_ns  # the one moment at which an answer cannot be in the way of the next burst

    def _follow_train(self, old: Picture, now_ns: int) -> None:
        watch = self._watch
        if not isinstance(watch, TrainWatch) or old.running == self._picture.running:
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
            self._rise.end(now_ns)
            self._become_ready(first_poll_ns=now_ns)

    def _report_acts(self, old: Picture, now_ns: int) -> None:
        is_ours = isinstance(self._watch, TrainWatch) and self._watch.ended_ns is None
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
        elif self._phase in (Phase.ARMING, Phase.READY, Phase.BURSTS) and differ:
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
