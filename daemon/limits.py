"""Dose limits by name: ceilings and defaults, how layers tighten them, and the limits in force for one session.

Pure: reads no file. What the limits say about a day is `daemon.day`.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

LimitValue = int | float | bool | str | list[str]


class Way(StrEnum):
    """How a later layer may change a limit."""

    AT_MOST = "only down"
    AT_LEAST = "only up"
    SUBSET = "only to a subset"


class LimitName(msgspec.Struct, frozen=True):
    """What is known of one limit: how it tightens, the product's ceiling (or floor), and what ships where no layer says anything.

    Neither ceiling nor default: the protocol, the device or the site has its own.
    """

    way: Way
    ceiling: int | None = None
    default: int | None = None
    is_count: bool = True


# Ceilings are the product's. Sources: 120 % of rMT, cleared use (K201158, SAINT); ten sessions a day, 50 a course, Cole 2020;
# 18 000 pulses a day, the most found in use (Cole 2020, George 2014) and no statement of safety; 15 min, the shortest pause found
# (Duprat 2016 in PMC10188211). The rest are engineering choices, which a site may tighten.
LIMIT_NAMES: Mapping[str, LimitName] = {
    "allowed_protocols": LimitName(Way.SUBSET, is_count=False),
    "max_intensity_pct_rmt": LimitName(Way.AT_MOST, 120, 120, is_count=False),
    "max_sessions_per_day": LimitName(Way.AT_MOST, 10),
    "max_pulses_per_day": LimitName(Way.AT_MOST, 18_000),
    "min_gap_s": LimitName(Way.AT_LEAST, 900, is_count=False),
    "rolling_window_h": LimitName(Way.AT_LEAST, 20, 23, is_count=False),
    "max_sessions_rolling": LimitName(Way.AT_MOST, 10),
    "max_pulses_rolling": LimitName(Way.AT_MOST, 18_000),
    "max_course_sessions": LimitName(Way.AT_MOST, 50),
    "max_treatment_days": LimitName(Way.AT_MOST),
    "max_mt_pulses_per_day": LimitName(Way.AT_MOST, 300, 200),
    "min_mt_pulse_interval_s": LimitName(Way.AT_LEAST, 3, 5, is_count=False),
    "mt_max_age_h": LimitName(Way.AT_MOST, 168, 24, is_count=False),
    "max_set_point_mso": LimitName(Way.AT_MOST, 100, 100),
    "session_resume_window_s": LimitName(Way.AT_MOST, 900, 600, is_count=False),
    "max_coil_temp_c": LimitName(Way.AT_MOST, is_count=False),
    "max_position_error_mm": LimitName(Way.AT_MOST, 5, 3, is_count=False),
    "max_angle_error_deg": LimitName(Way.AT_MOST, 10, 5, is_count=False),
    "off_target_ms": LimitName(Way.AT_MOST, 500, 100),
    "clock_tolerance_s": LimitName(Way.AT_MOST, 5, 2, is_count=False),
    "screening_max_age_h": LimitName(Way.AT_MOST, 24, 12, is_count=False),
}

# Twenty sessions of iTBS in one day (ONE-D): not cleared, and advised against without special care by the Clinical TMS Society; hence
# only under a licence that the site's signed file names.
ONE_D_SESSIONS_PER_DAY = 20

# The product only bounds these; the figure is the protocol's own, and none is made up where it is missing.
DECIDED_BY_A_LAYER = ("max_sessions_per_day", "max_pulses_per_day", "min_gap_s", "max_course_sessions", "max_treatment_days")


class LimitFault(StrEnum):
    """Why a layer's value is refused."""

    UNKNOWN_LIMIT = "UNKNOWN_LIMIT"
    LOOSENS = "LOOSENS"
    BAD_VALUE = "BAD_VALUE"


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one layer that two people issued anew for one patient, until a moment. `sha256`: of the file they signed."""

    name: str
    layer: str
    limits: Mapping[str, LimitValue]
    reason: str
    by: tuple[str, ...]
    until_utc: str
    sha256: str


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One source of limits, with the hash of the file it was read from.

    `signed`: a file of the site's that people signed. `one_d_licence`: what a signed site layer says allows 20 sessions a day.
    """

    name: str
    limits: Mapping[str, LimitValue]
    sha256: str
    signed: bool = False
    one_d_licence: str | None = None
    overrides: tuple[Override, ...] = ()


