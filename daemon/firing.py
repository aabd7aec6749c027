"""From arm and grant to receipt: owns what the stimulator is asked to do. Sans-IO: values in, bytes and facts out.

    arm:    none -> preparing -> charging -> ready <-> held -> none      (held: disabled, the operator's arm kept)
    train:  granted -> running -> settling -> receipt

A veto that is a hold breaks the train and keeps the arm; every other one is a stop and takes it away. Only the operator gives it back.
"""

import enum
from collections.abc import Callable

import msgspec

from daemon.burst_clock import BurstClock
from daemon.gate import ARMED_RULES, BURST_RULES, HOLDS, RUNS, STARTS, Veto, View, vetoes
from daemon.ipc import (
    Arm,
    ArmState,
    DeviceAlarm,
    FromHotOrder,
    Grant,
    HardwareStopSeen,
    PulsePose,
    Safe,
    TestStop,
    TrainBroken,
    TrainStarted,
    Ungranted,
)
from daemon.pacing import CHARGE_NS
from daemon.purpose import Pacing, Purpose
from daemon.train_account import Train, burst_length_ns, is_short, receipt_of, zero_receipt
from drivers.protocols import Step, Stimulator
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
    TrainEnded,
    TrainSettings,
)

SETTLE_NS = 200_000_000  # a device's events may come this late after its end is confirmed
OVERDUE_NS = 1_000_000_000  # a train whose end nobody reports this long after its plan is counted in full
MOST_PULSES_PER_BURST = 5  # a stimulator's burst holds five at most: an unasked one of unknown kind counts as that
# What the unit is charged with while its own stop is tested: nothing, once. Every model takes it.
IDLE_SETTINGS = TrainSettings(amplitude_pct_mso=0, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="1", bursts=1)
LOOK_AGAIN_NS = 1_000_000  # at a burst that is due and may not be asked for yet; a frame looks at it too
LONGEST_BURST_NS = 400_000_000  # and its pulses are 100 ms apart at most (MagPro, burst mode)


class Phase(enum.Enum):
    """How far the arm has come."""

    NONE = "none"
    PREPARING = "preparing"
    CHARGING = "charging"
    READY = "ready"
    HELD = "held"


