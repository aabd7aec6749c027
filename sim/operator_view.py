"""What the simulated operator reads on the screen: the fields of telemetry that a person at the chair goes by.

Its own words for them, converted from whatever the client link holds, as a stranger's program would. Decides nothing.
"""

from typing import Protocol, TypeVar

import msgspec

FRESH_S = 0.25  # an older pose is not to be acted on


class CoilSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The coil against its target; None where the screen shows a dash."""

    exposed_ns: int | None
    on_target: bool
    lateral_x_mm: float | None
    lateral_y_mm: float | None
    gap_mm: float | None
    tilt_x_deg: float | None
    tilt_y_deg: float | None
    twist_error_deg: float | None


class ReasonSeen(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    row: str


class GateSeen(msgspec.Struct, frozen=True, kw_only=True):
    may_start: bool
    word: str
    reasons: tuple[ReasonSeen, ...]


class TrainSeen(msgspec.Struct, frozen=True, kw_only=True):
    train: int
    state: str
    bursts_seen: int
    pulses_session: int


class SessionSeen(msgspec.Struct, frozen=True, kw_only=True):
    state_rev: int
    step: str
    armed: bool
    pulses_planned: int | None
    pulses_delivered: int
    trains_done: int
    trains_broken: int
    held_why: tuple[str, ...]
    stopped_why: str | None
    hardware_stop_tested: bool


class StimSeen(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    enabled: bool | None
    fault: str | None


class ToolSeen(msgspec.Struct, frozen=True, kw_only=True):
    tool: str
    seen: bool


class ToolsSeen(msgspec.Struct, frozen=True, kw_only=True):
    tracker: str
    why: str
    tools: tuple[ToolSeen, ...]


class CheckSeen(msgspec.Struct, frozen=True, kw_only=True):
    passed: bool
    slipped: bool
    missing: tuple[str, ...]
    distances_mm: dict[str, float]


class RegistrationSeen(msgspec.Struct, frozen=True, kw_only=True):
    """`asks`: what the screen asks for next."""

    phase: str
    kind: str
    asks: str | None
    touches: dict[str, int]
    next_landmark: str | None
    sweep_points: int
    sweep_wanted: int
    wanted_zone: str | None
    check: CheckSeen | None


class SearchSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The search for the motor threshold. Amplitudes in %MSO."""

    step: str
    phase: str
    pulses_given: int
    next_number: int
    highest_next_mso: int
    waiting: str | None = None
    waiting_number: int | None = None
    amplitude_mso: int | None = None
    interval_mso: tuple[float, float] | None = None
    threshold_mso: float | None = None
    pulses_today: int | None = None
    why: str = ""


Seen = TypeVar("Seen", bound=msgspec.Struct)


class Value(Protocol):
    @property
    def body(self) -> object: ...


class Telemetry(Protocol):
    """What the operator's link to the daemon holds."""

    def latest(self, topic: str) -> Value | None: ...

    def age_s(self, topic: str) -> float | None: ...


class View:
    """The newest values that the link has pumped, or None while nothing has come."""

    def __init__(self, link: Telemetry) -> None:
        self._link = link

    @property
    def coil(self) -> CoilSeen | None:
        """None too once the newest value is too old to act on."""
        age_s = self._link.age_s("v1/coil/error")
        return self._read("v1/coil/error", CoilSeen) if age_s is not None and age_s <= FRESH_S else None

    @property
    def gate(self) -> GateSeen | None:
        return self._read("v1/gate", GateSeen)

    @property
    def train(self) -> TrainSeen | None:
        return self._read("v1/train", TrainSeen)

    @property
    def session(self) -> SessionSeen | None:
        return self._read("v1/session", SessionSeen)

    @property
    def stim(self) -> StimSeen | None:
        return self._read("v1/stim", StimSeen)

    @property
    def tools(self) -> ToolsSeen | None:
        return self._read("v1/tools", ToolsSeen)

    @property
    def registration(self) -> RegistrationSeen | None:
        return self._read("v1/registration", RegistrationSeen)

    @property
    def search(self) -> SearchSeen | None:
        return self._read("v1/mt", SearchSeen)

    def _read(self, topic: str, kind: type[Seen]) -> Seen | None:
        received = self._link.latest(topic)
        return None if received is None else msgspec.convert(msgspec.to_builtins(received.body), kind)
