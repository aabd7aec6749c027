"""Nothing fires without a grant, and a grant fires once, in its time, as it was armed; what is not fired comes back as zero."""

import select
import time
from collections.abc import Callable

import msgspec
import pytest

from daemon import ipc
from tests.loop.accounts import MS, assert_accounted, assert_confirmed_off, assert_whole
from tests.loop.hot_rig import SHORT, HotRig, wall_minus_mono_ns

SOON_MS = 400  # a window short enough to see it pass


def soon_ns() -> int:
    return time.monotonic_ns() + SOON_MS * MS


def assert_zero(rig: HotRig, grant: ipc.Grant, why: str) -> None:
    receipt = rig.receipt(grant)
    assert why in receipt.why
    assert (receipt.pulses, receipt.confirmed, receipt.first_ns, receipt.last_ns) == (0, True, None, None)
    assert rig.given() == 0


def test_an_armed_device_without_a_grant_fires_nothing(rig: HotRig) -> None:
    rig.arm(SHORT)
    rig.wait_for(ipc.GateNews, where=lambda gate: set(gate.vetoes) == {"too_soon", "no_grant"})
    waited_ns = soon_ns()
    rig.wait_for(ipc.GateNews, where=lambda gate: gate.at_ns > waited_ns)
    assert rig.given() == 0


def test_a_train_starts_within_its_window_and_not_before(rig: HotRig) -> None:
    rig.arm(SHORT)
    grant = rig.grant(not_before_ns=soon_ns())
    receipt = rig.receipt(grant)
    assert_whole(receipt, SHORT)
    started = rig.wait_for(ipc.TrainStarted)
    assert grant.not_before_ns <= started.at_ns <= grant.expires_ns
    assert rig.truth()[0].at_ns >= grant.not_before_ns
    assert_accounted(rig, exact=True)


def test_the_same_grant_twice_fires_once(rig: HotRig) -> None:
    rig.arm(SHORT)
    grant = rig.grant()
    rig.send(grant)
    assert_whole(rig.receipt(grant), SHORT)
    rig.send(grant)
    rig.room.wait("two refusals", lambda: [alarm.code for alarm in rig.all(ipc.DeviceAlarm)] == ["grant_refused", "grant_refused"])
    assert rig.given() == SHORT.pulses
    assert len(rig.all(ipc.Receipt)) == len(rig.all(ipc.TrainStarted)) == 1
    assert_accounted(rig, exact=True)


def test_a_number_already_passed_is_refused(rig: HotRig) -> None:
    rig.arm(SHORT)
    earlier, later = rig.next_grant(), rig.next_grant()
    rig.send(later)
    assert_whole(rig.receipt(later), SHORT)
    rig.send(earlier)
    assert rig.wait_for(ipc.DeviceAlarm).code == "grant_refused"
    assert rig.given() == SHORT.pulses


def test_a_grant_for_another_run_of_the_hot_process_fires_nothing_and_uses_up_no_number(rig: HotRig) -> None:
    rig.arm(SHORT)
    foreign = rig.grant(run_id="an earlier run")
    assert rig.wait_for(ipc.DeviceAlarm).code == "grant_refused"
    assert rig.given() == 0
    rig.send(msgspec.structs.replace(foreign, run_id=rig.run_id))
    assert_whole(rig.receipt(foreign), SHORT)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda: {"expires_ns": time.monotonic_ns() - 1}, "expired before it came"),
        (lambda: {"settings": msgspec.structs.replace(SHORT, amplitude_pct_mso=46)}, "settings_differ"),
        (lambda: {"settings": msgspec.structs.replace(SHORT, bursts=6)}, "settings_differ"),
        (lambda: {"arm_no": 0}, "not_armed"),
        (lambda: {"wall_minus_mono_ns": wall_minus_mono_ns() - 3_000 * MS, "expires_ns": soon_ns()}, "no_grant"),
        (lambda: {"wall_minus_mono_ns": wall_minus_mono_ns() + 3_000 * MS, "expires_ns": soon_ns()}, "no_grant"),
    ],
    ids=["expired", "another amplitude", "another length", "another arm", "clock set forward", "clock set back"],
)
def test_a_grant_that_does_not_fit_comes_back_as_zero(rig: HotRig, change: Callable[[], dict[str, object]], why: str) -> None:
    rig.arm(SHORT)
    assert_zero(rig, rig.grant(**change()), why)


def test_a_grant_without_an_arm_comes_back_as_zero(rig: HotRig) -> None:
    rig.settings = SHORT
    assert_zero(rig, rig.grant(), "not_armed")


def test_a_second_grant_while_one_is_under_way_comes_back_as_zero(rig: HotRig) -> None:
    rig.arm(SHORT)
    first = rig.grant()
    rig.wait_for_bursts(1)
    second = rig.grant()
    assert rig.receipt(second).why == ("another train is under way",)
    assert_whole(rig.receipt(first), SHORT)
    assert_accounted(rig, exact=True)


