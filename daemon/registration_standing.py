"""The registration that stands: what aiming needs of it and what is told and stored of it, from a fit or from the day's file."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.expected_error import ErrorPart, Part
from calibration.frames import Transform
from calibration.registration import Registration
from daemon.registering import Point
from daemon.registration_store import Accepted, Matrix

Kind = Literal["full", "quick"]


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Now, on the monotonic clock and on the wall's, ns."""

    mono_ns: Callable[[], int] = time.monotonic_ns
    utc_ns: Callable[[], int] = time.time_ns


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """One accepted registration. `first_mri_from_head`: of the day's full one, itself where it is that."""

    kind: Kind
    verdict: str
    warnings: tuple[str, ...]
    mri_from_head: Transform
    first_mri_from_head: Transform
    registered: dict[str, Point]  # landmarks as touched, in head, mm
    fre_mm: float
    surface_rms_mm: float | None
    share_within_3mm: float | None
    float_mm: float | None
    sweep_points: int
    expected_parts: tuple[ErrorPart, ...]
    accepted_utc_ns: int
    expires_ns: int

    @classmethod
    def of_fit(
        cls, fit: Registration, kind: Kind, first: Transform | None, registered: dict[str, Point], clock: Clock, valid_ns: int
    ) -> "Standing":
        """A fit that a person takes now."""
        return cls(
            kind=kind,
            verdict=str(fit.verdict),
            warnings=tuple(str(each) for each in fit.warnings),
            mri_from_head=fit.mri_from_head,
            first_mri_from_head=first or fit.mri_from_head,
            registered=registered,
            fre_mm=fit.fre_mm,
            surface_rms_mm=fit.surface_rms_mm,
            share_within_3mm=fit.share_within_3mm,
            float_mm=fit.signed_mean_mm,
            sweep_points=fit.sweep_points,
            expected_parts=fit.expected_parts,
            accepted_utc_ns=clock.utc_ns(),
            expires_ns=clock.mono_ns() + valid_ns,
        )

    @classmethod
    def of_entry(cls, entry: Accepted, clock: Clock) -> "Standing":
        """As an earlier run of the daemon left it."""
        return cls(
            kind=entry.kind,
            verdict=entry.verdict,
            warnings=entry.warnings,
            mri_from_head=Transform("mri", "head", np.array(entry.mri_from_head)),
            first_mri_from_head=Transform("mri", "head", np.array(entry.first_mri_from_head)),
            registered=entry.registered,
            fre_mm=entry.fre_mm,
            surface_rms_mm=entry.surface_rms_mm,
            share_within_3mm=entry.share_within_3mm,
            float_mm=entry.float_mm,
            sweep_points=entry.sweep_points,
            expected_parts=tuple(ErrorPart(Part(name), mm) for name, mm in entry.expected_parts_mm.items()),
            accepted_utc_ns=entry.accepted_utc_ns,
            expires_ns=clock.mono_ns() + entry.expires_utc_ns - clock.utc_ns(),
        )

    def entry(self, by: str, clock: Clock) -> Accepted:
        """As it is stored."""
        return Accepted(
            by=by,
            kind=self.kind,
            verdict=self.verdict,
            warnings=self.warnings,
            mri_from_head=rows(self.mri_from_head),
            first_mri_from_head=rows(self.first_mri_from_head),
            registered=self.registered,
            fre_mm=self.fre_mm,
            surface_rms_mm=self.surface_rms_mm,
            share_within_3mm=self.share_within_3mm,
            float_mm=self.float_mm,
            sweep_points=self.sweep_points,
            expected_parts_mm=parts_mm(self.expected_parts),
            accepted_utc_ns=self.accepted_utc_ns,
            expires_utc_ns=clock.utc_ns() + self.expires_ns - clock.mono_ns(),
        )


def rows(transform: Transform) -> Matrix:
    (a, b, c, d), (e, f, g, h), (i, j, k, m), (n, o, p, q) = transform.matrix.tolist()
    return (a, b, c, d), (e, f, g, h), (i, j, k, m), (n, o, p, q)


def parts_mm(parts: tuple[ErrorPart, ...]) -> dict[str, float]:
    return {str(part.name): part.mm for part in parts}
