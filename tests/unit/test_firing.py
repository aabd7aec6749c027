"""From arm and grant to receipt, word by word of the device: what is fired, what is refused, what takes the arm, what counts."""

from collections.abc import Callable

import msgspec
import pytest

from daemon import ipc
from daemon.firing import LONGEST_BURST_NS, MOST_PULSES_PER_BURST, OVERDUE_NS, SETTLE_NS, Phase
from daemon.gate import HOLDS, RUN_RULES, Veto
from daemon.ipc import ArmState, DeviceAlarm, HardwareStopSeen, Safe, TrainBroken, TrainStarted, Ungranted
from daemon.on_target import OnTarget
from daemon.purpose import Purpose
from daemon.train_account import START_LATE_NS
from drivers.values import BurstFired, PanelAct, Prepared, Ready, StimFault
from tests.gate_views import BEAT, SETTINGS, STIM
from tests.puppet import MS, Bench, S

OFF_TARGET: dict[str, object] = {"on_target": OnTarget()}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def alarms(bench: Bench) -> list[str]:
    return [fact.code for fact in bench.facts if isinstance(fact, DeviceAlarm)]


def assert_arm_lost(bench: Bench) -> None:
    assert bench.firing.arm is None
    assert bench.firing.phase is Phase.NONE
    assert not bench.firing.armed
    lost = bench.all(ArmState)
    assert [(fact.armed, fact.stopped) for fact in lost if isinstance(fact, ArmState)] == [(False, True)]
    assert "stop" in bench.device.told


def assert_held(bench: Bench) -> None:
    assert bench.firing.arm is not None
    assert bench.firing.phase is Phase.HELD
    assert bench.all(ArmState) == []
    assert "stop" in bench.device.told


# ---- arm ----------------------------------------------------------------------------------------------------------------


def test_an_arm_is_prepared_read_back_and_charged_before_it_is_confirmed(bench: Bench) -> None:
    bench.order_arm()
    assert bench.device.told == ["acknowledge", "prepare"]
    assert not bench.firing.armed
    bench.says(Prepared(settings=SETTINGS, mismatches=(), at_ns=bench.now_ns))
    assert bench.device.told[2:] == ["enable"]
    assert bench.facts == []
    bench.says(Ready(at_ns=bench.now_ns))
    assert bench.facts == [ArmState(arm_no=1, armed=True, stopped=False, why="")]
    assert bench.firing.armed


def not_secured(bench: Bench) -> None:
    bench.firing.connected(bench.now_ns)
    bench.forget()


def without_confirmation(bench: Bench) -> None:
    bench.off(confirmed=False)
    bench.forget()


def still_stopping(bench: Bench) -> None:
    bench.firing.stop("operator", bench.now_ns)
    bench.take()
    bench.forget()


def testing_the_stop(bench: Bench) -> None:
    bench.firing.order_test(ipc.TestStop(arm_no=-1, within_ns=10 * S), bench.now_ns)
    bench.forget()


def unable(bench: Bench) -> None:
    bench.device.cannot = ("too fast",)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (not_secured, "the stimulator is not confirmed safe yet"),
        (without_confirmation, "the stimulator is not confirmed safe yet"),
        (still_stopping, "the stimulator is not confirmed safe yet"),
        (testing_the_stop, "the stimulator is in use"),
        (unable, "too fast"),
    ],
)
def test_an_arm_that_cannot_be_is_refused_and_nothing_is_sent(bench: Bench, given: Callable[[Bench], None], why: str) -> None:
    given(bench)
    bench.order_arm()
    assert bench.facts == [ArmState(arm_no=1, armed=False, stopped=False, why=why)]
    assert bench.device.told == []
    assert bench.firing.arm is None


def test_a_second_arm_is_refused_and_the_first_stands(bench: Bench) -> None:
    bench.armed().order_arm()
    assert bench.facts == [ArmState(arm_no=2, armed=False, stopped=False, why="the stimulator is in use")]
    assert bench.firing.arm is not None
    assert bench.firing.arm.arm_no == 1