class Out(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes for the stimulator, in order, and facts for the daemon."""

    send: bytes
    facts: tuple[FromHotOrder, ...]
    reopen: str | None


class Firing:
    """The stimulator's side of the hot process. Every public call may add bytes and facts; `take` hands them over."""

    def __init__(self, driver: Stimulator, run_id: str, pose: Callable[[], tuple[float | None, int | None]]) -> None:
        self.driver, self.run_id = driver, run_id
        self.secured, self.disarm_failed, self.stopping = False, False, False
        self.phase = Phase.NONE
        self.arm: Arm | None = None
        self.test: TestStop | None = None
        self.grant: Grant | None = None
        self.train: Train | None = None
        self.last_pulse_ns: int | None = None
        self._device_wake_ns = 0
        self.burst_is_leaving = False  # a burst was asked for in this turn; `left` wants to know when its bytes went
        self._pace_ns: int | None = None  # when the next burst of a train that the host paces is looked at
        self._test_until_ns = 0
        self._test_passed = False  # until the driver has taken back the fault that the passed test is to it
        self._last_grant_no = self._void_up_to = -1
        self._pose = pose
        self._send = bytearray()
        self._facts: list[FromHotOrder] = []
        self._reopen: str | None = None

    @property
    def armed(self) -> bool:
        """The operator's arm stands and the device has once confirmed it."""
        return (self.arm is not None and self.phase in (Phase.READY, Phase.HELD)) or self._recharging

    @property
    def wake_ns(self) -> int:
        """When to tick at the latest."""
        return self._device_wake_ns if self._pace_ns is None else min(self._device_wake_ns, self._pace_ns)

    @property
    def _recharging(self) -> bool:
        return self.arm is not None and self.grant is not None and self.phase in (Phase.PREPARING, Phase.CHARGING)

    @property
    def purpose(self) -> Purpose:
        """What the device is armed for; treatment, the stricter one, where it is not armed."""
        return Purpose.TREATMENT if self.arm is None else self.arm.purpose

    @property
    def busy(self) -> bool:
        """A train is not yet accounted for."""
        return self.train is not None

    def take(self) -> Out:
        out = Out(send=bytes(self._send), facts=tuple(self._facts), reopen=self._reopen)
        self._send.clear()
        self._facts.clear()
        self._reopen = None
        return out

    # ---- the link ----

    def connected(self, now_ns: int) -> None:
        self.secured = False
        self._absorb(self.driver.connected(now_ns), now_ns)

    def disconnected(self, now_ns: int) -> None:
        self.secured = False
        if self.train is not None:
            self.train.link_lost = True
        self._absorb(self.driver.disconnected(now_ns), now_ns)
        self._lose_arm(("stimulator link lost",), now_ns)

    def feed(self, data: bytes, now_ns: int) -> None:
        self._absorb(self.driver.feed(data, now_ns), now_ns)

    # ---- what people and the daemon ask ----

    def order_arm(self, order: Arm, now_ns: int) -> None:
        """Prepare and charge for these trains; refused while anything else is going on."""
        refusal = self._arm_refusal() or ", ".join(self.driver.can(order.settings))
        if refusal:
            self._facts.append(ArmState(arm_no=order.arm_no, armed=False, stopped=False, why=refusal))
            return
        self.arm, self._test_passed = order, False
        self._absorb(self.driver.acknowledge(now_ns), now_ns)  # arming is the operator's word that the fault was seen
        self._prepare(order.settings, now_ns)

    def order_test(self, order: TestStop, now_ns: int) -> None:
        """Charge at 0 % and wait for the device's own stop."""
        refusal = self._arm_refusal()
        if refusal:
            self._facts.append(HardwareStopSeen(arm_no=order.arm_no, seen=False, why=refusal))
            return
        self.test = order
        self._test_until_ns = now_ns + order.within_ns
        self._prepare(IDLE_SETTINGS, now_ns)

    def order_grant(self, grant: Grant, now_ns: int) -> None:
        """Keep one grant. A doubled or foreign one is not answered: its receipt is somebody else's."""
        if grant.run_id != self.run_id or grant.grant_no <= self._last_grant_no:
            self._alarm("grant_refused", False, f"grant {grant.grant_no} is a double or from another run", "Nothing was fired.")
            return
        self._last_grant_no = grant.grant_no
        refusal = self._grant_refusal(grant, now_ns)
        if refusal:
            self._facts.append(zero_receipt(grant, (refusal,)))
            return
        self.grant = grant
        self.driver.start_is_due(grant.not_before_ns)

    def hold(self, why: str, now_ns: int, void_up_to: int = -1) -> None:
        """Disable, keep the arm. Grants up to that number are worth nothing, also those that come later."""
        self._void_up_to = max(self._void_up_to, void_up_to)
        self._break((why,), now_ns)
        if self.phase in (Phase.READY, Phase.CHARGING, Phase.PREPARING) and self.arm is not None:
            self.phase = Phase.HELD
        self._stop_device(now_ns)

    def stop(self, why: str, now_ns: int) -> None:
        """Disable, take the arm away."""
        self._lose_arm((why,), now_ns)
        self._stop_device(now_ns)

    # ---- time ----

    def tick(self, view: View, now_ns: int) -> None:
        if now_ns >= self._device_wake_ns:
            self._absorb(self.driver.tick(now_ns), now_ns)
        self._watch(view, now_ns)
        self._pace(view, now_ns)
        if self.grant is not None:
            self._try_grant(self.grant, view, now_ns)
        if self.test is not None and now_ns > self._test_until_ns:
            self._end_test(False, "nobody pressed it in time", now_ns)
        self._try_receipt(now_ns)

    def _watch(self, view: View, now_ns: int) -> None:
        """End what must not go on: the running train by its rules, the idle arm by fewer."""
        running = self.train is not None and self.train.stop_asked_ns is None and self.train.ended_ns is None
        if not running and self.phase is Phase.NONE:
            return
        against = vetoes(view, now_ns, RUNS[self.purpose] if running else ARMED_RULES)
        if not against:
            return
        if self.arm is not None and all(veto in HOLDS for veto in against):
            if self.phase is not Phase.HELD:
                self._break(against, now_ns)
                self.phase = Phase.HELD
                self._stop_device(now_ns)
            return
        self._lose_arm(against, now_ns)
        self._stop_device(now_ns)

    def _try_grant(self, grant: Grant, view: View, now_ns: int) -> None:
        if self.train is None and self.phase is Phase.READY:
            against = vetoes(view, now_ns, STARTS[self.purpose])
            if not against:
                self._start(grant, now_ns)
                return
        else:
            against = (Veto.STIM_NOT_READY,)
        if now_ns > grant.expires_ns:
            self.grant = None
            self._facts.append(zero_receipt(grant, against))
            self._rest_between_pulses(now_ns)
        elif self.phase is Phase.HELD and not self.stopping and now_ns >= grant.not_before_ns - CHARGE_NS:
            self._prepare(grant.settings, now_ns)

    def _start(self, grant: Grant, now_ns: int) -> None:
        self.grant = None
        self.train = Train(grant=grant, started_ns=now_ns, damaged_before=self.driver.damaged)
        self._facts.append(TrainStarted(grant_no=grant.grant_no, train=grant.train, at_ns=now_ns))
        if grant.pacing is Pacing.BURST:
            self.train.clock = BurstClock(grant.settings, now_ns)
            self.burst_is_leaving = True
            self._absorb(self.driver.start_burst(now_ns), now_ns)
        else:
            self._absorb(self.driver.start_train(now_ns), now_ns)

    def _pace(self, view: View, now_ns: int) -> None:
        """Ask for the next burst of a running train when its time has come and every rule holds at that moment."""
        train, self._pace_ns = self.train, None
        clock = None if train is None else train.clock
        if train is None or clock is None or train.stop_asked_ns is not None or train.ended_ns is not None:
            return
        if clock.is_over(now_ns):
            self._absorb(self.driver.end_train(now_ns), now_ns)
            return
        if clock.is_due(now_ns) and not vetoes(view, now_ns, BURST_RULES):
            clock.ask(now_ns)
            self.burst_is_leaving = True
            self._absorb(self.driver.start_burst(now_ns), now_ns)
        self._pace_ns = max(clock.next_ns, now_ns + LOOK_AGAIN_NS)

    def left(self, now_ns: int) -> None:
        """The bytes of this turn were written."""
        self.burst_is_leaving = False
        clock = None if self.train is None else self.train.clock
        if clock is not None:
            clock.left(now_ns)
            self._pace_ns = clock.next_ns

    # ---- receipts ----

    def _try_receipt(self, now_ns: int) -> None:
        train = self.train
        if train is None:
            return
        settled = train.ended_ns is not None and now_ns >= train.ended_ns + SETTLE_NS
        overdue = now_ns >= train.planned_end_ns + OVERDUE_NS + SETTLE_NS
        if not settled and not overdue:
            return
        self.train = None
        receipt = receipt_of(train, self.run_id, self.driver.damaged)
        if receipt.last_ns is not None:
            self.last_pulse_ns = max(self.last_pulse_ns or 0, receipt.last_ns)
        self._facts.append(receipt)
        if train.ended_ns is None and self.arm is not None:
            self._lose_arm(("the end of a train was not reported",), now_ns)
            self._stop_device(now_ns)

    # ---- what the device says ----

    def _absorb(self, step: Step[StimEvent], now_ns: int) -> None:
        self._send += step.send
        self._device_wake_ns = step.wake_ns
        if step.reopen is not None:
            self._reopen = step.reopen
        for event in step.events:
            self._on_event(event, now_ns)

    def _on_event(self, event: StimEvent, now_ns: int) -> None:
        match event:
            case StimReport():
                pass
            case BurstFired():
                self._on_burst(event, now_ns)
            case Prepared():
                self._on_prepared(event, now_ns)
            case Ready():
                self._on_ready(now_ns)
            case TrainEnded(at_ns=at_ns):
                self._end_train(at_ns)
                self._rest_between_pulses(now_ns)
            case Disabled():
                self._on_disabled(event, now_ns)
            case Secured():
                self._on_secured(event)
            case PanelAct():
                self._on_panel(event, now_ns)
            case StimFault() if self._test_passed:
                pass  # the driver's word for what the test was waiting for
            case StimFault(what=what, remedy=remedy):
                self._alarm("stimulator_fault", self.phase is not Phase.NONE, what, remedy)
                self._lose_arm((what,), now_ns)
                self._stop_device(now_ns)

    def _on_burst(self, event: BurstFired, now_ns: int) -> None:
        settings = self._burst_settings()
        length_ns = LONGEST_BURST_NS if settings is None else burst_length_ns(settings)
        self.last_pulse_ns = event.at_ns + length_ns
        if self.train is not None:
            distance_mm, exposed_ns = self._pose()
            self.train.bursts.append(
                PulsePose(at_ns=event.at_ns, didt_a_per_us=event.didt_a_per_us, distance_mm=distance_mm, exposed_ns=exposed_ns)
            )
            return
        pulses = MOST_PULSES_PER_BURST if settings is None else settings.pulses_per_burst
        self._facts.append(Ungranted(pulses=pulses, at_ns=event.at_ns))
        self._alarm("uncommanded_pulse", True, "the stimulator fired without a command", "Lift the coil off, then call the engineer.")
        self._lose_arm(("uncommanded pulse",), now_ns)
        self._stop_device(now_ns)

    def _burst_settings(self) -> TrainSettings | None:
        """What the device was set to when it fired, if that is known: a driver that has just failed no longer says."""
        if self.train is not None:
            return self.train.grant.settings
        return self.driver.prepared if self.arm is None else self.arm.settings

    def _on_prepared(self, event: Prepared, now_ns: int) -> None:
        if self.phase is not Phase.PREPARING:
            return
        if event.mismatches:
            why = "read-back differs: " + ", ".join(event.mismatches)
            self._alarm("read_back", False, why, "Leave the dial, check the coil, then arm again.")
            self._lose_arm((why,), now_ns)
            self._stop_device(now_ns)
            return
        self.phase = Phase.CHARGING
        self._absorb(self.driver.enable(now_ns), now_ns)

    def _on_ready(self, now_ns: int) -> None:
        if self.phase is not Phase.CHARGING:
            return
        self.phase = Phase.READY
        if self.arm is not None:
            self._facts.append(ArmState(arm_no=self.arm.arm_no, armed=True, stopped=False, why=""))
            if self.grant is None:
                self._rest_between_pulses(now_ns)

    def _rest_between_pulses(self, now_ns: int) -> None:
        """While the motor threshold is sought, the device is charged for one granted pulse at a time."""
        if self.purpose is Purpose.MT and self.phase is Phase.READY:
            self.phase = Phase.HELD
            self._stop_device(now_ns)

    def _on_disabled(self, event: Disabled, now_ns: int) -> None:
        self.disarm_failed = not event.confirmed
        if not event.confirmed:
            remedy = "Lift the coil off, then press red button."
            self._alarm("disarm_unconfirmed", True, "the stimulator does not confirm that it is off", remedy)
        else:
            self.stopping = False
            self._end_train(event.at_ns)
            self._acknowledge_test(now_ns)
        self._facts.append(Safe(confirmed=event.confirmed, found_enabled=False, found_running=False, at_ns=event.at_ns, opening=False))

    def _on_secured(self, event: Secured) -> None:
        self.secured, self.disarm_failed, self.stopping = True, False, False
        self._end_train(event.at_ns)
        self._facts.append(
            Safe(
                confirmed=True,
                found_enabled=event.found_enabled,
                found_running=event.found_running,
                at_ns=event.at_ns,
                opening=True,
            )
        )

    def _on_panel(self, event: PanelAct, now_ns: int) -> None:
        if self.test is not None and self.phase in (Phase.CHARGING, Phase.READY) and event.what.startswith("disabled"):
            self._end_test(True, "", now_ns)
            return
        self._alarm("front_panel", False, f"front panel used: {event.what}", "Leave the panel, then start again.")
        self._lose_arm((f"front panel used: {event.what}",), now_ns)
        self._stop_device(now_ns)

    # ---- small steps ----

    def _prepare(self, settings: TrainSettings, now_ns: int) -> None:
        self.phase = Phase.PREPARING
        self._absorb(self.driver.prepare(settings, now_ns), now_ns)

    def _arm_refusal(self) -> str:
        if not self.secured or self.disarm_failed or self.stopping:
            return "the stimulator is not confirmed safe yet"
        if self.phase is not Phase.NONE or self.busy:
            return "the stimulator is in use"
        return ""

    def _grant_refusal(self, grant: Grant, now_ns: int) -> str:
        if self.arm is None or self.phase is Phase.NONE or grant.arm_no != self.arm.arm_no:
            return Veto.NOT_ARMED
        if grant.grant_no <= self._void_up_to:
            return "held before it came"
        if self.grant is not None or self.busy:
            return "another train is under way"
        if now_ns > grant.expires_ns:
            return "expired before it came"
        return "" if _is_covered(grant, self.arm) else Veto.SETTINGS_DIFFER

    def _end_train(self, at_ns: int) -> None:
        if self.train is not None and self.train.ended_ns is None:
            self.train.ended_ns = at_ns

    def _break(self, why: tuple[str, ...], now_ns: int) -> None:
        """Mark the running train broken and give an unused grant back."""
        reasons = tuple(str(reason) for reason in why)
        train = self.train
        if train is not None and not train.why and (train.ended_ns is None or is_short(train, self.driver.damaged)):
            train.why = reasons
            train.stop_asked_ns = now_ns if train.ended_ns is None else None
            self._facts.append(TrainBroken(grant_no=train.grant.grant_no, why=reasons))
        if self.grant is not None:
            grant, self.grant = self.grant, None
            self._facts.append(zero_receipt(grant, reasons))

    def _lose_arm(self, why: tuple[str, ...], now_ns: int) -> None:
        self._break(why, now_ns)
        arm, test = self.arm, self.test
        self.arm, self.test, self.phase = None, None, Phase.NONE
        text = ", ".join(str(reason) for reason in why)
        if arm is not None:
            self._facts.append(ArmState(arm_no=arm.arm_no, armed=False, stopped=True, why=text))
        if test is not None:
            self._facts.append(HardwareStopSeen(arm_no=test.arm_no, seen=False, why=text))

    def _end_test(self, seen: bool, why: str, now_ns: int) -> None:
        test, self.test, self.phase = self.test, None, Phase.NONE
        if test is not None:
            self._facts.append(HardwareStopSeen(arm_no=test.arm_no, seen=seen, why=why))
        self._test_passed = seen
        self._stop_device(now_ns)

    def _acknowledge_test(self, now_ns: int) -> None:
        if self._test_passed:
            self._absorb(self.driver.acknowledge(now_ns), now_ns)
            self._test_passed = self.driver.report.fault is not None

    def _stop_device(self, now_ns: int) -> None:
        self.stopping = True
        self._absorb(self.driver.stop(now_ns), now_ns)

    def _alarm(self, code: str, high: bool, text: str, remedy: str) -> None:
        self._facts.append(DeviceAlarm(code=code, high=high, text=text, remedy=remedy))


def _is_covered(grant: Grant, arm: Arm) -> bool:
    """Whether this very train is what the operator armed: equal, or while the threshold is sought one pulse, no stronger."""
    if grant.purpose is not arm.purpose or grant.pacing is not arm.pacing:
        return False
    if arm.purpose is Purpose.TREATMENT:
        return grant.settings == arm.settings
    weakened = msgspec.structs.replace(grant.settings, amplitude_pct_mso=arm.settings.amplitude_pct_mso)
    return weakened == arm.settings and 1 <= grant.settings.amplitude_pct_mso <= arm.settings.amplitude_pct_mso
