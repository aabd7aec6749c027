"""Plans for the simulated patient, made by the product's own planner as a process of its own; of a plan only the pose is read."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from sim.world_geometry import Pose, from_matrix
from sim.world_head import DATA

PLANS = "plans"
PATIENT, RMT_MSO = "SIM-001", 50
TEMPLATE = "MNI152NLin2009cSym"
PLANNER_S = 120.0


class NoPlan(Exception):
    """The planner made none, or what it made cannot be read."""


def plan_path(folder: Path, protocol: str) -> Path:
    return folder / PLANS / f"{protocol}.plan.json"


def ensure_plan(folder: Path, protocol: str) -> Path:
    """The room's plan for that protocol: an earlier one that the planner still finds right, or a new one. Raises `NoPlan`."""
    path = plan_path(folder, protocol)
    if path.exists():
        if _planner("verify", str(path)).returncode == 0:
            return path
        path.unlink()
    shutil.rmtree(_files(path), ignore_errors=True)  # also what a planner that was killed has left
    path.parent.mkdir(exist_ok=True)
    made = _planner("make", *_what_to_plan(protocol), *_known_scalp(path.parent), "--out", str(path))
    if made.returncode != 0:
        raise NoPlan(f"no plan for {protocol}: {made.stderr.strip() or f'the planner ended with {made.returncode}'}")
    return path


def planned_target(path: Path) -> Pose:
    """`mri_from_coil` of a plan. Raises `NoPlan`."""
    try:
        return from_matrix(json.loads(path.read_text(encoding="utf-8"))["target"]["mri_from_coil"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NoPlan(f"{path}: no plan with target.mri_from_coil in it ({error}). Remove it, so that it is made again.") from error


def _planner(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon", "plan", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PLANNER_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoPlan(f"the planner was not done within {PLANNER_S:.0f} s. Is the machine busy?") from error


def _what_to_plan(protocol: str) -> list[str]:
    return [
        *("--t1", str(DATA / "mni152nlin2009csym_T1w_1mm_uint8.nii.gz")),
        *("--map", str(DATA / "zmap_native.nii.gz")),
        *("--mask", str(DATA / "mask_native.nii.gz")),
        *("--polarity", "negative"),
        *("--subject-is-template", TEMPLATE),
        *("--fiducials", str(DATA / "fiducials.json")),
        *("--side", "left"),
        *("--rmt", str(RMT_MSO)),
        *("--patient", PATIENT),
        *("--protocol", protocol),
        *("--by", "atmsd sim room"),
    ]


def _known_scalp(plans: Path) -> list[str]:
    """The scalp of a plan that is there already: it is the same head."""
    scalps = sorted(plans.glob("*.plan.files/scalp.surf.gii"))
    return ["--scalp", str(scalps[0])] if scalps else []


def _files(path: Path) -> Path:
    return path.with_name(f"{path.stem}.files")