def test_settings_read_back_otherwise_take_the_arm_and_disable(bench: Bench) -> None:
    bench.order_arm()
    bench.says(Prepared(settings=SETTINGS, mismatches=("amplitude: 46 read back, 45 asked",), at_ns=bench.now_ns))
    assert_arm_lost(bench)
    assert alarms(bench) == ["read_back"]
    assert "enable" not in bench.device.told


# ---- grant --------------------------------------------------------------------------------------------------------------


def test_a_granted_train_starts_at_once_when_the_gate_is_open(bench: Bench) -> None:
    grant = bench.armed().grant()
    bench.turn()
    assert bench.sent == b"T"
    assert bench.facts == [TrainStarted(grant_no=grant.grant_no, train=grant.train, at_ns=bench.now_ns)]


def test_nothing_starts_without_a_grant(bench: Bench) -> None:
    bench.armed()
    for _ in range(50):
        bench.turn(100 * MS)
    assert "start_train" not in bench.device.told


def test_a_grant_fires_once(bench: Bench) -> None:
    grant = bench.running().firing.train
    assert grant is not None
    for _ in range(10):
        bench.fires()
    bench.ends()
    bench.turn(SETTLE_NS)
    bench.firing.order_grant(grant.grant, bench.now_ns)
    bench.turn(100 * MS)
    assert alarms(bench) == ["grant_refused"]
    assert "start_train" not in bench.device.told


def test_a_grant_of_another_run_is_not_answered_and_uses_up_no_number(bench: Bench) -> None:
    bench.armed()
    foreign = bench.next_grant(run_id="earlier")
    bench.firing.order_grant(foreign, bench.now_ns)
    bench.turn()
    assert alarms(bench) == ["grant_refused"]
    assert bench.receipts == []
    bench.firing.order_grant(msgspec.structs.replace(foreign, run_id="run"), bench.now_ns)
    bench.turn()
    assert bench.device.told == ["start_train"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"arm_no": 7}, "not_armed"),
        ({"expires_ns": 0}, "expired before it came"),
        ({"settings": msgspec.structs.replace(SETTINGS, amplitude_pct_mso=44)}, "settings_differ"),
        ({"settings": msgspec.structs.replace(SETTINGS, bursts=11)}, "settings_differ"),
        ({"purpose": Purpose.MT}, "settings_differ"),
    ],
)
def test_a_grant_that_does_not_fit_the_arm_comes_back_as_zero(bench: Bench, changes: dict[str, object], why: str) -> None:
    bench.armed().grant(**changes)
    bench.turn()
    assert [(receipt.pulses, receipt.confirmed, receipt.why) for receipt in bench.receipts] == [(0, True, (why,))]
    assert "start_train" not in bench.device.told


def test_a_grant_without_an_arm_comes_back_as_zero(bench: Bench) -> None:
    bench.grant()
    assert [(receipt.pulses, receipt.why) for receipt in bench.receipts] == [(0, ("not_armed",))]


def test_a_second_grant_comes_back_as_zero_while_a_train_runs_or_waits(bench: Bench) -> None:
    bench.armed().grant(not_before_ns=bench.now_ns + S)
    bench.grant()
    bench.turn(S)
    bench.grant()
    assert [receipt.why for receipt in bench.receipts] == [("another train is under way",)] * 2


def test_a_grant_waits_for_the_gate_and_comes_back_with_its_reasons_when_it_expires(bench: Bench) -> None:
    bench.armed()
    bench.changes = OFF_TARGET
    bench.grant()
    bench.turn(2 * S)
    assert bench.receipts == []
    bench.turn(1)
    assert [(receipt.pulses, receipt.why[0]) for receipt in bench.receipts] == [(0, "off_target")]
    bench.changes = {}
    bench.turn(MS)
    assert "start_train" not in bench.device.told


# ---- train and receipt --------------------------------------------------------------------------------------------------


