"""Localite and SofTaxic: declared space, raw identities, pairs, and XML that is out to harm."""

import numpy as np
import pytest

from calibration.target_files_values import TargetGroup, TargetKind
from tests.target_texts import POSE, SAMPLES, instrument_markers, is_pose, localite_matrix, only, raw_matrix, read, refused, trigger_markers

IDENTITY = raw_matrix(np.eye(4))


@pytest.mark.parametrize("space", ["RAS", "LPS"])
def test_axes_are_relabelled_from_the_right_and_space_from_the_left(space: str) -> None:
    assert is_pose(only(read(instrument_markers(localite_matrix(POSE, space), space=space))), 1e-5)
    assert is_pose(only(read(trigger_markers(localite_matrix(POSE, space), space=space))), 1e-5)


@pytest.mark.parametrize(
    ("space", "code"),
    [
        (None, "missing_coordinate_space"),
        ("", "missing_coordinate_space"),
        ("MNI", "template_space_needs_transform"),
        ("SCANNER", "unsupported_coordinate_system"),
        ("ras", "unsupported_coordinate_system"),
    ],
)
def test_the_space_must_be_stated_as_ras_or_lps(space: str | None, code: str) -> None:
    assert refused(instrument_markers(localite_matrix(POSE), space=space)) == code


@pytest.mark.parametrize("space", ["RAS", "LPS"])
@pytest.mark.parametrize("is_set", ["true", "false"])
def test_a_raw_identity_is_a_pulse_without_a_coil_in_either_space(space: str, is_set: str) -> None:
    file = read(trigger_markers(IDENTITY, space=space, is_set=is_set))
    assert (file.targets, [skip.reason for skip in file.skipped]) == ((), ["untracked"])


def test_a_flipped_identity_is_a_pose_and_no_untracked_pulse() -> None:
    assert len(read(trigger_markers(raw_matrix(np.diag((-1.0, -1.0, 1.0, 1.0))), space="LPS")).targets) == 1


def test_a_marker_that_was_never_set_is_skipped_for_that() -> None:
    assert [skip.reason for skip in read(instrument_markers(IDENTITY, is_set="false")).skipped] == ["not_set"]
    assert [skip.reason for skip in read(instrument_markers(localite_matrix(POSE), is_set="false")).skipped] == ["not_set"]
    assert [skip.reason for skip in read(trigger_markers(localite_matrix(POSE), is_set="false")).skipped] == ["not_set"]


def test_a_pulse_says_its_time_and_output_and_nan_is_unknown() -> None:
    target = only(read(trigger_markers(localite_matrix(POSE), amplitude="NaN", time="6012")))
    assert (target.group, target.recorded_ms) == (TargetGroup.SAMPLE, 6012)
    assert target.amplitude_pct_mso is None
    assert target.didt_a_per_us is None


def test_a_matrix_that_is_not_whole_or_not_rigid_is_refused() -> None:
    assert refused(instrument_markers(localite_matrix(POSE).replace("data33", "data44"))) == "unreadable_target_file"
    assert refused(instrument_markers("")) == "unreadable_target_file"
    assert refused(instrument_markers(localite_matrix(POSE).replace('data33="1.0"', 'data33="2.0"'))) == "not_affine"
    assert refused(instrument_markers(localite_matrix(np.diag((2.0, 2, 2, 1))))) == "axes_not_orthonormal"
    assert refused(instrument_markers(localite_matrix(np.diag((-1.0, 1, 1, 1))))) == "left_handed_axes"
    assert refused(instrument_markers(localite_matrix(POSE).replace('data03="-52.0"', 'data03="NaN"'))) == "not_finite"
    assert refused(instrument_markers(localite_matrix(POSE).replace('data03="-52.0"', 'data03="-4000"'))) == "coordinate_out_of_range"


def test_one_bad_marker_refuses_the_whole_file() -> None:
    assert refused(instrument_markers(localite_matrix(POSE), localite_matrix(np.diag((2.0, 2, 2, 1))))) == "axes_not_orthonormal"


