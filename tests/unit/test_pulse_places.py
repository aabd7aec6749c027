"""The pose at each pulse: between the exposures before and after, with age and quality, and honest where there is none."""

import msgspec
import numpy as np
import pytest

from calibration.frames import Transform, rigid_matrix, rotation_from_vector
from daemon.ipc import Aim, BurstPlaced, Grant, PlaceKind, PulsePose
from daemon.on_target import DEFAULT_LIMITS
from daemon.pulse_places import GIVEN_UP_NS, PulsePlaces
from daemon.train_account import Train
from drivers.values import TrainSettings

MS = 1_000_000
T0 = 10**12
PERIOD = 16 * MS
THETA = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)
TARGET = Transform.identity("mri", "coil")
ROWS = tuple(tuple(row) for row in TARGET.matrix.tolist())
AIM = Aim(
    mri_from_head=ROWS, mri_from_target=ROWS, target_in_mri_mm=(0.0, 0.0, 20.0), limits=DEFAULT_LIMITS, registration_expires_ns=1 << 60
)
GRANT = Grant(
    run_id="r",
    grant_no=7,
    arm_no=1,
    train=3,
    settings=THETA,
    not_before_ns=0,
    expires_ns=1 << 60,
    gap_ns=0,
    wall_minus_mono_ns=0,
)


def pose(ms: float) -> Transform:
    """A coil that slides 1 mm and turns 1 degree each 10 ms."""
    turn = rotation_from_vector((0.0, 0.0, np.radians(ms / 10.0)))
    return Transform("mri", "coil", rigid_matrix(turn, np.array((ms / 10.0, 0.0, 0.0))))


def places() -> PulsePlaces:
    found = PulsePlaces(0.35)
    found.aim(AIM, TARGET)
    return found


def burst(at_ns: int) -> PulsePose:
    return PulsePose(at_ns=at_ns, didt_a_per_us=None, distance_mm=None, exposed_ns=None)


def train(*at_ms: float, settings: TrainSettings = THETA, grant_no: int = 7) -> Train:
    grant = msgspec.structs.replace(GRANT, settings=settings, grant_no=grant_no)
    return Train(grant=grant, started_ns=T0, damaged_before=0, bursts=[burst(T0 + round(ms * MS)) for ms in at_ms])


def see(found: PulsePlaces, from_ms: int, to_ms: int, *, fit_mm: float | None = 0.1, flagged: bool = False, hidden: bool = False) -> None:
    for ms in range(from_ms, to_ms, 16):
        found.frame(T0 + ms * MS, None if hidden else pose(ms), fit_mm, flagged)


def told(found: PulsePlaces, now_ms: float) -> list[BurstPlaced]:
    return found.placed(T0 + round(now_ms * MS))


def test_each_pulse_of_a_burst_has_the_pose_of_its_own_moment() -> None:
    found = places()
    see(found, 0, 33)
    found.follow(train(24.0))
    assert told(found, 40) == [], "the exposure after its last pulse is not known yet"
    see(found, 48, 100)
    (placed,) = told(found, 100)
    assert (placed.grant_no, placed.train, placed.burst) == (7, 3, 1)
    assert [pulse.at_ns - T0 for pulse in placed.pulses] == [24 * MS, 44 * MS, 64 * MS]
    for pulse, ms in zip(placed.pulses, (24.0, 44.0, 64.0), strict=True):
        assert (pulse.how, pulse.good, pulse.pose_span_ms) == (PlaceKind.INTERPOLATED, True, 16.0)
        assert pulse.coil_in_mri_mm == pytest.approx((ms / 10.0, 0.0, 0.0), abs=1e-6)
        assert pulse.error is not None and pulse.error.twist_error_deg == pytest.approx(-ms / 10.0, abs=1e-6)
    assert [pulse.pose_age_ms for pulse in placed.pulses] == [8.0, 4.0, 0.0]


def test_every_burst_is_told_once_and_those_of_the_next_train_too() -> None:
    found = places()
    running = train(10.0)
    found.follow(running)
    found.follow(running)
    running.bursts.append(burst(T0 + 210 * MS))
    found.follow(running)
    found.follow(train(500.0, grant_no=8))
    see(found, 0, 700)
    assert [(one.grant_no, one.burst) for one in told(found, 700)] == [(7, 1), (7, 2), (8, 1)]
    assert told(found, 900) == []


def test_a_lost_frame_is_bridged_and_a_longer_loss_is_not() -> None:
    single = msgspec.structs.replace(THETA, pulses_per_burst=1)
    found = places()
    see(found, 0, 33)
    see(found, 48, 65, hidden=True)
    see(found, 80, 97)
    found.follow(train(50.0, settings=single))
    (bridged,) = told(found, 100)
    assert (bridged.pulses[0].how, bridged.pulses[0].pose_span_ms) == (PlaceKind.INTERPOLATED, 48.0)
    found = places()
    see(found, 0, 33)
    found.follow(train(50.0, settings=single))
    see(found, 160, 200)
    (near,) = told(found, 200)
    assert (near.pulses[0].how, near.pulses[0].good, near.pulses[0].pose_age_ms) == (PlaceKind.NEAREST, False, 18.0)


def test_a_pulse_after_which_nothing_is_seen_has_the_last_pose_and_says_so() -> None:
    found = places()
    see(found, 0, 33)
    found.follow(train(40.0))
    assert told(found, 80 + GIVEN_UP_NS / MS - 1) == []
    (placed,) = told(found, 80 + GIVEN_UP_NS / MS)
    assert [pulse.how for pulse in placed.pulses] == [PlaceKind.NEAREST] * 3
    assert placed.pulses[0].coil_in_mri_mm == pytest.approx((3.2, 0.0, 0.0))


def test_a_pulse_with_no_exposure_near_it_has_no_pose() -> None:
    found = places()
    found.follow(train(40.0))
    (placed,) = told(found, 1000)
    assert [(pulse.how, pulse.coil_in_mri_mm, pulse.good) for pulse in placed.pulses] == [(PlaceKind.NONE, None, False)] * 3


@pytest.mark.parametrize(("fit_mm", "flagged"), [(0.36, False), (None, False), (0.1, True)])
def test_a_pose_that_is_not_good_enough_to_fire_on_places_no_pulse_well(fit_mm: float | None, flagged: bool) -> None:
    found = places()
    see(found, 0, 100, fit_mm=fit_mm, flagged=flagged)
    found.follow(train(10.0))
    (placed,) = told(found, 100)
    assert [(pulse.how, pulse.good) for pulse in placed.pulses] == [(PlaceKind.INTERPOLATED, False)] * 3


def test_another_registration_leaves_no_pose_of_the_one_before() -> None:
    found = places()
    see(found, 0, 100)
    found.aim(None, None)
    found.follow(train(10.0))
    (placed,) = told(found, 1000)
    assert placed.pulses[0].how is PlaceKind.NONE


def test_frames_without_a_date_place_nothing() -> None:
    found = places()
    for _ in range(5):
        found.frame(None, pose(0.0), 0.1, False)
    found.follow(train(10.0))
    assert told(found, 1000)[0].pulses[0].how is PlaceKind.NONE
