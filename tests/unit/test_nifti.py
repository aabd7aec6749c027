"""One image at the door: each check of the header with its code, malformed files, and values in RAS order."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from calibration.nifti import MAX_VOXELS, ImageError, check_image, file_sha256, load_volume
from tests.images import AFFINE, SHAPE, shifted, write_image

SAMPLES = Path("tests/data/connectivity")
T1 = Path("sim/data/mni152nlin2009csym_T1w_1mm_uint8.nii.gz")
TEMPLATE = "MNI152NLin2009cSym"


def refusal(path: Path, *args, **kwargs) -> ImageError:
    with pytest.raises(ImageError) as caught:
        check_image(path, *args, **kwargs)
    return caught.value


def test_a_plain_native_image_passes_with_its_affine_and_checksum(tmp_path):
    checked = check_image(write_image(tmp_path / "a.nii.gz"))
    assert checked.shape == SHAPE
    assert checked.mri_from_voxel.tolist() == AFFINE.tolist()
    assert checked.sha256 == file_sha256(tmp_path / "a.nii.gz")
    assert checked.warnings == ()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("zmap_4d", "expected_single_volume"),
        ("zmap_nocode", "no_spatial_code"),
        ("zmap_qs_mismatch", "qform_sform_mismatch"),
        ("zmap_mni_code", "template_space_needs_transform"),
    ],
)
def test_each_bad_sample_is_refused_by_its_own_code(name, code):
    assert refusal(SAMPLES / f"{name}.nii.gz").code == code


def test_one_trailing_volume_counts_as_three_dimensions(tmp_path):
    path = write_image(tmp_path / "a.nii", np.zeros((*SHAPE, 1), np.float32))
    assert load_volume(check_image(path)).shape == SHAPE


def test_forms_that_place_the_image_6_mm_apart_are_refused_with_the_distance():
    assert refusal(SAMPLES / "zmap_qs_mismatch.nii.gz").details["max_corner_mm"] == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize(("mm", "passes"), [(0.4, True), (0.6, False)])
def test_forms_may_differ_by_half_a_millimetre_at_a_corner(tmp_path, mm, passes):
    path = write_image(tmp_path / "a.nii.gz", sform=shifted(AFFINE, (0, 0, mm)))
    if passes:
        assert check_image(path).max_corner_mm == pytest.approx(mm, abs=1e-4)
    else:
        assert refusal(path).code == "qform_sform_mismatch"


@pytest.mark.parametrize("pick", ["qform", "sform"])
def test_a_person_may_pick_one_of_two_forms_and_it_is_recorded(tmp_path, pick):
    moved = shifted(AFFINE, (0, 0, 6))
    checked = check_image(write_image(tmp_path / "a.nii.gz", sform=moved), pick=pick)
    assert checked.affine_source == pick
    assert checked.mri_from_voxel.tolist() == (AFFINE if pick == "qform" else moved).tolist()
    assert checked.was_picked
    assert checked.warnings == (f"picked_{pick}",)


def test_a_pick_changes_nothing_where_the_forms_agree(tmp_path):
    checked = check_image(write_image(tmp_path / "a.nii.gz"), pick="qform")
    assert (checked.affine_source, checked.was_picked) == ("sform", False)


def test_forms_in_one_place_but_of_subject_and_template_are_refused(tmp_path):
    assert refusal(write_image(tmp_path / "a.nii.gz", q_code=1, s_code=4)).code == "qform_sform_mismatch"


def test_two_native_codes_in_one_place_pass_with_a_warning(tmp_path):
    checked = check_image(write_image(tmp_path / "a.nii.gz", q_code=1, s_code=2))
    assert checked.warnings == ("qform_and_sform_codes_differ",)


def test_an_image_with_the_qform_alone_uses_it(tmp_path):
    checked = check_image(write_image(tmp_path / "a.nii.gz", s_code=0))
    assert (checked.affine_source, checked.max_corner_mm) == ("qform", None)


@pytest.mark.parametrize("code", [3, 4, 5])
def test_a_template_code_is_refused_where_native_is_expected(tmp_path, code):
    assert refusal(write_image(tmp_path / "a.nii.gz", q_code=code, s_code=code)).code == "template_space_needs_transform"


def test_a_native_code_is_refused_where_a_template_is_expected(tmp_path):
    assert refusal(write_image(tmp_path / "a.nii.gz"), TEMPLATE).code == "template_space_needs_transform"


def test_the_template_t1_passes_only_by_name():
    assert refusal(T1).code == "template_space_needs_transform"
    assert check_image(T1, TEMPLATE).space_code == 4


def test_talairach_is_no_mni_space(tmp_path):
    path = write_image(tmp_path / "a.nii.gz", q_code=3, s_code=3)
    assert refusal(path, TEMPLATE).code == "template_space_needs_transform"
    assert check_image(path, "Talairach").space_code == 3


def test_a_map_of_a_subject_that_is_a_template_may_be_native(tmp_path):
    assert check_image(write_image(tmp_path / "a.nii.gz"), TEMPLATE, native_also=True).space_code == 1


@pytest.mark.parametrize(("unit", "scale"), [("meter", 0.001), ("micron", 1000.0)])
def test_metres_and_micrometres_become_millimetres(tmp_path, unit, scale):
    affine = AFFINE.copy()
    affine[:3] *= scale
    checked = check_image(write_image(tmp_path / "a.nii.gz", affine=affine, unit=unit))
    assert checked.mri_from_voxel == pytest.approx(AFFINE, abs=1e-4)


def test_an_unknown_unit_is_taken_as_millimetres_with_a_warning(tmp_path):
    assert check_image(write_image(tmp_path / "a.nii.gz", unit="unknown")).warnings == ("units_unknown_taken_as_mm",)


@pytest.mark.parametrize("scale", [0.001, 0.07, 1.6, 1000.0])
def test_a_voxel_or_field_that_is_no_head_is_bad_units(tmp_path, scale):
    affine = AFFINE.copy()
    affine[:3] *= scale
    assert refusal(write_image(tmp_path / "a.nii.gz", affine=affine)).code == "bad_units"


def test_a_sheared_affine_is_refused(tmp_path):
    affine = AFFINE.copy()
    affine[0, 1] = 0.02
    assert refusal(write_image(tmp_path / "a.nii.gz", affine=affine, q_code=0)).code == "sheared_affine"


def test_left_handed_storage_gives_the_same_world_values(tmp_path):
    values = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    flipped = AFFINE @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    straight = load_volume(check_image(write_image(tmp_path / "a.nii.gz", values)))
    mirrored = load_volume(check_image(write_image(tmp_path / "b.nii.gz", values[::-1], affine=flipped)))
    assert np.array_equal(straight.values, mirrored.values)
    assert mirrored.mri_from_voxel.tolist() == straight.mri_from_voxel.tolist()


def test_turned_storage_comes_out_in_ras_order(tmp_path):
    values = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)
    turned = AFFINE[:, [2, 0, 1, 3]]
    volume = load_volume(check_image(write_image(tmp_path / "a.nii.gz", values.transpose(2, 0, 1), affine=turned)))
    assert np.array_equal(volume.values, values)
    assert volume.mri_from_voxel.tolist() == AFFINE.tolist()


def test_scaled_integers_come_out_as_the_values_they_mean(tmp_path):
    path = write_image(tmp_path / "a.nii", np.full(SHAPE, 7, np.int16))
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([0.5, 3.0], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(content)
    assert float(load_volume(check_image(path)).values[0, 0, 0]) == 6.5


def broken(tmp_path: Path, offset: int, patch: bytes) -> Path:
    path = write_image(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[offset : offset + len(patch)] = patch
    path.write_bytes(content)
    return path


def test_an_affine_with_nan_is_refused(tmp_path):
    path = broken(tmp_path, 280, np.array([np.nan], "<f4").tobytes())  # srow_x
    assert refusal(path).code == "unreadable_image"


def test_a_quaternion_that_is_none_is_refused(tmp_path):
    path = broken(tmp_path, 256, np.array([3.0, 3.0, 3.0], "<f4").tobytes())  # quatern_b, c, d
    assert refusal(path).code == "unreadable_image"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_claim_of_gigabytes_is_refused_before_reading(tmp_path, suffix):
    path = broken(tmp_path, 42, np.array([30000, 30000, 30000], "<i2").tobytes())  # dim[1:4]
    if suffix == ".nii.gz":
        path.with_suffix(suffix).write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_suffix(suffix)
    error = refusal(path)
    assert error.code == "unreadable_image"
    assert str(MAX_VOXELS) in str(error)


def test_a_claim_that_the_file_cannot_hold_is_refused_before_reading(tmp_path):
    path = write_image(tmp_path / "a.nii")
    path.write_bytes(path.read_bytes()[:2000])
    assert "too short" in str(refusal(path))


def test_a_truncated_gzip_is_refused_when_its_values_are_read(tmp_path):
    path = write_image(tmp_path / "a.nii.gz", np.random.default_rng(3).normal(size=SHAPE).astype(np.float32))
    path.write_bytes(path.read_bytes()[:-5000])
    checked = check_image(path)
    with pytest.raises(ImageError, match="not a readable NIfTI"):
        load_volume(checked)


def test_a_gzip_whose_checksum_does_not_fit_is_refused_when_its_values_are_read(tmp_path):
    path = write_image(tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(ImageError, match="CRC"):
        load_volume(check_image(path))


def test_a_handedness_of_zero_means_one(tmp_path):
    path = broken(tmp_path, 76, np.zeros(1, "<f4").tobytes())  # pixdim[0]
    assert check_image(path, pick="qform").mri_from_voxel.tolist() == AFFINE.tolist()


def test_an_unknown_code_of_values_is_refused(tmp_path):
    assert refusal(broken(tmp_path, 70, (999).to_bytes(2, "little"))).code == "unreadable_image"  # datatype


@pytest.mark.parametrize("content", [b"", b"\0" * 600, b"not an image" * 100])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.txt"])
def test_what_is_no_image_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    error = refusal(path)
    assert error.code == "unreadable_image"
    assert str(error).startswith(f"{name}: ")


def test_a_missing_file_is_refused(tmp_path):
    assert refusal(tmp_path / "none.nii.gz").code == "unreadable_image"


def test_complex_and_coloured_values_are_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.complex64), AFFINE), tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii").code == "unreadable_image"
