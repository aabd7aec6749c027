"""The hot process of a chair whose calibration is handed over: none before, none in exchange while armed, none after its end."""

import time
from collections.abc import Iterator

import pytest

from daemon import ipc
from sim.world_bodies import COIL_FROM_COILTOOL
from sim.world_geometry import to_matrix
from tests.loop.accounts import assert_confirmed_off
from tests.loop.hot_rig import HOUR_NS, SHORT, HotRig

TRUE = tuple(tuple(row) for row in to_matrix(COIL_FROM_COILTOOL.inverse()))
AN_HOUR_FROM_NOW_NS = time.time_ns() + HOUR_NS


class StoreRig(HotRig):
    """A rig whose chair file leaves the coil to the history."""

    def _spawn(self) -> None:
        text = self.room.config.read_text()
        self.room.config.write_text(text.replace("[tools.coil]\n", '[tools.coil]\ncalibration = "store"\n'))
        super()._spawn()

    def hand_over(self, rows: tuple[tuple[float, ...], ...] | None = TRUE, until_utc_ns: int = AN_HOUR_FROM_NOW_NS) -> int:
        self.send(ipc.Calibrated(coiltool_from_coil=rows, valid_until_utc_ns=until_utc_ns))
        return time.monotonic_ns()

    def aim(self, *args: object, **kwargs: object) -> None:
        self.hand_over()
        super().aim(*args, **kwargs)  # type: ignore[arg-type]  # handed on as it came


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreRig]:
    with StoreRig(tmp_path_factory.mktemp("store")) as rig:
        yield rig
    assert rig.process.returncode == 0, rig.complaints


@pytest.fixture
def store(shared: StoreRig) -> StoreRig:
    shared.hand_over()
    shared.rest()
    return shared


def wait_gate(rig: StoreRig, since_ns: int, veto: str, *, closed: bool) -> ipc.GateNews:
    return rig.wait_for(ipc.GateNews, where=lambda gate: gate.at_ns > since_ns and (veto in gate.vetoes) == closed)


def test_without_a_calibration_the_gate_is_closed_and_there_is_no_error(store: StoreRig) -> None:
    since_ns = store.hand_over(None)
    wait_gate(store, since_ns, "calibration_invalid", closed=True)
    frame = store.wait_for(ipc.FrameNews, where=lambda frame: frame.received_ns > since_ns + 100_000_000)
    assert frame.error is None and not frame.on_target
    wait_gate(store, store.hand_over(), "calibration_invalid", closed=False)


def test_one_that_has_ended_closes_the_gate(store: StoreRig) -> None:
    wait_gate(store, store.hand_over(until_utc_ns=time.time_ns() - 1), "calibration_invalid", closed=True)


def test_another_calibration_while_armed_ends_the_arm_and_never_takes_effect(store: StoreRig) -> None:
    store.arm(SHORT)
    moved = ((*TRUE[0][:3], TRUE[0][3] + 1.0), *TRUE[1:])
    since_ns = store.hand_over(moved)
    lost = store.wait_for(ipc.ArmState, where=lambda state: not state.armed)
    assert lost.stopped and "calibration" in lost.why
    wait_gate(store, since_ns, "calibration_invalid", closed=True)
    assert_confirmed_off(store, since_ns)
    assert store.given() == 0


def test_the_same_calibration_again_while_armed_changes_nothing(store: StoreRig) -> None:
    store.arm(SHORT)
    store.hand_over()
    grant = store.grant()
    assert store.receipt(grant).pulses == SHORT.pulses


def test_another_calibration_in_a_running_train_stops_it(store: StoreRig) -> None:
    grant = store.fire()
    store.hand_over(((*TRUE[0][:3], TRUE[0][3] + 1.0), *TRUE[1:]))
    receipt = store.receipt(grant)
    assert receipt.broken and receipt.pulses < 30
