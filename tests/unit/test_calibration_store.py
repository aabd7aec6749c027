"""A calibration that is kept: sealed, and every reason against using it."""

import msgspec
import pytest

from calibration.frames import Transform
from calibration.store import UNFIT_TEXT, Acceptance, Altered, Book, Record, Unfit, against, open_book, open_record, seal

ROM = "a" * 64
NOW_S = 1_800_000_000.0  # 2027-01-15
ROWS = ((1.0, 0.0, 0.0, 4.0), (0.0, 1.0, 0.0, -60.0), (0.0, 0.0, 1.0, -88.0), (0.0, 0.0, 0.0, 1.0))
POINTER = Record(
    tool="pointer",
    version=3,
    method="pivot",
    taken_utc="2027-01-01T10:00:00.000Z",
    taken_by="E",
    valid_until_utc="2027-07-01T10:00:00.000Z",
    rom_sha256=ROM,
    tip_in_pointer_mm=(-18.0, 0.7, -157.0),
    numbers={"rms_mm": 0.2, "frames": 300.0},
)
COIL = msgspec.structs.replace(POINTER, tool="coil", tip_in_pointer_mm=None, coiltool_from_coil=ROWS)


def accepted(record: Record) -> Acceptance:
    return Acceptance(tool=record.tool, version=record.version, record_sha256=record.sha256, by="E", utc="2027-01-01T10:05:00.000Z")


def unfit(record: Record, *, rom: str = ROM, now_s: float = NOW_S) -> tuple[Unfit, ...]:
    return against(record, accepted(record), rom, now_s)


def test_a_good_one_of_each_tool_is_used() -> None:
    assert unfit(POINTER) == unfit(COIL) == ()


def test_one_that_nobody_accepted_is_not_used() -> None:
    assert against(POINTER, None, ROM, NOW_S) == (Unfit.NONE_ACCEPTED,)


def test_an_acceptance_holds_for_the_very_content_that_was_accepted() -> None:
    altered = msgspec.structs.replace(POINTER, tip_in_pointer_mm=(-18.0, 0.7, -156.0))
    assert against(altered, accepted(POINTER), ROM, NOW_S) == (Unfit.ALTERED,)


def test_an_acceptance_of_another_version_or_tool_does_not_hold() -> None:
    for field, value in (("version", 2), ("tool", "coil")):
        other = msgspec.structs.replace(accepted(POINTER), **{field: value})
        assert against(POINTER, other, ROM, NOW_S) == (Unfit.ALTERED,)


def test_one_that_its_own_gates_refused_is_not_used() -> None:
    assert unfit(msgspec.structs.replace(POINTER, refusals=("span_small",))) == (Unfit.REFUSED,)


def test_one_made_with_another_tool_file_is_not_used() -> None:
    assert unfit(POINTER, rom="b" * 64) == (Unfit.OTHER_TOOL_FILE,)


def test_it_ends_at_the_very_moment_it_is_valid_until() -> None:
    end_s = 1_814_436_000.0  # 2027-07-01T10:00:00Z
    assert unfit(POINTER, now_s=end_s - 0.001) == ()
    assert unfit(POINTER, now_s=end_s) == (Unfit.EXPIRED,)


@pytest.mark.parametrize("text", ["", "soon", "2027-07-01T10:00:00"])
def test_without_a_moment_that_can_be_read_it_has_ended(text: str) -> None:
    assert unfit(msgspec.structs.replace(POINTER, valid_until_utc=text)) == (Unfit.EXPIRED,)
    assert unfit(msgspec.structs.replace(POINTER, taken_utc=text)) == (Unfit.FROM_THE_FUTURE,)


def test_a_clock_that_was_set_back_does_not_make_it_last_longer() -> None:
    assert unfit(POINTER, now_s=1_798_000_000.0) == (Unfit.FROM_THE_FUTURE,)


MIRRORED = ((-1.0, 0.0, 0.0, 0.0), *ROWS[1:])
FAR = ((1.0, 0.0, 0.0, 501.0), *ROWS[1:])


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (POINTER, "tip_in_pointer_mm", None),
        (POINTER, "tip_in_pointer_mm", (0.0, 0.0, 501.0)),
        (POINTER, "coiltool_from_coil", ROWS),
        (COIL, "coiltool_from_coil", None),
        (COIL, "coiltool_from_coil", MIRRORED),
        (COIL, "coiltool_from_coil", FAR),
        (COIL, "tip_in_pointer_mm", (0.0, 0.0, -150.0)),
    ],
)
def test_figures_that_cannot_be_the_tools_are_not_used(record: Record, field: str, value: object) -> None:
    assert unfit(msgspec.structs.replace(record, **{field: value})) == (Unfit.BAD_FIGURES,)


def test_every_reason_is_told_at_once() -> None:
    worst = msgspec.structs.replace(POINTER, refusals=("rms_high",), valid_until_utc="2026-01-01T00:00:00Z")
    assert set(unfit(worst, rom="b" * 64)) == {Unfit.REFUSED, Unfit.OTHER_TOOL_FILE, Unfit.EXPIRED}
    assert set(UNFIT_TEXT) == set(Unfit)


def test_what_was_sealed_reads_back_as_it_was() -> None:
    assert open_record(seal(COIL)) == COIL
    pose = open_record(seal(COIL)).coil_pose()
    assert isinstance(pose, Transform)
    assert (pose.to, pose.frm, pose.translation_mm.tolist()) == ("coiltool", "coil", [4.0, -60.0, -88.0])


def test_a_whole_number_has_the_same_hash_as_the_same_figure_with_a_point() -> None:
    assert open_record(seal(msgspec.structs.replace(POINTER, numbers={"frames": 300}))).numbers == {"frames": 300.0}


def test_a_figure_changed_in_the_file_is_noticed() -> None:
    with pytest.raises(Altered, match="hash"):
        open_record(seal(POINTER).replace(b"-157.0", b"-156.0"))


def test_neither_is_taken_for_the_other() -> None:
    with pytest.raises(Altered):
        open_record(seal(Book()))
    with pytest.raises(Altered):
        open_book(seal(POINTER))


def test_the_newest_acceptance_counts_whatever_its_version() -> None:
    first, second = (msgspec.structs.replace(accepted(POINTER), version=version) for version in (4, 2))
    book = Book(acceptances=(first, second, accepted(COIL)))
    assert book.newest("pointer") == second
    assert book.of("pointer", 4) == first
    assert Book().newest("coil") is None
