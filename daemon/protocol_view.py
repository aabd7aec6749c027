"""Protocols and courses as a person at one site sees them: figures with their marks, what supports them, and why not here.

Values for screens and JSON. Rules are `protocol_use`, `protocol_device` and `limits`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from daemon.config import Config
from daemon.course import Course, course_files, load_course
from daemon.limit_files import site_limits
from daemon.limits import Layer, LimitValue, merge, product_layer, undecided
from daemon.protocol import Protocol, load_protocol, protocol_files
from daemon.protocol_device import device_reasons, train_settings
from daemon.protocol_file import Source
from daemon.protocol_site import ProtocolSite, read_protocol_site
from daemon.protocol_timing import Timing, TimingFields, whole_us
from daemon.protocol_use import NO_CHAIR, Coil, Use, course_reasons, use_of
from daemon.safety_tables import Support

LEAST_AMPLITUDE_PCT_MSO = 1  # what the device cannot do at the least output it can do at none


class View(msgspec.Struct, frozen=True, kw_only=True):
    pass


class ProtocolView(View, frozen=True, kw_only=True):
    """One protocol. Times in µs from the first pulse; `against` holds every reason not to start it here."""

    id: str
    title: str
    origin: str
    sha256: str
    basis: str | None
    cleared_for: str | None
    intensity_pct_rmt: int | None
    threshold: str
    coil_class: str | None
    timing: Mapping[str, str | int]
    pulses: int
    pulses_per_train: int
    first_to_last_us: int
    nominal_session_us: int
    support: Support
    rests_on: str | None
    outside_admitted: bool
    usable: bool
    against: tuple[str, ...]
    limits: Mapping[str, LimitValue]
    sources: tuple[Source, ...]


class CourseView(View, frozen=True, kw_only=True):
    """One course; pulses of the fullest day. None: not found in print."""

    id: str
    title: str
    origin: str
    sha256: str
    protocol: str | None
    sessions_by_day: tuple[int, ...]
    pulses_per_session: int | None
    pulses_per_day: int | None
    pulses: int | None
    onset_to_onset_s: str | None
    pause_s: str | None
    usable: bool
    against: tuple[str, ...]
    limits: Mapping[str, LimitValue]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Through whose eyes: the site's word, and the chair where one is named."""

    site: ProtocolSite
    chair: Config | None

    def protocol(self, protocol_id: str) -> Protocol:
        return load_protocol(protocol_id, self.site.folder)

    def course(self, course_id: str) -> Course:
        return load_course(course_id, self.site.folder)


def sight_of(chair: Config | None) -> Sight:
    """Raises BadProtocol where a file of the site is unsound."""
    return Sight(site=read_protocol_site(None if chair is None else chair.site.folder), chair=chair)


def all_protocols(sight: Sight) -> tuple[ProtocolView, ...]:
    return tuple(view_protocol(sight.protocol(name), sight) for name in sorted(protocol_files(sight.site.folder)))


def all_courses(sight: Sight) -> tuple[CourseView, ...]:
    return tuple(view_course(sight.course(name), sight) for name in sorted(course_files(sight.site.folder)))


def view_protocol(protocol: Protocol, sight: Sight) -> ProtocolView:
    """The protocol at its own intensity. Raises LimitsInvalid where a file of the site is unsound."""
    use = _use(protocol, sight)
    against = (*use.reasons, *_device_reasons(protocol.timing, sight), *_limit_reasons(protocol.limit_layer, sight))
    return ProtocolView(
        id=protocol.id,
        title=protocol.title,
        origin=_origin(protocol.signed_by),
        sha256=protocol.sha256,
        basis=use.basis,
        cleared_for=use.cleared_for,
        intensity_pct_rmt=protocol.intensity_pct_rmt,
        threshold=protocol.threshold,
        coil_class=protocol.coil_class,
        timing=timing_figures(protocol.timing),
        pulses=protocol.total_pulses,
        pulses_per_train=protocol.pulses_per_train,
        first_to_last_us=protocol.timing.first_to_last_us,
        nominal_session_us=whole_us(protocol.timing.nominal_session_s),
        support=use.judgement.support,
        rests_on=use.judgement.rests_on,
        outside_admitted=use.is_admitted,
        usable=not against,
        against=against,
        limits=protocol.limits,
        sources=protocol.sources,
    )


def view_course(course: Course, sight: Sight) -> CourseView:
    """The course at its protocol's own intensity. Raises LimitsInvalid where a file of the site is unsound."""
    protocol = None if course.protocol is None else sight.protocol(course.protocol)
    pulses = course.pulses_per_session
    against: tuple[str, ...] = ("the pattern of its pulses is not known",)
    if protocol is not None:
        against = (*course_reasons(course, protocol, sight.site), *_limit_reasons(course.limit_layer(protocol), sight))
        unusable = (*_use(protocol, sight).reasons, *_device_reasons(protocol.timing, sight))
        against += (f"{protocol.id} may not be used here: see `atmsd protocol show`",) if unusable else ()
    return CourseView(
        id=course.id,
        title=course.title,
        origin=_origin(course.signed_by),
        sha256=course.sha256,
        protocol=course.protocol,
        sessions_by_day=course.sessions_by_day,
        pulses_per_session=pulses,
        pulses_per_day=None if pulses is None else pulses * max(course.sessions_by_day),
        pulses=None if pulses is None else pulses * sum(course.sessions_by_day),
        onset_to_onset_s=_text(course.spacing.onset_to_onset_s),
        pause_s=_text(course.spacing.pause_s),
        usable=not against,
        against=against,
        limits=course.limits,
        sources=course.sources,
    )


def timing_figures(timing: Timing) -> dict[str, str | int]:
    """The six numbers as a file has them."""
    values = {name: getattr(timing, name) for name in TimingFields.__struct_fields__}
    return {name: value if isinstance(value, int) else f"{float(value):g}" for name, value in values.items()}


def least_gap_s(layer: Layer, sight: Sight) -> float:
    """The longest pause that any layer asks for, in s."""
    layers = (product_layer(), *_site_layers(sight), layer)
    return max(gap for each in layers if isinstance(gap := each.limits.get("min_gap_s"), int | float))


def _use(protocol: Protocol, sight: Sight) -> Use:
    coil = NO_CHAIR if sight.chair is None else Coil(coil_class=sight.chair.stimulator.coil_class)
    return use_of(protocol, protocol.intensity_pct_rmt, sight.site, coil)


def _device_reasons(timing: Timing, sight: Sight) -> tuple[str, ...]:
    if sight.chair is None:
        return ()
    return device_reasons(timing, train_settings(timing, LEAST_AMPLITUDE_PCT_MSO), sight.chair)


def _limit_reasons(layer: Layer, sight: Sight) -> tuple[str, ...]:
    layers = (product_layer(), *_site_layers(sight), layer)
    refused = [f"{each.key} in the {each.layer} layer: {each.code}" for each in merge(layers).refused]
    missing = ", ".join(undecided(layers))
    return (*refused, *((f"no limit is stated for {missing}: a course or the site must",) if missing else ()))


def _site_layers(sight: Sight) -> tuple[Layer, ...]:
    """Layers of the site, before any patient is named."""
    return () if sight.chair is None else site_limits(sight.chair, "").site


def _origin(signed_by: tuple[str, ...]) -> str:
    return "shipped" if not signed_by else f"site, signed by {', '.join(signed_by)}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)