class RefusedLimit(msgspec.Struct, frozen=True, kw_only=True):
    layer: str
    key: str
    code: LimitFault


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What the layers give together; no effective limits once anything was refused."""

    effective: Mapping[str, LimitValue] | None
    refused: tuple[RefusedLimit, ...]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Effective dose limits of one session, the zone whose calendar names the treatment day, and the layers they came from.

    Raises ValueError for limits that are none: not finite, negative, or looser than a layer they are said to come from.
    """

    timezone: str
    max_sessions_per_day: int
    max_pulses_per_day: int
    min_gap_s: int | float
    rolling_window_h: int | float
    max_sessions_rolling: int
    max_pulses_rolling: int
    max_course_sessions: int
    max_treatment_days: int
    clock_tolerance_s: int | float
    max_intensity_pct_rmt: int | float
    max_set_point_mso: int
    session_resume_window_s: int | float
    sha256: str
    allowed_protocols: tuple[str, ...] | None = None  # None: no layer narrows the list
    max_mt_pulses_per_day: int = 200
    min_mt_pulse_interval_s: int | float = 5
    mt_max_age_h: int | float = 24
    max_coil_temp_c: int | float | None = None  # None: the device's own
    max_position_error_mm: int | float = 3
    max_angle_error_deg: int | float = 5
    off_target_ms: int = 100
    screening_max_age_h: int | float = 12
    layers: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        for key, name in _NUMBERS.items():
            value = getattr(self, key)
            if value is not None and not _is_well_formed(name, value):
                raise ValueError(f"{key} = {value!r} is no limit")
        if not self.rolling_window_h > 0:
            raise ValueError("the rolling window has no length")
        if not _zone_is_known(self.timezone):
            raise ValueError(f"time zone {self.timezone!r} is unknown")
        for layer in self.layers:
            if loose := [key for key, value in layer.limits.items() if self._loosens(key, value)]:
                raise ValueError(f"{', '.join(loose)}: looser than the {layer.name} layer")

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Those in force, to be written down with each session that is opened under them."""
        return tuple(override for layer in self.layers for override in layer.overrides)

    def _loosens(self, key: str, value: LimitValue) -> bool:
        name, own = LIMIT_NAMES.get(key), getattr(self, key, None)
        if name is None or own is None:
            return name is None or key == "allowed_protocols"
        return not _is_as_strict(name.way, list(own) if isinstance(own, tuple) else own, value)


class LimitsInvalid(Exception):
    """The layers give no limits to work under: what is wrong, where, what to do."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


def product_layer(*, one_d: bool = False) -> Layer:
    """The ceilings and floors that are built in. `one_d`: a signed site layer holds the licence for 20 sessions in one day."""
    limits: dict[str, LimitValue] = {key: name.ceiling for key, name in LIMIT_NAMES.items() if name.ceiling is not None}
    limits |= dict.fromkeys(("max_sessions_per_day", "max_sessions_rolling"), ONE_D_SESSIONS_PER_DAY) if one_d else {}
    return Layer(name="product", limits=limits, sha256=_sha256(limits))


def _product_under(layers: Sequence[Layer]) -> Layer:
    return product_layer(one_d=any(layer.name == "site" and layer.signed and layer.one_d_licence for layer in layers))


def merge(layers: Sequence[Layer]) -> Merged:
    """Each layer may only tighten what stands; what loosens is refused, never clamped, for the stricter value would hide the mistake."""
    effective: dict[str, LimitValue] = {}
    refused: list[RefusedLimit] = []
    for layer in layers:
        for key, value in layer.limits.items():
            fault = _fault(key, value, effective.get(key))
            if fault is None:
                effective[key] = value
            else:
                refused.append(RefusedLimit(layer=layer.name, key=key, code=fault))
    return Merged(effective=None if refused else effective, refused=tuple(refused))


