"""Single pulses that seek the motor threshold: armed apart, granted one by one, the device at rest and disabled between them."""

import msgspec
import pytest

from daemon.firing import SETTLE_NS, Phase
from daemon.ipc import ArmState
from daemon.on_target import OnTarget
from daemon.pacing import CHARGE_NS
from daemon.purpose import Purpose
from drivers.values import Prepared, TrainSettings
from tests.gate_views import BEAT, SETTINGS
from tests.puppet import MS, PULSE, Bench, S

INTERVAL_NS = 5 * S
NO_TRACKER: dict[str, object] = {
    "exposed_ns": None,
    "head_seen": False,
    "coil_seen": False,
    "registration_expires_ns": None,
    "on_target": OnTarget(),
}


def pulse(amplitude_mso: int) -> TrainSettings:
    return msgspec.structs.replace(PULSE, amplitude_pct_mso=amplitude_mso)


@pytest.fixture
def bench() -> Bench:
    return Bench().seeking()


def give(bench: Bench, amplitude_mso: int) -> None:
    """One granted pulse from its grant to the device's rest; the grant's time has come."""
    bench.grant(settings=pulse(amplitude_mso), gap_ns=INTERVAL_NS)
    bench.turn()
    bench.charge()
    bench.turn()
    bench.fires(30 * MS)
    bench.ends()
    bench.off()
    bench.turn(SETTLE_NS)


def test_the_device_rests_disabled_once_the_arm_is_confirmed() -> None:
    bench = Bench()
    bench.order_arm(PULSE, Purpose.MT)
    bench.charge()
    assert bench.facts == [ArmState(arm_no=1, armed=True, stopped=False, why="")]
    assert bench.device.told[-1] == "stop"
    assert bench.firing.phase is Phase.HELD
    assert bench.firing.armed


def test_a_granted_pulse_is_set_read_back_charged_fired_and_the_device_disabled_again(bench: Bench) -> None:
    give(bench, 47)
    assert [word for word in bench.device.told if word != "tick"] == ["prepare", "enable", "start_train", "stop"]
    assert bench.device.prepared == pulse(47)
    assert [(receipt.pulses, receipt.confirmed, receipt.broken) for receipt in bench.receipts] == [(1, True, False)]
    assert bench.receipts[0].first_ns == bench.receipts[0].last_ns
    assert bench.firing.phase is Phase.HELD
    assert bench.firing.armed


def test_pulses_of_different_strength_follow_under_one_arm_and_each_has_a_receipt_of_its_own(bench: Bench) -> None:
    for amplitude in (60, 22, 40):
        give(bench, amplitude)
        bench.now_ns += INTERVAL_NS
    assert [(receipt.grant_no, receipt.pulses) for receipt in bench.receipts] == [(1, 1), (2, 1), (3, 1)]
    assert bench.device.told.count("start_train") == 3


def test_a_pulse_needs_no_tracker(bench: Bench) -> None:
    bench.changes = NO_TRACKER
    give(bench, 47)
    assert [receipt.pulses for receipt in bench.receipts] == [1]


def test_a_treatment_does_need_the_tracker() -> None:
    bench = Bench().armed()
    bench.changes = NO_TRACKER
    bench.grant()
    bench.turn(2 * S + 1)
    assert [receipt.pulses for receipt in bench.receipts] == [0]
    assert "start_train" not in bench.device.told


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": pulse(61)},
        {"settings": pulse(0)},
        {"settings": msgspec.structs.replace(PULSE, bursts=2)},
        {"settings": msgspec.structs.replace(PULSE, pulses_per_burst=3)},
        {"settings": SETTINGS},
        {"purpose": Purpose.TREATMENT},
    ],
    ids=["above the cap", "no amplitude", "two pulses", "a burst", "a train", "for treatment"],
)
def test_nothing_but_a_single_pulse_up_to_the_cap_is_granted(bench: Bench, changes: dict[str, object]) -> None:
    bench.grant(**changes)
    bench.turn()
    assert [(receipt.pulses, receipt.why) for receipt in bench.receipts] == [(0, ("settings_differ",))]
    assert bench.device.told == []


def test_a_pulse_under_a_treatments_arm_is_refused() -> None:
    bench = Bench().armed()
    bench.grant(settings=pulse(40), purpose=Purpose.MT)
    bench.turn()
    assert [receipt.why for receipt in bench.receipts] == [("settings_differ",)]
    assert bench.device.told == []


def test_the_device_is_charged_no_earlier_than_4_s_ahead_of_the_pulse(bench: Bench) -> None:
    bench.grant(settings=pulse(40), not_before_ns=bench.now_ns + CHARGE_NS + S, expires_ns=bench.now_ns + CHARGE_NS + 3 * S)
    bench.turn(S - 1)
    assert bench.device.told == []
    bench.turn(1)
    assert bench.device.told == ["prepare"]


def test_the_interval_since_the_last_pulse_is_kept_although_the_device_is_ready(bench: Bench) -> None:
    give(bench, 47)
    fired_ns = bench.receipts[0].last_ns
    assert fired_ns is not None
    bench.forget()
    bench.grant(settings=pulse(47), gap_ns=INTERVAL_NS, expires_ns=bench.now_ns + 2 * INTERVAL_NS)
    bench.turn()
    bench.charge()
    bench.now_ns = fired_ns + INTERVAL_NS - 1
    bench.turn()
    assert "start_train" not in bench.device.told
    bench.turn(1)
    assert bench.device.told[-1] == "start_train"


def test_an_amplitude_read_back_otherwise_fires_nothing_and_takes_the_arm(bench: Bench) -> None:
    bench.grant(settings=pulse(47))
    bench.turn()
    bench.says(Prepared(settings=pulse(47), mismatches=("amplitude: 48 read back, 47 asked",), at_ns=bench.now_ns))
    assert bench.firing.arm is None
    assert [receipt.pulses for receipt in bench.receipts] == [0]
    assert "enable" not in bench.device.told


def test_a_pulse_that_could_not_be_given_in_time_comes_back_as_zero_and_the_device_rests(bench: Bench) -> None:
    bench.changes = {"beat": msgspec.structs.replace(BEAT, made_ns=bench.now_ns, operator_present=False)}
    bench.grant(settings=pulse(47))
    bench.turn()
    bench.charge()
    bench.changes = {"beat": msgspec.structs.replace(BEAT, made_ns=bench.now_ns + 2 * S, operator_present=False)}
    bench.turn(2 * S + 1)
    assert [(receipt.pulses, receipt.why) for receipt in bench.receipts] == [(0, ("operator_absent", "no_grant"))]
    assert bench.device.told[-1] == "stop"
    assert bench.firing.phase is Phase.HELD


def test_a_grant_that_expires_while_the_device_charges_leaves_it_disabled(bench: Bench) -> None:
    bench.grant(settings=pulse(47))
    bench.turn()
    bench.turn(2 * S + 1)
    assert [(receipt.pulses, receipt.why) for receipt in bench.receipts] == [(0, ("stim_not_ready",))]
    bench.charge()
    assert bench.device.told[-1] == "stop"
    assert bench.firing.phase is Phase.HELD
    bench.turn(S)
    assert "start_train" not in bench.device.told
