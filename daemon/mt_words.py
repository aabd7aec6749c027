"""The words of the motor threshold's state machine: its set-up, its state, the events that it takes and the actions that it gives.

Values alone; what they do to each other is `mt_hunt`.
"""

from enum import StrEnum

import msgspec

from calibration.motor_threshold import FULL_OUTPUT_MSO, Found, Method, Trial
from daemon.mt_values import Evidence, MotorThresholdRecord, Pose, Side


class Word(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Phase(StrEnum):
    HOTSPOT = "hotspot"
    HUNT = "hunt"
    CONFIRM = "confirm"
    SAVED = "saved"
    NOT_FOUND = "not_found"
    ABORTED = "aborted"


class Seen(StrEnum):
    """What the muscle's signal says of one pulse; undecided where there is none that can be believed, or none at all."""

    RESPONSE = "response"
    NONE = "none"
    UNDECIDED = "undecided"


class Setup(Word, frozen=True, kw_only=True):
    """What is fixed before the first pulse. Raises ValueError for what contradicts itself.

    `planned_pulses`: most that may be given, hotspot and strays included, as the ledger reserved them. `most_mso`: highest amplitude.
    `min_interval_ns`: least time between pulses. `seed`: of the jitter. `previous`: the patient's last record.
    """

    patient: str
    operator: str
    method: Method
    evidence: Evidence
    muscle: str
    side: Side
    device: str
    coil_serial: str
    planned_pulses: int
    min_interval_ns: int
    seed: int
    most_mso: int = FULL_OUTPUT_MSO
    step_mso: int = 1
    pulse_shape: str | None = None
    medication_sha256: str | None = None
    previous: MotorThresholdRecord | None = None

    def __post_init__(self) -> None:
        if not all(text.strip() for text in (self.patient, self.operator, self.muscle, self.device, self.coil_serial)):
            raise ValueError("a motor threshold names patient, operator, muscle, device and coil")
        if self.planned_pulses < 1 or self.min_interval_ns < 1:
            raise ValueError("pulses and the interval between them are positive")
        if not 1 <= self.most_mso <= FULL_OUTPUT_MSO or self.step_mso not in (1, 2):
            raise ValueError("the highest amplitude is 1 to 100 % of output, the step 1 or 2 %")
        if self.previous is not None and self.previous.patient != self.patient:
            raise ValueError("the last motor threshold is another patient's")

    @property
    def interval_ns(self) -> int:
        """Between pulses before the jitter: a quarter above the least, so that the shortest jittered one still keeps to it."""
        return self.min_interval_ns * 5 // 4

    @property
    def comparable_mso(self) -> float | None:
        """The last threshold where it was measured with this very coil and device, in %MSO."""
        last = self.previous
        if last is None or (last.coil_serial, last.device, last.pulse_shape) != (self.coil_serial, self.device, self.pulse_shape):
            return None
        return last.value_mso


class WaitingPulse(Word, frozen=True, kw_only=True, tag="pulse"):
    """A pulse is asked for and its receipt awaited."""

    number: int
    amplitude_mso: int


class WaitingAnswer(Word, frozen=True, kw_only=True, tag="answer"):
    """A pulse was given and a person has to say what came of it."""

    number: int
    amplitude_mso: int
    until_ns: int


class Hunt(Word, frozen=True, kw_only=True):
    """Everything that is known. `given`: pulses that count; `hunt_pulses`: of these, the hunt's; `by_eye`: answers of a person in it.

    `responded_mso`: amplitude of the hotspot's last response. `why`, `remedy`: of an end without a threshold.
    """

    setup: Setup
    phase: Phase
    changed_ns: int
    asked: int = 0
    given: int = 0
    hunt_pulses: int = 0
    by_eye: int = 0
    waiting: WaitingPulse | WaitingAnswer | None = None
    last_pulse_ns: int | None = None
    last_mso: int | None = None
    responded_mso: int | None = None
    start_mso: int | None = None
    mri_from_coil: Pose | None = None
    trials: tuple[Trial, ...] = ()
    found: Found | None = None
    record: MotorThresholdRecord | None = None
    why: str | None = None
    remedy: str | None = None


# ---- events ------------------------------------------------------------------------------------------------------------


class PulseWanted(Word, frozen=True, kw_only=True):
    """The operator wants one pulse of the search for the hotspot."""

    amplitude_mso: int


class HotspotFound(Word, frozen=True, kw_only=True):
    """The coil is where it stays; its pose where the head is registered, mm."""

    mri_from_coil: Pose | None = None


class PulseGiven(Word, frozen=True, kw_only=True):
    """The pulse of that number was given, or must be taken as given; `at_ns`: the latest moment it can have been."""

    number: int
    at_ns: int
    seen: Seen


class PulseLost(Word, frozen=True, kw_only=True):
    """The pulse of that number cannot be judged. `counts` unless it is certain that none was given; `at_ns` as above."""

    number: int
    at_ns: int
    counts: bool


class StrayPulse(Word, frozen=True, kw_only=True):
    """A pulse that nobody asked for."""

    at_ns: int


class Answer(Word, frozen=True, kw_only=True):
    """What a person saw of the pulse of that number; None: could not tell."""

    number: int
    responded: bool | None


class Confirm(Word, frozen=True, kw_only=True):
    """The operator takes the threshold found."""

    by: str
    utc_us: int


class Abort(Word, frozen=True, kw_only=True):
    """The hunt ends here, and nothing is saved."""

    why: str


class Tick(Word, frozen=True, kw_only=True):
    """Time passed."""


Event = PulseWanted | HotspotFound | PulseGiven | PulseLost | StrayPulse | Answer | Confirm | Abort | Tick


# ---- actions -----------------------------------------------------------------------------------------------------------


class AskPulse(Word, frozen=True, kw_only=True):
    """Give one pulse, not before `not_before_ns`; then tell of it by its number, whatever came of it."""

    number: int
    amplitude_mso: int
    not_before_ns: int


class AskAnswer(Word, frozen=True, kw_only=True):
    """Ask the operator whether the muscle answered."""

    number: int
    until_ns: int


class EndPulses(Word, frozen=True, kw_only=True):
    """No further pulse: disarm, and close the session."""


class Save(Word, frozen=True, kw_only=True):
    """Keep the threshold."""

    record: MotorThresholdRecord


class Refuse(Word, frozen=True, kw_only=True):
    """Nothing changed, and why."""

    why: str


Action = AskPulse | AskAnswer | EndPulses | Save | Refuse
Outcome = tuple[Hunt, tuple[Action, ...]]
