"""The campaign's look at what follows a host's death sees what it is there to see: each kind of excess, made by hand, is named."""

from pathlib import Path

import pytest

from sim.truth import TruthLog
from tests.campaign.afterlife import UNDER_WAY_NS, Afterlife, look
from tests.campaign.family import MAGSTIM, MAGVENTURE_BURST, MAGVENTURE_TRAIN, MS, NS, Family

DIED_NS = 100 * NS
LATER_NS = DIED_NS + 20 * NS
BURST = (-40 * MS, -20 * MS, 20 * MS)


def seen(
    folder: Path, family: Family, *after_ns: int, off_ns: int | None = None, train: int | None = 1, enabled: bool = True
) -> Afterlife:
    """What is made of pulses so long after the death, and of a discharge."""
    path = folder / "truth.jsonl"
    with TruthLog(path) as truth:
        truth.charged(DIED_NS - 4 * NS, enabled=enabled)
        for pulse_ns in after_ns:
            truth.pulse(DIED_NS + pulse_ns, 50, enabled=True, train=train)
        if off_ns is not None:
            truth.charged(DIED_NS + off_ns, enabled=False)
    return look(path, DIED_NS, LATER_NS, family)


def every(ms: int, count: int, since_ms: int = -150) -> tuple[int, ...]:
    return tuple((since_ms + number * ms) * MS for number in range(count))


def test_a_train_that_runs_to_its_own_end_is_not_complained_about(tmp_path: Path) -> None:
    afterlife = seen(tmp_path, MAGVENTURE_TRAIN, *every(30, MAGVENTURE_TRAIN.train_pulses))
    assert (afterlife.faults, afterlife.in_train) == ((), True)
    assert (afterlife.pulses, afterlife.last_ms, afterlife.off_ms) == (24, 720.0, None)


def test_a_train_longer_than_was_started_is_named(tmp_path: Path) -> None:
    assert "a train of 31 pulses, 30 were started" in seen(tmp_path, MAGVENTURE_TRAIN, *every(30, 31)).faults


def test_a_train_that_begins_after_the_death_is_named(tmp_path: Path) -> None:
    assert seen(tmp_path, MAGVENTURE_TRAIN, 2 * NS).faults == ("a train began after the host's death",)


def test_a_trigger_that_left_the_host_just_before_its_death_is_not(tmp_path: Path) -> None:
    assert seen(tmp_path, MAGVENTURE_TRAIN, UNDER_WAY_NS).faults == ()


def test_the_burst_begun_is_not_complained_about_and_the_next_one_is(tmp_path: Path) -> None:
    assert seen(tmp_path, MAGVENTURE_BURST, *BURST, train=None).faults == ()
    (tmp_path / "truth.jsonl").unlink()
    two = (*BURST, *(pulse_ns + 200 * MS for pulse_ns in BURST))
    assert "4 pulses after the host's death, 3 are one burst" in seen(tmp_path, MAGVENTURE_BURST, *two, train=None).faults


def test_a_unit_that_disarms_itself_after_a_second_is_not_complained_about(tmp_path: Path) -> None:
    afterlife = seen(tmp_path, MAGSTIM, *every(100, 11), off_ns=NS)
    assert (afterlife.faults, afterlife.off_ms) == ((), 1000.0)


@pytest.mark.parametrize("off_ns", [None, NS + UNDER_WAY_NS + MS])
def test_a_unit_that_stays_armed_is_named(tmp_path: Path, off_ns: int | None) -> None:
    assert seen(tmp_path, MAGSTIM, -100 * MS, off_ns=off_ns).faults == ("not discharged within 1400 ms of the host's death",)


def test_a_pulse_of_a_unit_that_ought_to_be_disarmed_is_named(tmp_path: Path) -> None:
    assert "a pulse 1450 ms after the host's death" in seen(tmp_path, MAGSTIM, *every(100, 17), off_ns=NS).faults


def test_a_host_that_died_between_two_trains_did_not_die_in_one(tmp_path: Path) -> None:
    assert not seen(tmp_path, MAGVENTURE_TRAIN, -3 * NS).in_train


def test_a_unit_that_was_off_before_its_host_died_has_nothing_to_discharge(tmp_path: Path) -> None:
    assert seen(tmp_path, MAGSTIM, -3 * NS, enabled=False).faults == ()