def test_a_whole_train_is_receipted_200_ms_after_its_end_with_each_burst_and_pose(bench: Bench) -> None:
    started_ns = bench.running().now_ns
    for _ in range(10):
        bench.fires()
    bench.ends()
    bench.turn(SETTLE_NS - 1)
    assert bench.receipts == []
    bench.turn(1)
    (receipt,) = bench.receipts
    assert (receipt.pulses, receipt.confirmed, receipt.broken, receipt.why) == (30, True, False, ())
    assert receipt.first_ns == started_ns + 200 * MS
    assert receipt.last_ns == started_ns + 2000 * MS + 40 * MS
    assert [burst.distance_mm for burst in receipt.bursts] == [1.5] * 10
    assert bench.firing.last_pulse_ns == receipt.last_ns
    assert not bench.firing.busy


def test_an_event_that_comes_after_the_end_still_counts(bench: Bench) -> None:
    bench.running()
    for _ in range(9):
        bench.fires()
    bench.ends()
    bench.fires(100 * MS)
    bench.turn(SETTLE_NS)
    assert [receipt.pulses for receipt in bench.receipts] == [30]


def test_a_train_whose_end_nobody_reports_counts_in_full_until_its_latest_moment(bench: Bench) -> None:
    started_ns = bench.running().now_ns
    bench.fires()
    planned_end_ns = started_ns + 9 * 200 * MS + 40 * MS
    bench.now_ns = planned_end_ns + OVERDUE_NS + SETTLE_NS - 1
    bench.turn()
    assert bench.receipts == []
    bench.turn(1)
    (receipt,) = bench.receipts
    assert (receipt.pulses, receipt.confirmed) == (30, False)
    assert receipt.last_ns == planned_end_ns + START_LATE_NS
    assert_arm_lost(bench)


def test_a_line_lost_in_mid_train_counts_in_full(bench: Bench) -> None:
    bench.running()
    bench.fires()
    bench.firing.disconnected(bench.now_ns)
    bench.take()
    bench.turn(4 * S)
    assert [(receipt.pulses, receipt.confirmed) for receipt in bench.receipts] == [(30, False)]
    assert bench.firing.arm is None
    assert not bench.firing.secured


def test_damaged_frames_in_mid_train_are_filled_in_by_the_plan(bench: Bench) -> None:
    bench.running()
    bench.fires()
    bench.device.damaged += 1
    bench.fires(400 * MS)
    bench.ends()
    bench.turn(SETTLE_NS)
    assert [(receipt.pulses, receipt.confirmed) for receipt in bench.receipts] == [(12, False)]


# ---- holds and stops ----------------------------------------------------------------------------------------------------


def late() -> dict[str, object]:
    return {"beat": msgspec.structs.replace(BEAT, made_ns=0)}


def test_off_target_in_mid_train_stops_the_device_and_keeps_the_arm(bench: Bench) -> None:
    bench.running().fires()
    bench.changes = OFF_TARGET
    bench.turn(MS)
    assert bench.sent == b"0"
    assert_held(bench)
    assert bench.all(TrainBroken) == [TrainBroken(grant_no=1, why=("off_target",))]
    bench.now_ns += 30 * MS
    bench.off()
    bench.turn(SETTLE_NS)
    assert [(receipt.pulses, receipt.confirmed, receipt.broken, receipt.why) for receipt in bench.receipts] == [
        (3, True, True, ("off_target",))
    ]


def test_a_late_daemon_in_mid_train_takes_the_arm(bench: Bench) -> None:
    bench.running().fires()
    bench.changes = late()
    bench.turn(MS)
    assert bench.sent == b"0"
    assert_arm_lost(bench)


def test_a_hold_and_a_stop_at_once_are_a_stop(bench: Bench) -> None:
    bench.running().fires()
    bench.changes = OFF_TARGET | late()
    bench.turn(MS)
    assert_arm_lost(bench)


