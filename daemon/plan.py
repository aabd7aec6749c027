"""The plan file: written once, read with every check repeated that needs no heavy computing.

Owns the file's form (readable JSON, sorted, with a checksum of its own). Fields are `plan_values`, rules `plan_checks`.
"""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from calibration.bad_input import BadInput
from calibration.scalp import checked_scalp, without_cut_plane
from calibration.surface import Surface
from calibration.surface_files import read_surface
from daemon.on_target import TargetLimits
from daemon.plan_checks import file_faults, plan_faults
from daemon.plan_values import Dose, Plan, PlanError

__all__ = ["Dose", "OpenedPlan", "Plan", "PlanError", "open_plan", "read_plan", "registration_surface", "write_plan"]

MAX_PLAN_BYTES: Final = 2**20
REMEDY: Final = "Make the plan again; a plan is never edited by hand."
_NUMBERS_IN_LINES = re.compile(rb"\[\s+((?:[-+.\deE]+,\s+)*[-+.\deE]+)\s+\]")


@dataclass(frozen=True, slots=True)
class OpenedPlan:
    """A plan that passed every check, the checksum of its file, and the folder that its paths are relative to."""

    plan: Plan
    sha256: str
    folder: Path


def open_plan(path: Path, protocol_sha256: Callable[[str], str] | None = None) -> OpenedPlan:
    """The plan in a file with its own checksum, those of all files it names, headers, sides, pose, dose and limits checked.

    `protocol_sha256` gives the checksum of a protocol's file by its id: whether it still is the one planned with.
    Raises PlanError, with every fault of its stage in one text.
    """
    content = _content(path)
    plan = _decoded(content, path)
    if plan.checksum != _checksum(plan):
        raise PlanError("it was changed after it was made: its checksum does not fit", path.name, REMEDY)
    if faults := plan_faults(plan):
        raise PlanError("; ".join(faults), path.name, REMEDY)
    if faults := file_faults(plan, path.parent):
        raise PlanError("; ".join(faults), path.name, "Bring back the files that the plan was made with, or make it again.")
    if protocol_sha256 is not None and protocol_sha256(plan.dose.protocol) != plan.dose.protocol_sha256:
        raise PlanError(f"the protocol {plan.dose.protocol} changed after the plan was made", path.name, REMEDY)
    return OpenedPlan(plan, hashlib.sha256(content).hexdigest(), path.parent)


def read_plan(path: Path, protocol_sha256: Callable[[str], str] | None = None) -> Plan:
    """The plan in a file, checked as by `open_plan`. Raises PlanError."""
    return open_plan(path, protocol_sha256).plan


def write_plan(path: Path, plan: Plan) -> Plan:
    """Writes a plan with its checksum, which is also in the plan returned. Never overwrites: FileExistsError, other OSError."""
    as_read = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)  # whole numbers become the floats that reading gives
    stamped = msgspec.structs.replace(as_read, checksum=_checksum(as_read))
    pretty = msgspec.json.format(msgspec.json.encode(stamped, order="sorted"), indent=2)
    with path.open("xb") as file:
        file.write(_NUMBERS_IN_LINES.sub(lambda match: b"[" + b" ".join(match[1].split()) + b"]", pretty) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return stamped


def registration_surface(opened: OpenedPlan) -> Surface:
    """The plan's scalp without the neck's cut plane, mri mm: what pointer touches are fitted to. Raises PlanError."""
    t1, scalp = opened.plan.files.t1, opened.plan.files.scalp
    try:
        found = read_surface(opened.folder / scalp.path)
        mesh = checked_scalp(found.vertices_mm, found.faces, scalp.path)
    except BadInput as error:
        raise PlanError(error.what, error.where, REMEDY) from error
    return Surface.from_mesh(*without_cut_plane(mesh, np.array(t1.mri_from_voxel), t1.shape))


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_PLAN_BYTES:
            raise PlanError("it is far too long to be a plan", path.name, "Name the plan's JSON file.")
        return path.read_bytes()
    except OSError as error:
        raise PlanError(f"it cannot be read ({error.strerror})", path.name, "Name the plan's JSON file.") from error


def _decoded(content: bytes, path: Path) -> Plan:
    try:
        plan = msgspec.json.decode(content, type=Plan)
        raw = msgspec.json.decode(content, type=_Loose)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlanError(f"it is no plan of this version ({error})", path.name, REMEDY) from error
    unknown = (raw.on_target or {}).keys() - set(TargetLimits.__struct_fields__)  # shared with chair files, so it forbids nothing
    if unknown:
        raise PlanError(f"on_target holds unknown fields: {', '.join(sorted(unknown))}", path.name, REMEDY)
    return plan


class _Loose(msgspec.Struct, frozen=True, kw_only=True):
    on_target: dict[str, float] | None = None


def _checksum(plan: Plan) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(plan, checksum=""), order="sorted")).hexdigest()
