"""The guided registration: collects touches and the sweep from frames, has them fitted, keeps what was accepted.

Runs on the daemon's loop; the fit runs in a thread. Geometry and verdict are `calibration.registration`'s.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from calibration.registration import Registration, RegistrationLimits, register
from calibration.rigid_fit import DegeneratePoints
from daemon.alarms import utc_text
from daemon.ipc import Aim, FrameNews
from daemon.messages import RegistrationBody
from daemon.registering import SWEEP_WANTED, Held, Landmarks, Point, Sweep, Touch, tip_in_head_mm
from daemon.treatment import Treatment

VALID_NS = 12 * 3600 * 1_000_000_000  # a treatment day; a strapped reference is not trusted over night
TOUCH_WITHIN_S = 6.0
GUIDED = ("NAS", "LPA", "RPA")


class Registrar:
    """One registration in the making, one accepted."""

    def __init__(self, tip_in_pointer_mm: Callable[[], Point | None], told: Callable[[], None]) -> None:
        self._tip_in_pointer_mm, self._told = tip_in_pointer_mm, told
        self._treatment: Treatment | None = None
        self._landmarks = Landmarks()
        self._sweep: Sweep | None = None
        self._held: Held | None = None
        self._touched: asyncio.Future[Touch] | None = None
        self._phase = "none"
        self.fitted: Registration | None = None
        self.accepted: Registration | None = None
        self._accepted_for: tuple[str, str] | None = None
        self.expires_ns: int | None = None

    # ---- plan ----

    def begin(self, treatment: Treatment) -> bool:
        """A plan was opened. True when the accepted registration still holds for this head and image."""
        self._treatment = treatment
        if self._accepted_for == _head_of(treatment) and self.expires_ns is not None and time.monotonic_ns() < self.expires_ns:
            return True
        self.reset()
        return False

    def reset(self) -> None:
        """Forget everything touched, swept, fitted and accepted."""
        self._landmarks, self._sweep, self._held = Landmarks(), None, None
        self.fitted = self.accepted = self._accepted_for = self.expires_ns = None
        self._phase = "touching" if self._treatment is not None else "none"
        self._told()

    def aim(self) -> Aim | None:
        """What the hot process needs to judge the coil; None while nothing is accepted."""
        treatment, accepted = self._treatment, self.accepted
        if treatment is None or accepted is None or self.expires_ns is None:
            return None
        target = treatment.opened.plan.target
        return Aim(
            mri_from_head=tuple(tuple(row) for row in accepted.mri_from_head.matrix.tolist()),
            mri_from_target=target.mri_from_coil,
            target_in_mri_mm=target.cortical_target_in_mri_mm,
            limits=treatment.on_target,
            registration_expires_ns=self.expires_ns,
            scalp=treatment.scalp_patch,
        )

    # ---- frames ----

    def frame(self, news: FrameNews) -> None:
        """Costs nothing unless something is being touched or swept."""
        if self._held is None and self._phase != "sweeping":
            return
        tools = {sample.tool: sample for sample in news.tools}
        tip_in_pointer_mm = self._tip_in_pointer_mm()
        if tip_in_pointer_mm is None:
            return
        tip = tip_in_head_mm(tools.get("head"), tools.get("pointer"), tip_in_pointer_mm)
        if self._held is not None and self._touched is not None:
            touch = self._held.add(tip, news.exposed_ns)
            if touch is not None and not self._touched.done():
                self._touched.set_result(touch)
        elif self._sweep is not None and self._phase == "sweeping" and self._sweep.add(tip):
            self._told()

    async def touch(self, landmark: str) -> tuple[Touch, float | None, int] | str:
        """Wait for a still tip. Returns the touch, how far from the earlier one, and how many are kept; or why not."""
        if self._tip_in_pointer_mm() is None:
            return "the pointer has no calibration in use: see `atmsd calibrate list`"
        if self._held is not None:
            return "another touch is under way"
        self._held, self._touched = Held(), asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(TOUCH_WITHIN_S):
                touch = await self._touched
        except TimeoutError:
            spread_mm = self._held.spread_mm
            if spread_mm is None:
                return "pointer and head reference were not seen together for a whole second"
            return f"the tip moved by {spread_mm:.1f} mm"
        finally:
            self._held = self._touched = None
        self._landmarks, apart_mm = self._landmarks.with_touch(landmark, touch)
        self._phase = "touching"
        self._told()
        kept = len(self._landmarks.touches[landmark])
        if apart_mm is not None and kept == 0:
            return f"the two touches are {apart_mm:.1f} mm apart: touch it twice again"
        return touch, apart_mm, kept

    @property
    def missing(self) -> tuple[str, ...]:
        """Landmarks that still want a touch."""
        have = self._landmarks.points()
        return tuple(name for name in GUIDED if name not in have)

    def start_sweep(self) -> None:
        self._sweep = self._sweep or Sweep()
        self._phase = "sweeping"
        self._told()

    async def end_sweep(self) -> RegistrationBody | str:
        """Fit to all that was touched and swept. Returns the result, or why there is none."""
        treatment, sweep = self._treatment, self._sweep
        if treatment is None or sweep is None or self._phase != "sweeping":
            return "nothing was swept"
        self._phase = "fitting"
        self._told()
        plan = treatment.opened.plan
        limits = RegistrationLimits(expected_error_mm=plan.expected_error_limit_mm)
        touched, points = self._landmarks.points(), sweep.points_in_head_mm()

        def fit() -> Registration:
            marked = {name: plan.fiducials_in_mri_mm[name] for name in touched}
            target = plan.target.cortical_target_in_mri_mm
            return register(touched, marked, points, treatment.scalp, target_in_mri_mm=target, limits=limits)

        try:
            self.fitted = await asyncio.to_thread(fit)
        except DegeneratePoints as error:
            self._phase = "touching"
            self._told()
            return str(error)
        self._phase = "fitted"
        self._told()
        return self.body()

    def accept(self) -> str | None:
        """A person takes the fitted registration. Returns why it cannot be."""
        fitted, treatment = self.fitted, self._treatment
        if fitted is None or treatment is None or self._phase != "fitted":
            return "there is no fitted registration"
        if fitted.reasons:
            return "it must be repeated: " + ", ".join(fitted.reasons)
        self.accepted, self._accepted_for = fitted, _head_of(treatment)
        self.expires_ns = time.monotonic_ns() + VALID_NS
        self._phase = "accepted"
        self._told()
        return None

    # ---- telling ----

    def body(self) -> RegistrationBody:
        touches = {name: len(kept) for name, kept in self._landmarks.touches.items()}
        swept = 0 if self._sweep is None else self._sweep.count
        plain = RegistrationBody(phase=self._phase, touches=touches, sweep_points=swept, sweep_wanted=SWEEP_WANTED)
        fit = self.accepted or self.fitted
        if fit is None or self._treatment is None:
            return plain
        left_ns = None if self.expires_ns is None else self.expires_ns - time.monotonic_ns()
        return msgspec.structs.replace(
            plain,
            fre_mm=fit.fre_mm,
            surface_rms_mm=fit.surface_rms_mm,
            share_within_3mm=fit.share_within_3mm,
            float_mm=fit.signed_mean_mm,
            expected_error_mm=fit.expected_error_mm,
            expected_error_limit_mm=self._treatment.opened.plan.expected_error_limit_mm,
            verdict=str(fit.verdict),
            reasons=tuple(fit.reasons),
            warnings=tuple(fit.warnings),
            valid_until_utc=None if left_ns is None else utc_text(time.time() + left_ns / 1e9),
        )


def _head_of(treatment: Treatment) -> tuple[str, str]:
    """What a registration belongs to: this patient's head in this image."""
    plan = treatment.opened.plan
    return plan.patient, plan.files.t1.sha256
