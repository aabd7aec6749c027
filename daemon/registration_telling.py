"""The registration as clients read it: what is asked for next, how far it is, how good it is. Decides nothing."""

import msgspec

from calibration.coverage import residual_map
from calibration.expected_error import total_mm
from daemon.alarms import utc_text
from daemon.messages import CheckBody, LandmarkBody, RegistrationBody, ZoneBody
from daemon.reference_check import WHOLE, ReferenceCheck
from daemon.registrar import Registrar
from daemon.registration_standing import Standing, parts_mm
from daemon.sweeping import FULL, QUICK

MAP_POINTS = 300  # of the residuals told: enough for a picture
NS = 1_000_000_000


def registration_body(registrar: Registrar) -> RegistrationBody:
    """All of it, as it stands now."""
    head, held = registrar.head, registrar.pointer.held
    if head is None:
        return RegistrationBody(phase=registrar.phase)
    body = RegistrationBody(
        phase=registrar.phase,
        kind=registrar.kind,
        asks=_asks(registrar),
        touches={name: len(kept) for name, kept in registrar.landmarks.touches.items()},
        landmarks=_landmarks(registrar),
        next_landmark=registrar.next_landmark,
        tip_spread_mm=None if held is None else held.spread_mm,
        hold_share=None if held is None else held.share,
        sweep_wanted=(FULL if registrar.kind == "full" else QUICK).points,
        left_ear_touched=registrar.left_ear is not None,
        side_fact=head.treatment.opened.plan.target.side_fact,
        check=None if registrar.check is None else _check(registrar, registrar.check),
    )
    return _with_quality(_with_sweep(body, registrar), registrar)


def _asks(registrar: Registrar) -> str | None:
    match registrar.phase:
        case "restored":
            return "check"
        case "touching":
            return "sweep" if not registrar.missing else "touch"
        case "sweeping":
            return "sweep"
        case "fitted" if registrar.fitted is not None:
            return "repeat" if registrar.fitted.reasons else "accept" if registrar.left_ear is not None else "left_ear"
        case "accepted" if registrar.check is not None and registrar.standing is not None:
            return _asks_of_standing(registrar, registrar.check, registrar.standing)
    return None


def _asks_of_standing(registrar: Registrar, check: ReferenceCheck, standing: Standing) -> str | None:
    now_ns = registrar.clock.mono_ns()
    if check.has_slipped or now_ns >= standing.expires_ns:
        return "register"
    expires_ns = check.expires_ns(registrar.check_limits)
    if expires_ns is not None and now_ns < expires_ns:
        return None
    return "quick" if registrar.is_later_session and check.passed_ns is None and registrar.wants_quick else "check"


def _landmarks(registrar: Registrar) -> tuple[LandmarkBody, ...]:
    fitted, landmarks, head = registrar.fitted, registrar.landmarks, registrar.head
    moved = {} if fitted is None else dict(zip(fitted.landmarks, fitted.landmarks_moved_mm, strict=True))
    return tuple(
        LandmarkBody(
            name=name,
            needed=name in WHOLE,
            touches=len(landmarks.touches.get(name, ())),
            wanted=landmarks.wanted,
            spread_mm=max((touch.spread_mm for touch in landmarks.touches.get(name, ())), default=None),
            moved_mm=moved.get(name),
        )
        for name in (() if head is None else head.marked)
    )


def _with_sweep(body: RegistrationBody, registrar: Registrar) -> RegistrationBody:
    sweep, head, fitted = registrar.sweep, registrar.head, registrar.fitted
    if sweep is None or head is None:
        return body
    rows: tuple[tuple[float, float, float, float], ...] = ()
    points = sweep.points_in_head_mm()
    if fitted is not None and fitted.signed_mm is not None and len(fitted.signed_mm) == len(points):
        found = residual_map(head.map, fitted.mri_from_head.apply(points), fitted.signed_mm, MAP_POINTS)
        rows = tuple((right, front, up, signed) for right, front, up, signed in found.round(2).tolist())
    thin = sweep.thin_zones
    return msgspec.structs.replace(
        body,
        sweep_points=sweep.count,
        zones=tuple(ZoneBody(zone=str(zone), points=count, wanted=sweep.wanted.per_zone) for zone, count in sweep.zones.items()),
        wanted_zone=str(thin[0]) if thin else None,
        around_target_points=sweep.around_target,
        around_target_wanted=sweep.wanted.around_target,
        rejected=dict(sweep.rejected),
        residual_map=rows,
    )


