"""A measured motor threshold as it is kept, and how it was come by. Values alone.

What makes one too old is `mt_rules`, finding one `mt_hunt`, making a set point of it `set_point`.
"""

import math
from enum import StrEnum
from fractions import Fraction
from typing import Final, Literal

import msgspec

from calibration.motor_threshold import FULL_OUTPUT_MSO, Method

Row = tuple[float, float, float, float]
Pose = tuple[Row, Row, Row, Row]
Side = Literal["left", "right"]

# A new value further than this from the last is repeated by a second person: of 50 patients of a multisite series single ones moved
# by -40 to +32 %, five by about 20 %, while the mean stayed.
MAX_CHANGE: Final = Fraction(20, 100)


class Evidence(StrEnum):
    """How a response is told. By eye the threshold reads 11.3 % higher on average than by EMG (Westin 2014, PMC3954153)."""

    EMG = "emg"
    VISUAL = "visual"


class MotorThresholdRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One resting motor threshold of one patient, in %MSO of the stimulator and coil named. Raises ValueError for what is none.

    `interval_mso`: 95 %, where the method gives one. `n_pulses`: all that the search gave, those asked again included.
    `coil_serial`: or what else tells this coil from another. `mri_from_coil`: over the hotspot, mm, where the head was registered.
    `previous_mso`: the last value that was believed before this one; `second_person`: whose measurement this one repeats and confirms.
    """

    patient: str
    value_mso: float
    method: Method
    n_pulses: int
    interval_mso: tuple[float, float] | None
    evidence: Evidence
    muscle: str
    side: Side
    coil_serial: str
    device: str
    operator: str
    measured_utc_us: int
    pulse_shape: str | None = None
    mri_from_coil: Pose | None = None
    medication_sha256: str | None = None
    previous_mso: float | None = None
    second_person: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value_mso) and 0 < self.value_mso <= FULL_OUTPUT_MSO):
            raise ValueError(f"a motor threshold of {self.value_mso} % of output; it is above 0, at most 100")
        if self.n_pulses < 1:
            raise ValueError("a motor threshold needs pulses")
        if not all(text.strip() for text in (self.patient, self.muscle, self.coil_serial, self.device, self.operator)):
            raise ValueError("a motor threshold names patient, muscle, coil, device and operator")

    @property
    def needs_repeat(self) -> bool:
        """Whether a second person has to find it again before anything is given by it."""
        return self.second_person is None and self.previous_mso is not None and is_far(self.value_mso, self.previous_mso)


class StatedThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """A motor threshold that a plan states, in %MSO, without a measurement of ours behind it; its moment is the plan's word."""

    value_mso: float
    measured_utc_us: int


def is_far(new_mso: float, last_mso: float) -> bool:
    """Whether a value is more than a fifth of the last away from it. Exact in the decimals as written."""
    new, last = Fraction(repr(float(new_mso))), Fraction(repr(float(last_mso)))
    return abs(new - last) > MAX_CHANGE * last
