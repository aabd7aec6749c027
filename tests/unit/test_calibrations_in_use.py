"""Which calibration is in use: the newest accepted one or none, never an older one; and what the hot process is told."""

from pathlib import Path

import msgspec
import pytest

from calibration.store import Record, Tool, Unfit
from daemon.calibration_files import ACCEPTED, History
from daemon.calibration_in_force import CalibrationInForce
from daemon.calibrations import Calibrations
from daemon.config import Config, load_config
from daemon.ipc import Calibrated
from tests.chairs import chair, uncalibrated_chair_file
from tests.unit.test_calibration_store import COIL, NOW_S, POINTER, ROWS, accepted

END_S = 1_814_436_000.0


class Place:
    """A chair that leaves its calibrations to the history, at a time of the test's."""

    def __init__(self, folder: Path) -> None:
        self.config: Config = load_config(uncalibrated_chair_file(folder))
        self.history = History(folder / "calibration")
        self.now_s = NOW_S
        self.calibrations = Calibrations(self.config, self.history, lambda: self.now_s)

    def keep(self, record: Record, *, accept: bool = True) -> Record:
        kept = self.history.add(msgspec.structs.replace(record, rom_sha256=self.calibrations.rom_sha256[record.tool]))
        if accept:
            self.history.accept(accepted(kept))
        self.calibrations.look_again()
        return kept

    def unfit(self, tool: Tool) -> tuple[Unfit, ...]:
        return self.calibrations.in_use(tool).unfit


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_before_anything_was_accepted_there_is_none(place: Place) -> None:
    assert place.unfit("pointer") == place.unfit("coil") == (Unfit.NONE_ACCEPTED,)
    assert place.calibrations.tip_in_pointer_mm() is None
    assert place.calibrations.for_hot() == Calibrated(coiltool_from_coil=None, valid_until_utc_ns=0)


def test_what_was_made_but_not_accepted_is_not_used(place: Place) -> None:
    place.keep(POINTER, accept=False)
    assert place.unfit("pointer") == (Unfit.NONE_ACCEPTED,)


def test_the_accepted_one_is_used(place: Place) -> None:
    place.keep(POINTER)
    kept = place.keep(COIL)
    assert place.calibrations.tip_in_pointer_mm() == POINTER.tip_in_pointer_mm
    told = place.calibrations.for_hot()
    assert told is not None
    assert told.coiltool_from_coil == ROWS
    assert told.valid_until_utc_ns == round(END_S * 1e9)
    in_use = place.calibrations.in_use("coil")
    assert (in_use.version, in_use.sha256, in_use.why) == (1, kept.sha256, "")


def test_it_ends_while_the_daemon_runs(place: Place) -> None:
    place.keep(POINTER)
    place.now_s = END_S
    assert place.calibrations.tip_in_pointer_mm() is None
    assert place.unfit("pointer") == (Unfit.EXPIRED,)


def test_an_altered_one_is_refused_and_the_older_one_is_not_taken_instead(place: Place) -> None:
    place.keep(POINTER)
    place.keep(msgspec.structs.replace(POINTER, tip_in_pointer_mm=(-18.0, 0.7, -150.0)))
    path = place.history.folder / "pointer-0002.json"
    path.write_text(path.read_text().replace("-150.0", "-151.0"))
    assert place.calibrations.look_again() == ("pointer",)
    assert place.unfit("pointer") == (Unfit.ALTERED,)


def test_a_missing_one_is_refused_and_the_older_one_is_not_taken_instead(place: Place) -> None:
    place.keep(POINTER)
    place.keep(POINTER)
    (place.history.folder / "pointer-0002.json").unlink()
    place.calibrations.look_again()
    assert place.unfit("pointer") == (Unfit.MISSING,)


def test_an_expired_one_is_refused_and_the_older_one_is_not_taken_instead(place: Place) -> None:
    place.keep(POINTER)
    place.keep(msgspec.structs.replace(POINTER, valid_until_utc="2027-01-02T00:00:00Z"))
    assert place.unfit("pointer") == (Unfit.EXPIRED,)


def test_an_altered_list_of_acceptances_leaves_none_in_use(place: Place) -> None:
    place.keep(POINTER)
    path = place.history.folder / ACCEPTED
    path.write_text(path.read_text().replace('"E"', '"F"'))
    place.calibrations.look_again()
    assert place.unfit("pointer") == (Unfit.ALTERED,)


def test_an_exchanged_record_with_a_sound_seal_of_its_own_is_refused(place: Place) -> None:
    place.keep(POINTER)
    other = History(place.history.folder.parent / "other")
    rom = place.calibrations.rom_sha256["pointer"]
    other.add(msgspec.structs.replace(POINTER, rom_sha256=rom, tip_in_pointer_mm=(-18.0, 0.7, -150.0)))
    (other.folder / "pointer-0001.json").replace(place.history.folder / "pointer-0001.json")
    place.calibrations.look_again()
    assert place.unfit("pointer") == (Unfit.ALTERED,)


def test_another_tool_file_refuses_it_after_the_next_start(place: Place) -> None:
    place.keep(COIL)
    rom = place.config.tools.coil.rom
    rom.write_bytes(place.config.tools.head.rom.read_bytes())
    after = Calibrations(place.config, place.history, lambda: NOW_S)
    assert after.in_use("coil").unfit == (Unfit.OTHER_TOOL_FILE,)
    assert after.for_hot() == Calibrated(coiltool_from_coil=None, valid_until_utc_ns=0)


def test_nothing_new_in_the_history_is_no_change(place: Place) -> None:
    place.keep(COIL)
    assert place.calibrations.look_again() == ()


def test_a_chair_file_with_its_own_figures_asks_no_history(tmp_path: Path) -> None:
    config = chair(tmp_path)
    written = Calibrations(config, History(tmp_path / "calibration"), lambda: NOW_S)
    assert written.tip_in_pointer_mm() == config.tools.pointer.tip_in_pointer_mm
    assert written.for_hot() is None
    assert written.look_again() == ()
    force = CalibrationInForce.at_start(config.tools.coil)
    assert force.rows == config.tools.coil.coiltool_from_coil
    assert force.expires_ns(0) == force.valid_until_utc_ns


def test_a_chair_of_the_history_starts_with_none_in_force(place: Place) -> None:
    force = CalibrationInForce.at_start(place.config.tools.coil)
    assert (force.coiltool_from_coil, force.expires_ns(5)) == (None, None)
    order = Calibrated(coiltool_from_coil=ROWS, valid_until_utc_ns=100)
    at_rest = force.handed_over(order, at_rest=True)
    assert at_rest.expires_ns(5) == 95
    assert force.handed_over(order, at_rest=False).rows is None


def test_the_same_calibration_again_changes_nothing_under_an_arm(place: Place) -> None:
    order = Calibrated(coiltool_from_coil=ROWS, valid_until_utc_ns=100)
    force = CalibrationInForce.at_start(place.config.tools.coil).handed_over(order, at_rest=True)
    assert force.handed_over(order, at_rest=False) == force


def test_another_calibration_under_an_arm_leaves_none(place: Place) -> None:
    force = CalibrationInForce.at_start(place.config.tools.coil)
    force = force.handed_over(Calibrated(coiltool_from_coil=ROWS, valid_until_utc_ns=100), at_rest=True)
    longer = Calibrated(coiltool_from_coil=ROWS, valid_until_utc_ns=200)
    assert force.handed_over(longer, at_rest=False).rows is None
