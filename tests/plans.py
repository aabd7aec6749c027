"""Plans for tests, made of the sample head by the product's own planning; a given scalp keeps them quick."""

from pathlib import Path

import msgspec
import nibabel as nib
import numpy as np

from daemon.plan import write_plan
from daemon.plan_target import FromMap, Space
from daemon.plan_values import Plan
from daemon.planning import PlanRequest, Regimen, make_plan
from daemon.protocol import SIMULATION_ONLY, load_protocol

DATA = Path("sim/data")
TEMPLATE = "MNI152NLin2009cSym"
CREATED_UTC = "2026-05-04T08:00:00+00:00"
SAMPLE_MAP = FromMap(map=DATA / "zmap_native.nii.gz", mask=DATA / "mask_native.nii.gz", polarity="negative")


def regimen(protocol: str = "demo_itbs90") -> Regimen:
    """A demonstration's protocol, on its own basis."""
    return Regimen(protocol=load_protocol(protocol), basis=SIMULATION_ONLY)


def protocol_sha256(protocol_id: str) -> str:
    """Checksum of a protocol's file, as opening a plan asks for it."""
    return load_protocol(protocol_id).sha256


def request(**changes: object) -> PlanRequest:
    """The sample head, named as the template it is, with the sample map."""
    fields: dict[str, object] = {
        "t1": DATA / "mni152nlin2009csym_T1w_1mm_uint8.nii.gz",
        "fiducials": DATA / "fiducials.json",
        "source": SAMPLE_MAP,
        "side": "left",
        "patient": "P001",
        "created_by": "planner",
        "rmt_mso": 50.0,
        "space": Space(subject_is_template=TEMPLATE),
        "scalp": DATA / "scalp_20k.surf.gii",
    }
    return PlanRequest(**(fields | changes))  # type: ignore[arg-type]  # each test gives what it changes


def make(out: Path, *, protocol: str = "demo_itbs90", **changes: object) -> Plan:
    """A plan written to `out`."""
    return make_plan(request(**changes), regimen(protocol), out, created_utc=CREATED_UTC, begin=[].append)


def native_t1(path: Path) -> Path:
    """The sample T1 with the codes of a scanner's image, as if it were a person's."""
    image = nib.load(DATA / "mni152nlin2009csym_T1w_1mm_uint8.nii.gz")
    native = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
    native.header["qform_code"] = native.header["sform_code"] = 1
    nib.save(native, path)
    return path


def rewritten(folder: Path, plan: Plan, **changes: object) -> Path:
    """A plan with other fields and a fitting checksum, beside the files of the first: only the rules can refuse it."""
    path = folder / "rewritten.json"
    path.unlink(missing_ok=True)
    write_plan(path, msgspec.structs.replace(plan, **changes))
    return path