def entry_targets(*parts: tuple[str, int, str, tuple[float, float, float]]) -> str:
    rows = "".join(
        f'<{tag} index="{index}"><Marker description="{name}" set="true">'
        f'<ColVec3D data0="{at[0]}" data1="{at[1]}" data2="{at[2]}"/></Marker></{tag}>'
        for tag, index, name, at in parts
    )
    return f'<EntryTargetList coordinateSpace="LPS">{rows}</EntryTargetList>'


def test_entries_and_targets_pair_by_index_and_not_by_order() -> None:
    file = read(
        entry_targets(
            ("Entry", 0, "a", (1, 2, 3)), ("Entry", 1, "b", (4, 5, 6)), ("Target", 1, "", (7, 8, 9)), ("Target", 0, "A", (10, 11, 12))
        )
    )
    assert [(each.name, each.entry_in_mri_mm, each.position_in_mri_mm) for each in file.targets] == [
        ("A", (-1, -2, 3), (-10, -11, 12)),
        ("b", (-4, -5, 6), (-7, -8, 9)),
    ]
    assert {each.kind for each in file.targets} == {TargetKind.ENTRY_TARGET}


def test_an_entry_without_its_target_is_skipped_and_an_index_twice_is_refused() -> None:
    assert [skip.reason for skip in read(entry_targets(("Entry", 0, "a", (1, 2, 3)))).skipped] == ["unpaired"]
    assert refused(entry_targets(("Entry", 0, "a", (1, 2, 3)), ("Entry", 0, "a", (1, 2, 3)))) == "unreadable_target_file"


def test_no_markers_is_an_error() -> None:
    for root in ("InstrumentMarkerList", "TriggerMarkerList", "EntryTargetList"):
        assert refused(f'<{root} coordinateSpace="RAS"/>') == "no_targets"
    assert refused("<stmp/>") == "no_targets"


def test_softaxic_may_have_several_poses_of_one_name_or_none() -> None:
    text = (SAMPLES / "softaxic.stmpx").read_text()
    one = text[text.index("<fp ") : text.index("/>") + 2]
    file = read(f'<stmp><fmpm><fmp id="a">{one}{one}</fmp><fmp id="b"/></fmpm></stmp>')
    assert [target.name for target in file.targets] == ["a", "a"]
    assert all(is_pose(target) for target in file.targets)
    assert [(skip.name, skip.reason) for skip in file.skipped] == [("b", "no_pose")]
    assert file.warnings == ("space_not_stated",)


def test_other_xml_is_no_file_of_targets() -> None:
    assert refused("<html/>") == "unknown_format"
    assert refused('<BaseMarkerList coordinateSpace="RAS"/>') == "unknown_format"


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><stmp/>',
        "<!DOCTYPE a [<!ELEMENT stmp ANY>]><stmp/>",
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><stmp/>',
        '<!DOCTYPE a PUBLIC "a" "b"><stmp/>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><stmp/>',
        "<stmp>&x;</stmp>",
        "<stmp",
        "<stmp></stmpx>",
        "<stmp/><stmp/>",
        "<stmp a='1' a='2'/>",
        "<stmp a='\x00'/>",
        "<stmp>" + "<a>" * 40 + "</a>" * 40 + "</stmp>",
        "<stmp>" + "<a/>" * 400_001 + "</stmp>",
    ],
)
def test_xml_that_is_broken_or_brings_entities_is_refused(text: str) -> None:
    assert refused(text) == "unreadable_target_file"


def test_an_encoding_that_the_xml_claims_does_not_count_against_utf_8() -> None:
    text = instrument_markers(localite_matrix(POSE)).replace("spot", "Zürich")
    assert only(read('<?xml version="1.0" encoding="ISO-8859-1"?>' + text)).name == "Zürich"
    assert refused(('<?xml version="1.0" encoding="ISO-8859-1"?>' + text).encode("latin-1")) == "not_utf8"
    assert only(read(b"\xef\xbb\xbf" + text.replace("><", ">\r\n<").encode())).name == "Zürich"