def test_the_gap_runs_from_the_last_pulse_and_moves_a_train_that_comes_too_soon(rig: HotRig) -> None:
    gap_ns = 1_200 * MS
    rig.arm(SHORT)
    first = rig.receipt(rig.grant())
    too_soon = rig.grant(gap_ns=gap_ns, expires_ns=soon_ns())
    assert rig.receipt(too_soon).why[0] == "too_soon"
    second = rig.receipt(rig.grant(gap_ns=gap_ns))
    assert_whole(second, SHORT)
    last_of_first, first_of_second = rig.truth()[SHORT.pulses - 1], rig.truth()[SHORT.pulses]
    assert first_of_second.at_ns - last_of_first.at_ns >= gap_ns
    assert first.last_ns is not None
    assert second.first_ns is not None
    assert second.first_ns - first.last_ns >= gap_ns
    assert_accounted(rig, exact=True)


@pytest.mark.parametrize(
    ("fact", "veto"),
    [("operator_present", "operator_absent"), ("stop_tested", "hardware_stop_untested"), ("stop_inputs_clear", "stop_input")],
)
def test_no_train_starts_while_a_fact_of_the_daemon_is_missing(rig: HotRig, fact: str, veto: str) -> None:
    setattr(rig, fact, False)
    rig.wait_vetoed(veto)
    rig.ask_arm(SHORT)
    receipt = rig.receipt(rig.grant(expires_ns=soon_ns()))
    assert receipt.pulses == 0
    assert veto in receipt.why or "not_armed" in receipt.why  # an idle arm is taken away by a stop input
    assert rig.given() == 0


def test_a_coil_of_another_type_is_not_armed(rig: HotRig) -> None:
    rig.room.stimulator.plug_coil(72)
    rig.wait_for(ipc.Safe, where=lambda safe: safe.confirmed)
    state = rig.ask_arm(SHORT)
    assert (state.armed, state.stopped) == (False, True)
    assert "coil" in state.why
    assert rig.receipt(rig.grant()).why == ("not_armed",)
    assert not any(charge.enabled for charge in rig.room.truth.charges if charge.at_ns > rig.truth_since_ns)


def test_settings_that_the_device_cannot_give_are_refused_at_the_arm(rig: HotRig) -> None:
    state = rig.ask_arm(msgspec.structs.replace(SHORT, burst_hz="5.05"))
    assert (state.armed, state.stopped) == (False, False)
    assert state.why != ""
    assert not any(charge.enabled for charge in rig.room.truth.charges if charge.at_ns > rig.truth_since_ns)


def test_an_arm_while_armed_is_refused_and_the_first_one_stands(rig: HotRig) -> None:
    rig.arm(SHORT)
    number = rig.arm_no
    assert rig.ask_arm(SHORT).why == "the stimulator is in use"
    assert_whole(rig.receipt(rig.grant(arm_no=number)), SHORT)


def flood(rig: HotRig) -> None:
    """Orders whose answers nobody takes, until the hot process has no room to hand a receipt over."""
    refused = ipc.Arm(arm_no=0, settings=SHORT)
    deadline_ns = time.monotonic_ns() + 5_000 * MS
    while not any("record_blocked" in gate.vetoes for gate in rig.all(ipc.GateNews)):
        assert time.monotonic_ns() < deadline_ns, "the channel did not fill"
        while rig.orders.send(refused):
            pass
        filled_ns = time.monotonic_ns()  # a rig that only fills has no time left for its beats
        rig.wait_for(ipc.GateNews, where=lambda gate, filled_ns=filled_ns: gate.at_ns > filled_ns)  # type: ignore[misc]


def test_no_train_starts_while_its_receipt_could_not_be_handed_over(rig: HotRig) -> None:
    rig.arm(SHORT)
    rig.leave_unread("orders")
    flood(rig)
    grant = rig.next_grant(expires_ns=soon_ns())
    select.select([], [rig.orders], [], 5.0)
    rig.send(grant)
    rig.wait_for(ipc.GateNews, where=lambda gate: gate.at_ns > grant.expires_ns)
    rig.go_on()
    assert_zero(rig, grant, "record_blocked")


def test_a_train_whose_receipt_could_not_be_handed_over_is_stopped_and_no_fact_is_lost(rig: HotRig) -> None:
    grant = rig.fire()
    rig.leave_unread("orders")
    since_ns = time.monotonic_ns()
    flood(rig)
    rig.room.disabled_ns(since_ns)
    rig.go_on()
    receipt = rig.receipt(grant)
    assert receipt.why == ("record_blocked",)
    assert_confirmed_off(rig, since_ns, within_ms=5_000)
    kinds = [type(packet) for _, packet in rig.heard if isinstance(packet, ipc.TrainStarted | ipc.TrainBroken | ipc.Receipt)]
    assert kinds == [ipc.TrainStarted, ipc.TrainBroken, ipc.Receipt]
    assert_accounted(rig, exact=True)
