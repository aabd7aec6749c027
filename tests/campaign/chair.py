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
from daemon.treatment import Treatment, open_treatment
from drivers.values import TrainSettings
from sim.magventure_settings import DEFAULT_MODEL
from sim.room_files import Chair, ensure_roms, write_chair
from sim.room_unit import chair_lines
from tests import plans
from tests.campaign.beacon import COIL_IN_TRACKER_MM, FRAME_HZ, LATENCY_MS

MS = 1_000_000
PATIENTS = ("CC-1", "CC-2", "CC-3")
BURSTS, PULSES_PER_BURST, TRAINS = 4, 3, 3
BURST_PERIOD_NS, INTRA_BURST_US = 50 * MS, 20_000
TRAIN_LENGTH_NS = (BURSTS - 1) * BURST_PERIOD_NS + (PULSES_PER_BURST - 1) * INTRA_BURST_US * 1000
TRAIN_GAP_NS = 250 * MS
TRAIN_PULSES = BURSTS * PULSES_PER_BURST
SESSION_PULSES = TRAINS * TRAIN_PULSES
MIN_GAP_S = 0.8
SESSIONS_A_DAY = 4
PULSES_A_DAY = 3 * SESSION_PULSES + TRAIN_PULSES  # a fourth session fits only where others were cut short
QUICK_DWELL = TargetLimits(dwell_on_s=0.05)
FAR_NS = 1 << 62


def write_quick_chair(folder: Path, seed: int, camera_port: int) -> Path:
    """A chair file for a beacon and a simulated stimulator; its network stays in the folder."""
    ensure_roms(folder)
    chair = Chair(
        camera=f"tcp://127.0.0.1:{camera_port}",
        rate_hz=FRAME_HZ,
        latency_ms=LATENCY_MS,
        stimulator=chair_lines(DEFAULT_MODEL, folder),
    )
    path = write_chair(folder, seed, chair)
    text = path.read_text(encoding="utf-8")
    for name in ("commands", "telemetry"):
        text = re.sub(rf'(?m)^{name} = ".*"$', f'{name} = "ipc://{name}"', text)
    path.write_text(text, encoding="utf-8")
    return path


def make_plan(folder: Path) -> Path:
    """A real plan of the sample head."""
    path = folder / "trial.plan.json"
    plans.make(path)
    return path


def quick_treatments(plan: Path, config: Config) -> dict[str, Treatment]:
    """The plan's treatment for each patient, cut short: opened as the daemon opens it, then given small figures."""
    treatment = open_treatment(plan, config)
    settings = TrainSettings(
        amplitude_pct_mso=treatment.course.settings.amplitude_pct_mso,
        pulses_per_burst=PULSES_PER_BURST,
        intra_burst_interval_us=INTRA_BURST_US,
        burst_hz="20",
        bursts=BURSTS,
    )
    pace = Pace(
        train_period_ns=BURSTS * BURST_PERIOD_NS + TRAIN_GAP_NS,
        train_gap_ns=TRAIN_GAP_NS,
        train_length_ns=TRAIN_LENGTH_NS,
        burst_period_ns=BURST_PERIOD_NS,
    )
    limits = msgspec.structs.replace(
        treatment.limits,
        layers=(),  # the product's own would not take a pause so short
        max_sessions_per_day=SESSIONS_A_DAY,
        max_sessions_rolling=SESSIONS_A_DAY,
        max_pulses_per_day=PULSES_A_DAY,
        max_pulses_rolling=PULSES_A_DAY,
        min_gap_s=MIN_GAP_S,
    )

    def of(patient: str) -> Treatment:
        plan_ = msgspec.structs.replace(treatment.opened.plan, patient=patient)
        course = msgspec.structs.replace(treatment.course, patient=patient, settings=settings, pace=pace, trains=TRAINS)
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