@pytest.mark.parametrize("veto", sorted(set(RUN_RULES) - HOLDS - {Veto.NOT_ARMED, Veto.SETTINGS_DIFFER, Veto.DISARM_UNCONFIRMED}))
def test_every_veto_that_is_no_hold_takes_the_arm_in_mid_train(bench: Bench, veto: Veto) -> None:
    broken: dict[Veto, dict[str, object]] = {
        Veto.STOP_INPUT: {"beat": msgspec.structs.replace(BEAT, made_ns=bench.now_ns, stop_inputs_clear=False)},
        Veto.DAEMON_LATE: late(),
        Veto.SUPERVISOR_LATE: {"supervisor_ns": None},
        Veto.STIM_FAULT: {"stim": msgspec.structs.replace(STIM, received_ns=bench.now_ns, fault="broken")},
        Veto.CALIBRATION_INVALID: {"calibration_expires_ns": None},
        Veto.STIM_STALE: {"stim": msgspec.structs.replace(STIM, received_ns=0)},
        Veto.COIL_WRONG: {"coil_type": 1},
        Veto.RECORD_BLOCKED: {"record_open": False},
    }
    bench.running().changes = broken[veto]
    bench.turn()
    assert_arm_lost(bench)


def test_a_hold_ends_in_a_new_charge_just_ahead_of_the_next_grant(bench: Bench) -> None:
    bench.armed()
    bench.firing.hold("operator", bench.now_ns)
    bench.take()
    assert_held(bench)
    bench.grant(not_before_ns=bench.now_ns + 6 * S, expires_ns=bench.now_ns + 8 * S)
    bench.turn(5 * S)
    assert "prepare" not in bench.device.told, "the device has not confirmed that it is off"
    bench.off()
    bench.turn()
    assert bench.device.told[-1] == "prepare"
    assert bench.firing.armed
    bench.charge()
    bench.turn(S - 1)
    assert "start_train" not in bench.device.told
    bench.turn(1)
    assert bench.device.told[-1] == "start_train"


def test_a_held_device_is_not_charged_earlier_than_4_s_ahead(bench: Bench) -> None:
    bench.armed()
    bench.firing.hold("operator", bench.now_ns)
    bench.off()
    bench.forget()
    bench.grant(not_before_ns=bench.now_ns + 6 * S, expires_ns=bench.now_ns + 8 * S)
    bench.turn(2 * S - 1)
    assert bench.device.told == []
    bench.turn(1)
    assert bench.device.told == ["prepare"]


def test_a_hold_gives_an_unused_grant_back(bench: Bench) -> None:
    bench.armed().grant(not_before_ns=bench.now_ns + S)
    bench.firing.hold("operator", bench.now_ns)
    bench.take()
    assert [(receipt.pulses, receipt.why) for receipt in bench.receipts] == [(0, ("operator",))]


@pytest.mark.parametrize("given", [Bench.armed, Bench.running, Bench.seeking])
def test_the_operators_stop_is_the_next_byte_and_takes_the_arm(bench: Bench, given: Callable[[Bench], Bench]) -> None:
    given(bench).firing.stop("operator", bench.now_ns)
    bench.take()
    assert bench.sent == b"0"
    assert_arm_lost(bench)
    bench.off()
    bench.grant()
    bench.turn(SETTLE_NS)
    bench.turn(S)
    assert "start_train" not in bench.device.told
    assert "prepare" not in bench.device.told


def test_an_idle_arm_is_held_over_a_hot_coil_and_lost_over_another_coil(bench: Bench) -> None:
    bench.armed().changes = {"stop_temp_c": 20}
    bench.turn()
    assert_held(bench)
    bench.changes = {"coil_type": 1}
    bench.turn()
    assert_arm_lost(bench)


def test_a_stop_that_is_not_confirmed_is_the_loudest_alarm_and_no_arm_is_taken_until_it_is(bench: Bench) -> None:
    bench.armed().firing.stop("operator", bench.now_ns)
    bench.off(confirmed=False)
    assert alarms(bench) == ["disarm_unconfirmed"]
    assert [fact.confirmed for fact in bench.facts if isinstance(fact, Safe)] == [False]
    bench.order_arm()
    assert bench.firing.arm is None
    bench.off()
    bench.order_arm()
    assert bench.firing.arm is not None