def undecided(layers: Iterable[Layer]) -> tuple[str, ...]:
    """Limits that a layer after the product's has to set and none did."""
    decided = {key for layer in layers if layer.name != "product" for key in layer.limits}
    return tuple(key for key in DECIDED_BY_A_LAYER if key not in decided)


def effective_limits(layers: Sequence[Layer], timezone: str) -> Limits:
    """Limits in force under `layers` (the product's own goes before them) at a site in `timezone` (IANA name).

    What no layer says has the shipped default. Raises LimitsInvalid with every fault at once.
    """
    sources = (_product_under(layers), *layers)
    merged = merge(sources)
    faults = [f"{refused.key} in the {refused.layer} layer: {refused.code}" for refused in merged.refused]
    faults += [f"{key} is set by no layer" for key in undecided(layers)]
    faults += [] if _zone_is_known(timezone) else [f"time zone {timezone!r} is unknown"]
    if merged.effective is None or faults:
        raise LimitsInvalid("; ".join(faults), "limits", "Correct the layer named; a later layer may only tighten.")
    set_by_layers = {key for layer in layers for key in layer.limits}
    values = dict(merged.effective) | {
        key: name.default for key, name in LIMIT_NAMES.items() if name.default is not None and key not in set_by_layers
    }
    if "mt_max_age_h" not in set_by_layers and cast("int", values["max_sessions_per_day"]) <= 1:
        values["mt_max_age_h"] = LIMIT_NAMES["mt_max_age_h"].ceiling or 0
    # The rolling windows never allow more than a day does.
    for rolling, daily in (("max_sessions_rolling", "max_sessions_per_day"), ("max_pulses_rolling", "max_pulses_per_day")):
        values[rolling] = min(values[rolling], values[daily])
    fields = {key: value for key, value in values.items() if key in Limits.__struct_fields__}
    whole = fields | {"timezone": timezone, "sha256": _sha256([values, timezone, sources])}
    return msgspec.structs.replace(msgspec.convert(whole, Limits), layers=sources)


# While the motor threshold is sought, nothing of a treatment is allowed: whatever asks for it under these limits is refused.
NO_TREATMENT: Mapping[str, LimitValue] = {
    "max_sessions_per_day": 0,
    "max_pulses_per_day": 0,
    "min_gap_s": 86_400,
    "max_course_sessions": 0,
    "max_treatment_days": 0,
}


def threshold_limits(layers: Sequence[Layer], timezone: str) -> Limits:
    """Limits of a search for the motor threshold under `layers` of site and patient. Raises LimitsInvalid."""
    bounded = [msgspec.structs.replace(layer, limits=_without(layer.limits, NO_TREATMENT)) for layer in layers]
    return effective_limits((*bounded, Layer(name="motor threshold", limits=NO_TREATMENT, sha256=_sha256(NO_TREATMENT))), timezone)


def _without(limits: Mapping[str, LimitValue], names: Mapping[str, LimitValue]) -> dict[str, LimitValue]:
    return {key: value for key, value in limits.items() if key not in names}


def _fault(key: str, value: LimitValue, current: LimitValue | None) -> LimitFault | None:
    name = LIMIT_NAMES.get(key)
    if name is None:
        return LimitFault.UNKNOWN_LIMIT
    if not _is_well_formed(name, value):
        return LimitFault.BAD_VALUE
    if current is not None and not _is_as_strict(name.way, value, current):
        return LimitFault.LOOSENS
    return None


def _is_well_formed(name: LimitName, value: LimitValue) -> bool:
    if name.way is Way.SUBSET:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (isinstance(value, int) or not name.is_count) and math.isfinite(value) and value >= 0


def _is_as_strict(way: Way, value: LimitValue, current: LimitValue) -> bool:
    """Both are well formed: lists for a subset, numbers otherwise."""
    if way is Way.SUBSET:
        return set(cast("list[str]", value)) <= set(cast("list[str]", current))
    new, old = cast("float", value), cast("float", current)
    return new <= old if way is Way.AT_MOST else new >= old


def _zone_is_known(timezone: str) -> bool:
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        return False
    return True


_NUMBERS: Mapping[str, LimitName] = {key: name for key, name in LIMIT_NAMES.items() if name.way is not Way.SUBSET}


def _sha256(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
