"""Whether a sound protocol, or a course of it, may be used: confirmed figures, a basis, the right coil, and something that supports it.

Pure. Every reason against is returned, not the first. What the stimulator can deliver is `protocol_device`.
"""

from dataclasses import dataclass
from fractions import Fraction

from daemon.course import Course
from daemon.protocol import NotUsable, Protocol
from daemon.protocol_site import ENABLED, RESEARCH, ProtocolSite
from daemon.safety_tables import Judgement, Support, judge

REMEDY = f"Have a physician confirm or correct it in the site's {ENABLED}; see docs/protocols.md."


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a protocol rests on here, and every reason against it. `is_admitted`: outside every table, and research admits it.

    `cleared_for`: the device that the basis is the clearance of; on any other it is off-label, and the site should state its own basis.
    """

    basis: str | None
    cleared_for: str | None
    judgement: Judgement
    is_admitted: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coil:
    """What the chair file says of the coil; `of_chair` false: no chair was named, and the protocol's own class is taken."""

    coil_class: str | None
    of_chair: bool = True


NO_CHAIR = Coil(coil_class=None, of_chair=False)


def use_of(protocol: Protocol, intensity_pct_rmt: float | None, site: ProtocolSite, coil: Coil) -> Use:
    """What the protocol at that intensity rests on at this site, under this coil."""
    coil_class = coil.coil_class if coil.of_chair else protocol.coil_class
    exact = None if intensity_pct_rmt is None else Fraction(repr(float(intensity_pct_rmt)))
    judgement = judge(protocol.timing, exact, coil_class, site.evidence)
    is_admitted = judgement.support is Support.OUTSIDE and exact is not None and _admits(protocol, exact, site)
    basis = _basis(protocol, site, is_admitted)
    reasons = (
        *_unconfirmed(protocol.on_memory, protocol.id, protocol.sha256, site),
        *_against_basis(basis),
        *_against_threshold(protocol),
        *_against_coil(protocol, coil),
        *(() if is_admitted or protocol.is_simulation_only else _against_support(judgement)),  # what is given to nobody needs no table
    )
    return Use(basis=basis, cleared_for=_cleared_for(basis, site), judgement=judgement, is_admitted=is_admitted, reasons=reasons)


def require_use(protocol: Protocol, intensity_pct_rmt: float, site: ProtocolSite, coil: Coil) -> Use:
    """Raises NotUsable with every reason."""
    use = use_of(protocol, intensity_pct_rmt, site, coil)
    if use.reasons:
        raise NotUsable("; ".join(use.reasons), protocol.id, REMEDY)
    return use


def course_reasons(course: Course, protocol: Protocol, site: ProtocolSite) -> tuple[str, ...]:
    """Every reason against giving the protocol in this course."""
    reasons = [*_unconfirmed(course.on_memory, course.id, course.sha256, site)]
    if course.protocol is None:
        reasons.append("the pattern of its pulses is not known")
    elif course.protocol != protocol.id:
        reasons.append(f"it is a course of {course.protocol}, not of {protocol.id}")
    elif course.pulses_per_session not in (None, protocol.total_pulses):
        reasons.append(f"its sessions have {course.pulses_per_session} pulses where the protocol has {protocol.total_pulses}")
    if course.days_differ:
        reasons.append("its days differ in their number of sessions, which the ledger's limits do not express")
    return tuple(reasons)


def require_course(course: Course, protocol: Protocol, site: ProtocolSite) -> None:
    """Raises NotUsable with every reason."""
    if reasons := course_reasons(course, protocol, site):
        raise NotUsable("; ".join(reasons), course.id, REMEDY)


def _admits(protocol: Protocol, intensity_pct_rmt: Fraction, site: ProtocolSite) -> bool:
    entry = site.admitted.get(protocol.id)
    return entry is not None and entry.sha256 == protocol.sha256 and intensity_pct_rmt <= entry.intensity_pct_rmt


def _basis(protocol: Protocol, site: ProtocolSite, is_admitted: bool) -> str | None:
    enabled = site.enabled.get(protocol.id)
    if is_admitted:
        return site.admitted[protocol.id].basis
    if enabled is not None and enabled.sha256 == protocol.sha256 and enabled.basis is not None:
        return enabled.basis
    return protocol.basis


def _cleared_for(basis: str | None, site: ProtocolSite) -> str | None:
    return next((entry.device for entry in site.evidence.registered if basis == f"cleared:{entry.clearance}"), None)


def _unconfirmed(on_memory: tuple[str, ...], file_id: str, sha256: str, site: ProtocolSite) -> tuple[str, ...]:
    """A file that changed after it was enabled is as unconfirmed as before, and the site should know."""
    enabled = site.enabled.get(file_id)
    if enabled is not None and enabled.sha256 != sha256:
        return (f"{file_id} changed after the site enabled it",)
    if enabled is not None or not on_memory:
        return ()
    return (f"rests on memory: {', '.join(on_memory)}; a signed site file must confirm it",)


def _against_basis(basis: str | None) -> tuple[str, ...]:
    return () if basis is not None else ("no basis (cleared, research or off-label); a signed site file must state it",)


def _against_threshold(protocol: Protocol) -> tuple[str, ...]:
    if protocol.threshold == "resting":
        return ()
    return (f"its intensity is a percent of the {protocol.threshold} motor threshold, and a plan holds the resting one of the hand",)


def _against_coil(protocol: Protocol, coil: Coil) -> tuple[str, ...]:
    if not coil.of_chair or protocol.coil_class in (None, coil.coil_class):
        return ()
    if coil.coil_class is None:
        return (f"it needs a {protocol.coil_class} coil, and the chair file says not which class this one is ([stimulator].coil_class)",)
    return (f"it needs a {protocol.coil_class} coil, and this chair has {coil.coil_class}",)


def _against_support(judgement: Judgement) -> tuple[str, ...]:
    if judgement.support is not Support.OUTSIDE:
        return ()
    return (f"outside every table and clearance: {', '.join(judgement.against)}; only the site's {RESEARCH} can admit it",)