# ---- what the device does by itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [lambda _: None, Bench.armed, Bench.seeking])
def test_a_pulse_that_nobody_granted_counts_is_told_and_ends_everything(bench: Bench, given: Callable[[Bench], object]) -> None:
    given(bench)
    was_armed = bench.firing.arm is not None
    bench.says(BurstFired(at_ns=bench.now_ns, didt_a_per_us=70, asked=False))
    assert len(bench.all(Ungranted)) == 1
    assert alarms(bench) == ["uncommanded_pulse"]
    assert "stop" in bench.device.told
    assert bench.firing.phase is Phase.NONE
    assert bool(bench.all(ArmState)) is was_armed


@pytest.mark.parametrize(
    ("given", "pulses", "length_ns"),
    [(lambda _: None, MOST_PULSES_PER_BURST, LONGEST_BURST_NS), (Bench.armed, 3, 40 * MS), (Bench.seeking, 1, 0)],
    ids=["unknown", "theta", "single"],
)
def test_an_ungranted_burst_counts_as_what_the_device_was_set_to_or_the_most_it_can(
    bench: Bench, given: Callable[[Bench], object], pulses: int, length_ns: int
) -> None:
    given(bench)
    bench.says(BurstFired(at_ns=bench.now_ns, didt_a_per_us=70, asked=False))
    assert bench.all(Ungranted) == [Ungranted(pulses=pulses, at_ns=bench.now_ns)]
    assert bench.firing.last_pulse_ns == bench.now_ns + length_ns


@pytest.mark.parametrize("given", [Bench.armed, Bench.running, Bench.seeking])
def test_a_hand_at_the_panel_takes_the_arm(bench: Bench, given: Callable[[Bench], Bench]) -> None:
    given(bench).says(PanelAct(what="amplitude changed from 45 to 60 %", at_ns=bench.now_ns))
    assert_arm_lost(bench)
    assert alarms(bench) == ["front_panel"]


@pytest.mark.parametrize("given", [Bench.armed, Bench.running, Bench.seeking])
def test_a_fault_of_the_device_takes_the_arm(bench: Bench, given: Callable[[Bench], Bench]) -> None:
    given(bench).says(StimFault(what="no answer", remedy="Check.", at_ns=bench.now_ns))
    assert_arm_lost(bench)
    assert alarms(bench) == ["stimulator_fault"]


# ---- the test of the hardware stop ----------------------------------------------------------------------------------------


def test_the_test_of_the_stop_charges_at_zero_and_passes_when_the_device_is_switched_off_by_hand(bench: Bench) -> None:
    bench.firing.order_test(ipc.TestStop(arm_no=-1, within_ns=10 * S), bench.now_ns)
    assert bench.device.prepared is not None
    assert bench.device.prepared.amplitude_pct_mso == 0
    bench.charge()
    assert bench.facts == []
    bench.says(PanelAct(what="disabled at the panel or by the device", at_ns=bench.now_ns))
    bench.says(StimFault(what="changed without being asked", remedy="", at_ns=bench.now_ns))
    bench.off()
    assert bench.all(HardwareStopSeen) == [HardwareStopSeen(arm_no=-1, seen=True, why="")]
    assert alarms(bench) == []
    assert bench.device.told[-1] == "acknowledge"
    bench.order_arm()
    assert bench.firing.arm is not None


def test_the_test_of_the_stop_fails_when_nobody_presses_it_in_time(bench: Bench) -> None:
    bench.firing.order_test(ipc.TestStop(arm_no=-1, within_ns=10 * S), bench.now_ns)
    bench.charge()
    bench.turn(10 * S)
    assert bench.all(HardwareStopSeen) == []
    bench.turn(1)
    assert bench.all(HardwareStopSeen) == [HardwareStopSeen(arm_no=-1, seen=False, why="nobody pressed it in time")]
    assert bench.device.told[-1] == "stop"


def test_a_train_is_never_granted_in_the_test_of_the_stop(bench: Bench) -> None:
    bench.firing.order_test(ipc.TestStop(arm_no=-1, within_ns=10 * S), bench.now_ns)
    bench.charge()
    bench.grant(arm_no=-1)
    bench.turn()
    assert [receipt.why for receipt in bench.receipts] == [("not_armed",)]
    assert "start_train" not in bench.device.told
