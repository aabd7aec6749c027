"""A Magstim under the hot process's own rules: armed by an operator, one train under a grant, a receipt that is an estimate."""

from collections.abc import Callable

from daemon.firing import Firing, Phase
from daemon.gate import View
from daemon.ipc import Arm, ArmState, DaemonBeat, FromHotOrder, Grant, Receipt, Ungranted
from daemon.on_target import Hysteresis, OnTarget
from drivers.values import TrainSettings
from tests.magstim_line import BEAT_NS, COIL, MS, TRAIN, MagstimLine

RUN = "run"
GAP_NS = 2_000 * MS


class FiringLine:
    """The hot process's firing over a simulated unit, in simulated time, with everything else in order."""

    def __init__(self) -> None:
        self.line = MagstimLine()
        self.firing = Firing(self.line.driver, RUN, lambda: (1.0, self.line.now_ns))
        self.facts: list[FromHotOrder] = []
        self.daemon_beats = True
        self._beat_ns = self.line.now_ns
        self.firing.connected(self.line.now_ns)

    def _view(self, now_ns: int) -> View:
        if self.daemon_beats:
            self._beat_ns = now_ns
        return View(
            exposed_ns=now_ns,
            head_seen=True,
            coil_seen=True,
            fit_rms_mm=0.1,
            flagged=False,
            max_fit_rms_mm=0.5,
            registration_expires_ns=now_ns + 10**12,
            check_expires_ns=now_ns + 10**12,
            reference_holds=True,
            calibration_expires_ns=now_ns + 10**12,
            on_target=OnTarget(machine=Hysteresis(on=True), published=True),
            stim=self.firing.driver.report,
            prepared=self.firing.driver.prepared,
            secured=self.firing.secured,
            disarm_failed=self.firing.disarm_failed,
            coil_type=COIL,
            start_temp_c=40,
            stop_temp_c=41,
            armed=self.firing.armed,
            beat=DaemonBeat(made_ns=self._beat_ns, operator_present=True, hardware_stop_tested=True, stop_inputs_clear=True),
            supervisor_ns=now_ns,
            grant=self.firing.grant,
            last_pulse_ns=self.firing.last_pulse_ns,
            wall_minus_mono_ns=0,
            record_open=True,
        )

    def turn(self) -> None:
        line = self.line
        line.now_ns += 2 * MS
        view = self._view(line.now_ns)
        line.driver.may_keep_alive(self._beat_ns + BEAT_NS)
        line.device.advance(line.now_ns)
        data = b"".join(line.device.take_frames(line.now_ns))
        if data:
            self.firing.feed(data, line.now_ns)
        self.firing.tick(view, line.now_ns)
        out = self.firing.take()
        self.facts += out.facts
        if out.send:
            line.device.hear(out.send, line.now_ns)

    def until(self, happened: Callable[[], bool], ms: float = 8000) -> None:
        end_ns = self.line.now_ns + round(ms * MS)
        while not happened():
            assert self.line.now_ns < end_ns, self.facts[-5:]
            self.turn()

    def run(self, ms: float) -> None:
        end_ns = self.line.now_ns + round(ms * MS)
        self.until(lambda: self.line.now_ns >= end_ns, ms + 100)

    def arm(self, settings: TrainSettings = TRAIN) -> None:
        self.until(lambda: self.firing.secured)
        self.firing.order_arm(Arm(arm_no=1, settings=settings), self.line.now_ns)
        self.until(lambda: self.firing.armed)

    def grant(self, number: int, settings: TrainSettings = TRAIN) -> None:
        order = Grant(
            run_id=RUN,
            grant_no=number,
            arm_no=1,
            train=number,
            settings=settings,
            not_before_ns=self.line.now_ns,
            expires_ns=self.line.now_ns + 2000 * MS,
            gap_ns=GAP_NS,
            wall_minus_mono_ns=0,
        )
        self.firing.order_grant(order, self.line.now_ns)

    def receipts(self) -> list[Receipt]:
        return [fact for fact in self.facts if isinstance(fact, Receipt)]


