"""Where the coil was at each pulse: its pose interpolated between the exposures before and after. For the record; decides nothing."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from calibration.coil_error import coil_error
from calibration.frames import Transform
from calibration.poses import between
from calibration.scalp_patch import ScalpPatch
from daemon.ipc import Aim, BurstPlaced, PlaceKind, PulsePlace
from daemon.train_account import Train

KEPT = 512  # frames: more than a second at 400 Hz
SPAN_NS = 100_000_000  # poses further apart than a pose may be old say nothing of what was between
GIVEN_UP_NS = 200_000_000  # so long an exposure after a pulse that shows the coil is awaited


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One dated frame in which head and coil were seen: where the coil was in the image, and how well."""

    exposed_ns: int
    mri_from_coil: Transform
    fit_rms_mm: float | None
    flagged: bool


@dataclass(frozen=True, slots=True)
class _Pending:
    grant_no: int
    train: int
    burst: int
    pulses_ns: tuple[int, ...]


class PulsePlaces:
    """Follows frames and the running train. `max_fit_rms_mm`: of a pose that is good enough to fire on."""

    def __init__(self, max_fit_rms_mm: float) -> None:
        self._max_fit_rms_mm = max_fit_rms_mm
        self._seen: deque[Seen] = deque(maxlen=KEPT)
        self._pending: deque[_Pending] = deque()
        self._target: Transform | None = None
        self._point_mm: tuple[float, float, float] | None = None
        self._scalp: ScalpPatch | None = None
        self._grant_no: int | None = None
        self._bursts = 0

    def aim(self, aim: Aim | None, mri_from_target: Transform | None) -> None:
        """What came before is of another registration or target."""
        self._seen.clear()
        self._target = mri_from_target
        self._point_mm, self._scalp = (None, None) if aim is None else (aim.target_in_mri_mm, aim.scalp)

    def frame(self, exposed_ns: int | None, mri_from_coil: Transform | None, fit_rms_mm: float | None, flagged: bool) -> None:
        """Frames in order; those without a date, or in which head or coil is not seen, place no pulse."""
        if exposed_ns is not None and mri_from_coil is not None:
            self._seen.append(Seen(exposed_ns, mri_from_coil, fit_rms_mm, flagged))

    def follow(self, train: Train | None) -> None:
        """Take the bursts that the running train has had since the last look."""
        if train is None:
            return
        if train.grant.grant_no != self._grant_no:
            self._grant_no, self._bursts = train.grant.grant_no, 0
        settings = train.grant.settings
        for number in range(self._bursts, len(train.bursts)):
            first_ns = train.bursts[number].at_ns
            pulses_ns = tuple(first_ns + pulse * settings.intra_burst_interval_us * 1000 for pulse in range(settings.pulses_per_burst))
            self._pending.append(_Pending(train.grant.grant_no, train.grant.train, number + 1, pulses_ns))
        self._bursts = len(train.bursts)

    def placed(self, now_ns: int) -> list[BurstPlaced]:
        """Bursts of which every pulse has an exposure after it, or is not going to have one."""
        told = []
        while self._pending and self._is_ripe(self._pending[0], now_ns):
            burst = self._pending.popleft()
            pulses = tuple(self._place(at_ns) for at_ns in burst.pulses_ns)
            told.append(BurstPlaced(grant_no=burst.grant_no, train=burst.train, burst=burst.burst, pulses=pulses))
        return told

    def _is_ripe(self, burst: _Pending, now_ns: int) -> bool:
        last_ns = burst.pulses_ns[-1]
        return (bool(self._seen) and self._seen[-1].exposed_ns >= last_ns) or now_ns - last_ns >= GIVEN_UP_NS

    def _place(self, at_ns: int) -> PulsePlace:
        earlier = next((seen for seen in reversed(self._seen) if seen.exposed_ns <= at_ns), None)
        later = next((seen for seen in self._seen if seen.exposed_ns > at_ns), None)
        if earlier is None or later is None or later.exposed_ns - earlier.exposed_ns > SPAN_NS:
            return self._nearest(at_ns, [seen for seen in (earlier, later) if seen is not None])
        span_ns = later.exposed_ns - earlier.exposed_ns
        pose = between(earlier.mri_from_coil, later.mri_from_coil, (at_ns - earlier.exposed_ns) / span_ns)
        return self._told(at_ns, PlaceKind.INTERPOLATED, pose, (earlier, later), span_ns)

    def _nearest(self, at_ns: int, candidates: Sequence[Seen]) -> PulsePlace:
        near = [seen for seen in candidates if abs(seen.exposed_ns - at_ns) <= SPAN_NS]
        if not near:
            return PulsePlace(at_ns=at_ns, how=PlaceKind.NONE)
        seen = min(near, key=lambda one: abs(one.exposed_ns - at_ns))
        return self._told(at_ns, PlaceKind.NEAREST, seen.mri_from_coil, (seen,), None)

    def _told(self, at_ns: int, how: PlaceKind, pose: Transform, poses: tuple[Seen, ...], span_ns: int | None) -> PulsePlace:
        fits = [seen.fit_rms_mm for seen in poses]
        worst_mm = None if any(fit is None for fit in fits) else max(fit for fit in fits if fit is not None)
        fits_well = worst_mm is not None and worst_mm <= self._max_fit_rms_mm
        x, y, z = pose.translation_mm.tolist()
        return PulsePlace(
            at_ns=at_ns,
            how=how,
            pose_age_ms=min(abs(seen.exposed_ns - at_ns) for seen in poses) / 1e6,
            pose_span_ms=None if span_ns is None else span_ns / 1e6,
            fit_rms_mm=worst_mm,
            good=how is PlaceKind.INTERPOLATED and fits_well and not any(seen.flagged for seen in poses),
            coil_in_mri_mm=(x, y, z),
            mri_from_coil_wxyz=pose.wxyz,
            error=None if self._target is None else coil_error(self._target, pose, self._point_mm, patch=self._scalp),
        )