def _with_quality(body: RegistrationBody, registrar: Registrar) -> RegistrationBody:
    fitted, standing, head = registrar.fitted, registrar.standing, registrar.head
    if head is None or (fitted is None and standing is None):
        return body
    parts = registrar.expected_parts
    common = msgspec.structs.replace(
        body,
        expected_parts_mm=parts_mm(parts),
        expected_error_mm=total_mm(parts),
        expected_error_limit_mm=head.treatment.opened.plan.expected_error_limit_mm,
        valid_until_utc=None if standing is None else _utc_of(registrar, standing.expires_ns),
    )
    if fitted is None:
        return common if standing is None else _with_standing(common, standing)
    change = fitted.change
    return msgspec.structs.replace(
        common,
        fre_mm=fitted.fre_mm,
        surface_rms_mm=fitted.surface_rms_mm,
        share_within_3mm=fitted.share_within_3mm,
        float_mm=fitted.signed_mean_mm,
        alike_mm=fitted.alike_mm,
        conditioning=fitted.conditioning,
        swapped=fitted.swapped,
        outlier=fitted.outlier,
        verdict=str(fitted.verdict),
        reasons=tuple(str(each) for each in fitted.reasons),
        warnings=tuple(str(each) for each in fitted.warnings),
        change_at_target_mm=None if change is None else change.at_target_mm,
        change_turn_deg=None if change is None else change.turn_deg,
    )


def _with_standing(body: RegistrationBody, standing: Standing) -> RegistrationBody:
    """Of an earlier session, or an earlier run: its touches and points are in the day's file."""
    return msgspec.structs.replace(
        body,
        kind=standing.kind,
        sweep_points=standing.sweep_points,
        fre_mm=standing.fre_mm,
        surface_rms_mm=standing.surface_rms_mm,
        share_within_3mm=standing.share_within_3mm,
        float_mm=standing.float_mm,
        verdict=standing.verdict,
        warnings=standing.warnings,
    )


def _check(registrar: Registrar, check: ReferenceCheck) -> CheckBody:
    limits, drift = registrar.check_limits, check.drift()
    slip = None if drift is None else drift.slip
    expires_ns = check.expires_ns(limits)
    at_target_mm = None
    standing = registrar.standing
    if slip is not None and standing is not None and registrar.head is not None:
        target = registrar.head.treatment.opened.plan.target.cortical_target_in_mri_mm
        at_target_mm = slip.moves_mm(standing.mri_from_head.inverse().apply(target))
    return CheckBody(
        passed=expires_ns is not None and registrar.clock.mono_ns() < expires_ns,
        slipped=check.has_slipped and registrar.phase != "restored",
        missing=check.missing,
        distances_mm={touch.landmark: touch.distance_mm for touch in check.touches or check.history[-1:]},
        worst_mm=check.worst_mm,
        warn_mm=limits.warn_mm,
        block_mm=limits.block_mm,
        shift_mm=None if slip is None else slip.shift_mm,
        turn_deg=None if slip is None else slip.rotation_deg,
        at_target_mm=at_target_mm,
        trend_mm_per_h=check.trend_mm_per_h(),
        age_s=None if check.passed_ns is None else (registrar.clock.mono_ns() - check.passed_ns) / NS,
        valid_until_utc=None if expires_ns is None else _utc_of(registrar, expires_ns),
    )


def _utc_of(registrar: Registrar, mono_ns: int) -> str:
    clock = registrar.clock
    return utc_text((clock.utc_ns() + mono_ns - clock.mono_ns()) / NS)
