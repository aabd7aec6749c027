"""Brainsight's text: columns by name, spaces by version, what is empty, what may be in the tracker's space."""

import numpy as np
import pytest

from tests.target_texts import NAMES, POSE, SAMPLES, brainsight, brainsight_row, is_pose, only, read, refused


def test_axis_vectors_are_the_columns_and_come_back_in_our_axes() -> None:
    assert is_pose(only(read(brainsight(brainsight_row()))))


@pytest.mark.parametrize("space", ["NIfTI:Scanner", "NIfTI:Aligned"])
def test_before_version_14_a_space_names_its_code_alone(space: str) -> None:
    assert is_pose(only(read(brainsight(brainsight_row(), version="12", space=space))))
    assert refused(brainsight(brainsight_row(), version="14", space=space)) == "unsupported_coordinate_system"


@pytest.mark.parametrize("space", ["NIfTI:Q:Aligned", "NIfTI:Q:Scanner"])
def test_from_version_14_a_space_names_its_form(space: str) -> None:
    assert read(brainsight(brainsight_row(), version="15", space=space)).warnings == ()
    assert refused(brainsight(brainsight_row(), version="13", space=space)) == "unsupported_coordinate_system"


def test_a_space_of_the_sform_warns_until_an_image_is_given() -> None:
    assert read(brainsight(brainsight_row(), space="NIfTI:S:Scanner")).warnings == ("needs_image_sform_check",)


@pytest.mark.parametrize(
    ("version", "space"),
    [
        ("12", "NIfTI:MNI-152"),
        ("7", "NIfTI:Talairach"),
        ("13", "NIfTI:Other-Template"),
        ("14", "NIfTI:S:MNI-152"),
        ("14", "NIfTI:Q:Talairach"),
    ],
)
def test_template_spaces_need_a_transform(version: str, space: str) -> None:
    assert refused(brainsight(brainsight_row(), version=version, space=space)) == "template_space_needs_transform"


@pytest.mark.parametrize("space", ["World", "Brainsight", "NIfTI", "NIfTI:Q", "NIfTI:X:Scanner", "NIfTI:Q:Unknown", "Scanner"])
@pytest.mark.parametrize("version", ["12", "14"])
def test_other_spaces_are_refused(version: str, space: str) -> None:
    assert refused(brainsight(brainsight_row(), version=version, space=space)) == "unsupported_coordinate_system"


def test_a_space_that_is_not_stated_is_never_guessed() -> None:
    assert refused(brainsight(brainsight_row(), space="")) == "missing_coordinate_space"
    assert refused(brainsight(brainsight_row()).replace("# Coordinate system: NIfTI:Q:Scanner\n", "")) == "missing_coordinate_space"


def test_a_space_stated_twice_in_two_ways_is_refused() -> None:
    assert refused(brainsight(brainsight_row(), more="# Coordinate system: NIfTI:S:Scanner")) == "unreadable_target_file"


@pytest.mark.parametrize("version", ["", "x", "14.5", "-1", "0", "99999", "1e1", "١٤"])
def test_a_version_that_is_no_whole_number_is_refused(version: str) -> None:
    assert refused(brainsight(brainsight_row(), version=version)) == "unsupported_version"


def test_other_units_are_refused_in_either_spelling_of_the_key() -> None:
    assert refused(brainsight(brainsight_row(), more="# units: metres, degrees")) == "bad_units"
    assert is_pose(only(read(brainsight(brainsight_row(), more="# Units: millimetres, degrees, milliseconds"))))


def test_columns_are_found_by_name_and_unknown_ones_are_kept() -> None:
    cells = dict(zip(NAMES, brainsight_row().split("\t"), strict=True)) | {"Colour": "red"}
    order = sorted(cells, key=lambda name: (name != "Target Name", name))
    target = only(read(brainsight("\t".join(cells[name] for name in order), names=tuple(order))))
    assert is_pose(target)
    assert target.extra == {"Colour": "red"}


def test_a_missing_or_doubled_column_is_refused() -> None:
    assert refused(brainsight(brainsight_row(), names=(*NAMES[:-1], "m9n9"))) == "unreadable_target_file"
    assert refused(brainsight(brainsight_row(), names=(*NAMES[:-1], "m0n0"))) == "unreadable_target_file"


@pytest.mark.parametrize("column", range(1, 13))
def test_a_row_with_any_empty_part_of_its_pose_is_skipped(column: int) -> None:
    cells = brainsight_row("gone").split("\t")
    cells[column] = "(null)"
    file = read(brainsight("\t".join(cells), brainsight_row("kept")))
    assert [target.name for target in file.targets] == ["kept"]
    assert [(skip.name, skip.reason) for skip in file.skipped] == [("gone", "null_position")]


def test_line_ends_and_byte_order_marks_change_nothing() -> None:
    text = (SAMPLES / "brainsight_v14_q.txt").read_bytes()
    plain = read(text)
    for other in (b"\xef\xbb\xbf" + text, text.replace(b"\n", b"\r\n"), text.rstrip(b"\n")):
        assert read(other).targets == plain.targets
        assert read(other).skipped == plain.skipped


