"""The physical acts of people in a simulated room, as lines of JSON: what may be asked for over a room's socket.

One request a line, `{"do": name, ...}`; one answer a line, `{"ok": true}` once it is done, or `{"ok": false, "error": ...}`.
"""

from typing import Literal

import msgspec


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    pass


class Touch(Act, frozen=True, kw_only=True, tag="touch"):
    landmark: str


class PointerToScalp(Act, frozen=True, kw_only=True, tag="pointer_to_scalp"):
    pass


class Sweep(Act, frozen=True, kw_only=True, tag="sweep"):
    seconds: float = 10.0


class Park(Act, frozen=True, kw_only=True, tag="park"):
    tool: Literal["pointer", "coil"]


class CoilNear(Act, frozen=True, kw_only=True, tag="coil_near"):
    pass


class MoveCoilBy(Act, frozen=True, kw_only=True, tag="move_coil_by"):
    """In the coil's own axes, each in the sense in which the coil error of that name grows."""

    dx_mm: float = 0.0
    dy_mm: float = 0.0
    gap_mm: float = 0.0
    tilt_x_deg: float = 0.0
    tilt_y_deg: float = 0.0
    twist_deg: float = 0.0


class Slip(Act, frozen=True, kw_only=True, tag="slip"):
    mm: float = 8.0
    ms: float = 50.0


class SlipReference(Act, frozen=True, kw_only=True, tag="slip_reference"):
    mm: float = 5.0
    ms: float = 100.0


class BumpCamera(Act, frozen=True, kw_only=True, tag="bump_camera"):
    mm: float = 20.0


class Occlude(Act, frozen=True, kw_only=True, tag="occlude"):
    """Answered at once; the view clears by itself."""

    tool: Literal["head", "pointer", "coil"]
    seconds: float


class Pivot(Act, frozen=True, kw_only=True, tag="pivot"):
    """The pointer's tip rests in a divot of the block while it is turned to every side."""

    divot: str = "A"
    seconds: float = 20.0
    degrees: float = 35.0


class TouchCoil(Act, frozen=True, kw_only=True, tag="touch_coil"):
    """A mark of the coil as it lies there; also its `handle` and its `back`."""

    point: str


class TouchDivot(Act, frozen=True, kw_only=True, tag="touch_divot"):
    divot: str


class CoilOnPlate(Act, frozen=True, kw_only=True, tag="coil_on_plate"):
    """The coil is laid face down into its plate."""


class TiltPlate(Act, frozen=True, kw_only=True, tag="tilt_plate"):
    """With the coil in it, to every side."""

    seconds: float = 10.0
    degrees: float = 30.0


class TakeOffHead(Act, frozen=True, kw_only=True, tag="take_off_head"):
    """The head reference is taken off the patient and laid down."""


class StrapOnHead(Act, frozen=True, kw_only=True, tag="strap_on_head"):
    """And put back to where it sat."""


class PressDisable(Act, frozen=True, kw_only=True, tag="press_disable"):
    """The stimulator's own red key."""


class PressEnable(Act, frozen=True, kw_only=True, tag="press_enable"):
    """The stimulator's own enable key."""


class PressTrigger(Act, frozen=True, kw_only=True, tag="press_trigger"):
    """The stimulator's own trigger key: a pulse that nobody granted, if it is enabled."""


class TurnAmplitude(Act, frozen=True, kw_only=True, tag="turn_amplitude"):
    """The stimulator's own knob."""

    pct: int


class UnplugCoil(Act, frozen=True, kw_only=True, tag="unplug_coil"):
    pass


class PowerCycle(Act, frozen=True, kw_only=True, tag="power_cycle"):
    """The stimulator's mains switch, off and on."""


class CameraFault(Act, frozen=True, kw_only=True, tag="camera_fault"):
    """A switch of the camera's faults; the value that it has at rest takes it back. A set of tools is a list."""

    name: str
    value: bool | int | float | list[str] | dict[str, int]


class StimulatorFault(Act, frozen=True, kw_only=True, tag="stimulator_fault"):
    """A switch of the stimulator's faults; the value that it has at rest takes it back."""

    name: str
    value: bool | int | float | None


class WatchThumb(Act, frozen=True, kw_only=True, tag="watch_thumb"):
    """Answers how many pulses the patient has felt, and whether the thumb twitched at the last: what an operator sees."""


class Where(Act, frozen=True, kw_only=True, tag="where"):
    """Answers the truth about the coil now; for tests, never for an operator."""


Request = (
    Touch
    | PointerToScalp
    | Sweep
    | Park
    | CoilNear
    | MoveCoilBy
    | Slip
    | SlipReference
    | BumpCamera
    | Occlude
    | Pivot
    | TouchCoil
    | TouchDivot
    | CoilOnPlate
    | TiltPlate
    | TakeOffHead
    | StrapOnHead
    | PressDisable
    | PressEnable
    | PressTrigger
    | TurnAmplitude
    | UnplugCoil
    | PowerCycle
    | CameraFault
    | StimulatorFault
    | WatchThumb
    | Where
)


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    ok: bool
    error: str | None = None
    truth: dict[str, float | bool | None] | None = None
    pulses_felt: int | None = None
    twitched: bool | None = None
