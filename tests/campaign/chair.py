"""What a chair under trial is set up with: its file, a plan, and treatments short enough that hundreds of sessions fit in a minute.

The limits are small on purpose: a few lives reach them, and the truth shows whether they held.
"""

import re
from dataclasses import replace
from pathlib import Path

import msgspec

from daemon.config import Config
from daemon.ipc import Aim
from daemon.on_target import TargetLimits
from daemon.pacing import Pace
from daemon.purpose import Pacing
from daemon.treatment import Treatment, open_treatment
from drivers.values import TrainSettings
from sim.room_files import Chair, ensure_roms, write_chair
from sim.room_unit import chair_lines
from tests import plans
from tests.campaign.beacon import COIL_IN_TRACKER_MM, FRAME_HZ, LATENCY_MS
from tests.campaign.family import FAMILIES, MAGVENTURE, Family

PATIENTS = ("CC-1", "CC-2", "CC-3")
MIN_GAP_S = 0.8
SESSIONS_A_DAY = 4
QUICK_DWELL = TargetLimits(dwell_on_s=0.05)
FAR_NS = 1 << 62


def write_quick_chair(folder: Path, seed: int, camera_port: int, family: Family) -> Path:
    """A chair file for a beacon and a simulated stimulator; its network stays in the folder."""
    ensure_roms(folder)
    chair = Chair(
        camera=f"tcp://127.0.0.1:{camera_port}",
        rate_hz=FRAME_HZ,
        latency_ms=LATENCY_MS,
        stimulator=_unit_lines(family, folder),
    )
    path = write_chair(folder, seed, chair)
    text = path.read_text(encoding="utf-8")
    for name in ("commands", "telemetry"):
        text = re.sub(rf'(?m)^{name} = ".*"$', f'{name} = "ipc://{name}"', text)
    path.write_text(text, encoding="utf-8")
    return path


def _unit_lines(family: Family, folder: Path) -> str:
    lines = chair_lines(family.model, folder)
    return lines if family.pacing is Pacing.TRAIN else f'{lines}\npacing = "{family.pacing}"'


def make_plans(folder: Path) -> dict[str, Path]:
    """A real plan of the sample head for each protocol that a family has."""
    made = {}
    for name in sorted({family.protocol for family in FAMILIES.values()}):
        made[name] = folder / f"{name}.plan.json"
        plans.make(made[name], protocol=name)
    return made


def quick_treatments(plan: Path, config: Config, family: Family = MAGVENTURE) -> dict[str, Treatment]:
    """The plan's treatment for each patient, cut short: opened as the daemon opens it, then given small figures."""
    treatment = open_treatment(plan, config)
    assert treatment.course.pacing is family.pacing
    settings = TrainSettings(
        amplitude_pct_mso=treatment.course.settings.amplitude_pct_mso,
        pulses_per_burst=family.pulses_per_burst,
        intra_burst_interval_us=family.intra_burst_us,
        burst_hz=str(family.burst_hz),
        bursts=family.bursts,
    )
    pace = Pace(
        train_period_ns=family.bursts * family.burst_period_ns + family.train_gap_ns,
        train_gap_ns=family.train_gap_ns,
        train_length_ns=family.train_length_ns,
        burst_period_ns=family.burst_period_ns,
    )
    limits = msgspec.structs.replace(
        treatment.limits,
        layers=(),  # the product's own would not take a pause so short
        max_sessions_per_day=SESSIONS_A_DAY,
        max_sessions_rolling=SESSIONS_A_DAY,
        max_pulses_per_day=family.pulses_a_day,
        max_pulses_rolling=family.pulses_a_day,
        min_gap_s=MIN_GAP_S,
    )

    def of(patient: str) -> Treatment:
        plan_ = msgspec.structs.replace(treatment.opened.plan, patient=patient)
        course = msgspec.structs.replace(treatment.course, patient=patient, settings=settings, pace=pace, trains=family.trains)
        return replace(treatment, opened=replace(treatment.opened, plan=plan_), course=course, limits=limits, on_target=QUICK_DWELL)

    return {patient: of(patient) for patient in PATIENTS}


def quick_aim(config: Config) -> Aim:
    """The beacon's coil, as it lies, is on target: `mri` is the tracker's own frame."""
    rows = [list(row) for row in config.tools.coil.coiltool_from_coil]
    for axis, at_mm in enumerate(COIL_IN_TRACKER_MM):
        rows[axis][3] += at_mm
    x, y, z = (row[2] * 20.0 + row[3] for row in rows[:3])
    return Aim(
        mri_from_head=tuple(tuple(1.0 if row == column else 0.0 for column in range(4)) for row in range(4)),
        mri_from_target=tuple(tuple(row) for row in rows),
        target_in_mri_mm=(x, y, z),
        limits=QUICK_DWELL,
        registration_expires_ns=FAR_NS,
        check_expires_ns=FAR_NS,
        reference_holds=True,
    )