def test_train_under_a_grant_is_fired_whole_and_its_receipt_is_an_estimate_of_all_of_it() -> None:
    room = FiringLine()
    room.arm()
    room.grant(1)
    room.until(lambda: bool(room.receipts()))
    (receipt,) = room.receipts()
    assert (receipt.pulses, receipt.confirmed, receipt.broken) == (20, False, False)
    assert len(room.line.truth.pulses_ns) == 20
    assert receipt.last_ns is not None
    assert receipt.last_ns >= room.line.truth.pulses_ns[-1]


def test_train_stopped_at_once_after_its_start_is_never_counted_as_nothing() -> None:
    room = FiringLine()
    room.arm()
    room.grant(1)
    room.until(lambda: bool(room.line.truth.pulses_ns))
    room.firing.stop("operator", room.line.now_ns)
    room.until(lambda: bool(room.receipts()))
    (receipt,) = room.receipts()
    assert receipt.pulses >= len(room.line.truth.pulses_ns) >= 1
    assert not receipt.confirmed
    assert not room.line.device.armed


def test_second_grant_is_fired_only_after_the_units_pause_and_the_gap() -> None:
    room = FiringLine()
    room.arm()
    for number in (1, 2):
        room.grant(number)
        room.until(lambda number=number: len(room.receipts()) == number)  # type: ignore[misc]
    pulses_ns = room.line.truth.pulses_ns
    assert len(pulses_ns) == 40
    assert pulses_ns[20] - pulses_ns[19] >= GAP_NS
    assert room.firing.phase is Phase.READY


def test_grant_within_the_energys_pause_comes_back_unused_and_keeps_the_arm() -> None:
    strong = TrainSettings(amplitude_pct_mso=100, pulses_per_burst=1, intra_burst_interval_us=0, burst_hz="20", bursts=100)
    room = FiringLine()
    room.arm(strong)
    room.grant(1, strong)
    room.until(lambda: len(room.receipts()) == 1, 10_000)
    room.grant(2, strong)
    room.until(lambda: len(room.receipts()) == 2)
    assert [receipt.pulses for receipt in room.receipts()] == [100, 0]
    assert "stim_not_ready" in room.receipts()[1].why
    assert room.firing.armed


def test_daemon_that_falls_silent_mid_train_ends_it_with_the_arm_gone_and_all_counted() -> None:
    room = FiringLine()
    room.arm()
    room.grant(1)
    room.until(lambda: len(room.line.truth.pulses_ns) == 5)
    room.daemon_beats = False
    room.until(lambda: bool(room.receipts()))
    assert not room.line.device.armed
    assert room.receipts()[0].pulses >= len(room.line.truth.pulses_ns)
    assert len(room.line.truth.pulses_ns) <= 10
    assert [fact.armed for fact in room.facts if isinstance(fact, ArmState)] == [True, False]


def test_train_by_the_trigger_input_is_entered_pulse_by_pulse() -> None:
    room = FiringLine()
    room.arm()
    room.run(1000)
    room.line.device.trigger(room.line.now_ns)
    room.until(lambda: not room.line.device.armed)
    room.run(500)
    entered = [fact.pulses for fact in room.facts if isinstance(fact, Ungranted)]
    assert sum(entered) >= len(room.line.truth.pulses_ns)
    assert len(entered) <= len(room.line.truth.pulses_ns) + 4


def test_theta_burst_is_refused_at_the_arm_with_the_reason() -> None:
    room = FiringLine()
    room.until(lambda: room.firing.secured)
    theta = TrainSettings(amplitude_pct_mso=40, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)
    room.firing.order_arm(Arm(arm_no=1, settings=theta), room.line.now_ns)
    room.turn()
    (state,) = (fact for fact in room.facts if isinstance(fact, ArmState))
    assert not state.armed
    assert "theta bursts cannot be set over a Magstim's serial line" in state.why
