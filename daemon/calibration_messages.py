"""What goes over the network about calibrations and quality checks. Part of `daemon.messages`, which hands it on to everybody.

Lengths mm, angles degrees. Unknown is null.
"""

from typing import Literal

import msgspec

from daemon.message_words import Done, Message, Method, NoParams, Params

Xyz = tuple[float, float, float]
Row = tuple[float, float, float, float]
CalibratedTool = Literal["pointer", "coil"]
Task = Literal["pointer", "coil", "plate", "jitter", "spread", "block"]


class ToolCalibration(Message, frozen=True, kw_only=True):
    """What a tool's figures come from: `source` chair or store. `refused`: why none is in use, empty while one is."""

    tool: str
    source: str
    version: int | None
    valid_until_utc: str | None
    refused: tuple[str, ...]
    why: str


class CalibrationBody(Message, frozen=True, kw_only=True):
    """A calibration or a quality measurement under way. `task`: pointer, coil, plate, jitter, spread, block; null for none.

    `unseen`: why the newest frame does not count, empty when it does. `refusals`: what still stands against the result; `enough`: nothing.
    """

    in_use: tuple[ToolCalibration, ...]
    task: str | None = None
    samples: int = 0
    samples_wanted: int = 0
    dropped: int = 0
    unseen: str = ""
    span_deg: float | None = None
    axis_spans_deg: tuple[float, float] | None = None
    span_wanted_deg: float | None = None
    condition_number: float | None = None
    condition_limit: float | None = None
    angles: int | None = None
    angles_wanted: int | None = None
    rms_mm: float | None = None
    rms_limit_mm: float | None = None
    max_mm: float | None = None
    points: tuple[str, ...] = ()
    point: str | None = None
    touches: dict[str, int] = msgspec.field(default_factory=dict)
    residuals_mm: dict[str, float] = msgspec.field(default_factory=dict)
    seconds_left: float | None = None
    refusals: tuple[str, ...] = ()
    enough: bool = False


class CalibrationEntry(Message, frozen=True, kw_only=True):
    """One calibration of the history. `against`: everything against using it now; `damaged`: why its file cannot be read, else empty."""

    tool: str
    version: int
    against: tuple[str, ...]
    in_use: bool
    damaged: str = ""
    method: str = ""
    taken_utc: str = ""
    taken_by: str = ""
    valid_until_utc: str = ""
    rom_sha256: str = ""
    sha256: str = ""
    tip_in_pointer_mm: Xyz | None = None
    coiltool_from_coil: tuple[Row, Row, Row, Row] | None = None
    numbers: dict[str, float] = msgspec.field(default_factory=dict)
    residuals_mm: dict[str, float] = msgspec.field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    rests_on: dict[str, str] = msgspec.field(default_factory=dict)
    accepted_by: str | None = None
    accepted_utc: str | None = None


class QaItem(Message, frozen=True, kw_only=True):
    """One measurement of a `subject`. `passed` null: there is no limit for it. `numbers` in mm and degrees."""

    name: str
    subject: str
    value: float
    limit: float | None
    passed: bool | None
    numbers: dict[str, float]


class QaReport(Message, frozen=True, kw_only=True):
    """A quality check in the terms of ASTM F2554. `verdict`: passed, failed, incomplete; `missing`: what was not measured."""

    utc: str
    by: str
    chair: str
    tracker: str
    verdict: str
    items: tuple[QaItem, ...]
    missing: tuple[str, ...]
    calibrations: tuple[ToolCalibration, ...]
    rom_sha256: dict[str, str]


class CalibrateStartParams(Params, frozen=True, kw_only=True):
    """`name`: who does it, for the record. `seconds`: how long a jitter is measured."""

    task: Task
    name: str
    seconds: float = 60.0


class CalibrateTouchParams(Params, frozen=True, kw_only=True):
    point: str


class CalibrateAcceptParams(Params, frozen=True, kw_only=True):
    """`name`: who takes it into use."""

    tool: CalibratedTool
    version: int
    name: str


class CalibrateShowParams(Params, frozen=True, kw_only=True):
    tool: CalibratedTool
    version: int


class QaReportParams(Params, frozen=True, kw_only=True):
    name: str


class CalibrateStarted(Message, frozen=True, kw_only=True):
    """`points`: what is to be touched, in a good order; empty where nothing is."""

    state_rev: int
    task: str
    points: tuple[str, ...]


class CalibrateTouchResult(Message, frozen=True, kw_only=True):
    """`spread_mm`: RMS of the tip about its mean while it was held; `dropped`: frames that were outliers."""

    state_rev: int
    point: str
    touches: int
    spread_mm: float
    frames: int
    dropped: int


class CalibrateDoneResult(Message, frozen=True, kw_only=True):
    """What came of it: a calibration, kept in the history and not yet in use; or the items of a quality check."""

    state_rev: int
    calibration: CalibrationEntry | None = None
    items: tuple[QaItem, ...] = ()


class CalibrateListResult(Message, frozen=True, kw_only=True):
    """Every calibration of the chair's history, newest first, and what is in use."""

    state_rev: int
    in_use: tuple[ToolCalibration, ...]
    calibrations: tuple[CalibrationEntry, ...]


class CalibrateShowResult(Message, frozen=True, kw_only=True):
    state_rev: int
    calibration: CalibrationEntry


class QaReportResult(Message, frozen=True, kw_only=True):
    """`text`: the report for people; `stored`: its file on the daemon's machine."""

    state_rev: int
    report: QaReport
    text: str
    stored: str


CALIBRATION_METHODS: dict[str, Method] = {
    "calibrate_start": Method(params=CalibrateStartParams, result=CalibrateStarted, changes=False),
    "calibrate_touch": Method(params=CalibrateTouchParams, result=CalibrateTouchResult, changes=False),
    "calibrate_end": Method(params=NoParams, result=CalibrateDoneResult, changes=False),
    "calibrate_cancel": Method(params=NoParams, result=Done, changes=False),
    "calibrate_accept": Method(params=CalibrateAcceptParams, result=Done, changes=False),
    "calibrate_list": Method(params=NoParams, result=CalibrateListResult, changes=False, lease=False),
    "calibrate_show": Method(params=CalibrateShowParams, result=CalibrateShowResult, changes=False, lease=False),
    "qa_report": Method(params=QaReportParams, result=QaReportResult, changes=False),
}