def test_a_file_that_ends_after_its_samples_is_whole() -> None:
    text = (SAMPLES / "brainsight_v14_q.txt").read_text().partition("# Session Name")[0].rstrip("\n")
    assert [target.name for target in read(text).targets] == ["DLPFC-L", "M1-L", "Sample 2"]


def test_what_may_be_in_the_tracker_space_is_left_out_and_said() -> None:
    session = "# Session Landmark Name\tSession Name\tLoc. X\tLoc. Y\tLoc. Z\nLPA\tSession 1\t900.0\t0.0\t0.0"
    file = read(brainsight(brainsight_row(), session))
    assert file.landmarks == ()
    assert any("Session Landmark" in remark and "tracker" in remark for remark in file.remarks)


def test_unknown_sections_are_left_out_and_said() -> None:
    file = read(brainsight(brainsight_row(), "# Weather Name\tWind", "today\tnone"))
    assert [target.name for target in file.targets] == ["spot"]
    assert any("Weather" in remark for remark in file.remarks)


def test_a_name_that_begins_like_a_heading_is_still_a_row() -> None:
    assert [target.name for target in read(brainsight(brainsight_row("# 2 left"), brainsight_row("#3"))).targets] == ["# 2 left", "#3"]


def test_left_handed_axes_are_refused() -> None:
    mirrored = POSE @ np.diag((-1.0, 1.0, 1.0, 1.0))
    assert refused(brainsight(brainsight_row(pose=mirrored))) == "left_handed_axes"


def test_skewed_axes_are_refused() -> None:
    skewed = POSE.copy()
    skewed[:3, 0] += 0.003
    assert refused(brainsight(brainsight_row(pose=skewed))) == "axes_not_orthonormal"


def test_three_decimals_may_be_off_by_their_rounding_and_say_so() -> None:
    off = POSE.copy()
    off[:3, 1] *= 1.0006
    row = brainsight_row(decimals=3, pose=off)
    rounded = np.array([float(word) for word in row.split("\t")[4:]]).reshape(3, 3)
    assert 1e-3 < np.abs(rounded @ rounded.T - np.eye(3)).max() < 1.75e-3
    file = read(brainsight(row, version="7", space="NIfTI:Aligned"))
    assert file.warnings == ("axes_rounded",)
    assert is_pose(only(file), 2e-3)
    as_four = "\t".join(word if index < 4 else f"{word}0" for index, word in enumerate(row.split("\t")))
    assert refused(brainsight(as_four)) == "axes_not_orthonormal"


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("nan", "not_finite"),
        ("-inf", "not_finite"),
        ("1e999", "not_finite"),
        ("400.001", "coordinate_out_of_range"),
        ("-52,0", "unreadable_target_file"),
        ("1_0", "unreadable_target_file"),
        ("0x10", "unreadable_target_file"),
        ("٥", "unreadable_target_file"),
        ("9" * 101, "unreadable_target_file"),
    ],
)
def test_places_are_plain_finite_numbers_within_reach(word: str, code: str) -> None:
    assert refused(brainsight(brainsight_row(place=(word, 0.0, 0.0)))) == code


def test_400_mm_is_still_within_reach() -> None:
    assert only(read(brainsight(brainsight_row(place=("-400.0", 0.0, 0.0))))).pose.translation_mm[0] == -400.0


def test_a_landmark_is_checked_like_a_target() -> None:
    landmarks = "# Planned Landmark Name\tLoc. X\tLoc. Y\tLoc. Z\nNAS\t{}\t82.0\t-42.0\nLPA\t(null)\t(null)\t(null)"
    file = read(brainsight(brainsight_row(), landmarks.format("1.5")))
    assert [(landmark.name, landmark.position_in_mri_mm) for landmark in file.landmarks] == [("NAS", (1.5, 82.0, -42.0))]
    assert [skip.name for skip in file.skipped] == ["LPA"]
    assert refused(brainsight(brainsight_row(), landmarks.format("401"))) == "coordinate_out_of_range"


def test_no_rows_at_all_is_an_error_and_rows_that_are_all_empty_are_skipped() -> None:
    assert refused(brainsight()) == "no_targets"
    empty = "\t".join(("gone", *["(null)"] * 12))
    assert (read(brainsight(empty)).targets, len(read(brainsight(empty)).skipped)) == ((), 1)


def test_a_row_that_is_cut_off_is_refused() -> None:
    assert refused(brainsight(brainsight_row().rpartition("\t")[0])) == "unreadable_target_file"
    assert refused("# Version: 14\n# Coordinate system: NIfTI:Q:Scanner\n" + brainsight_row()) == "unreadable_target_file"


def test_a_sample_says_its_target_time_and_output_in_either_version() -> None:
    old, new = (read((SAMPLES / name).read_bytes()).targets[-1] for name in ("brainsight_v7_niftialigned.txt", "brainsight_v14_q.txt"))
    assert (old.associated_target, old.amplitude_pct_mso, old.recorded_local) == ("M1-L", 55.0, "2026-05-04 10:20:30.123")
    assert (new.associated_target, new.amplitude_pct_mso, new.recorded_local) == ("DLPFC-L", 61.0, None)
