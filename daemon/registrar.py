"""The guided registration: collects touches and the sweep from frames, has them fitted, keeps what was accepted and watches that it holds.

Runs on the daemon's loop; fits and writes run in threads. Geometry and verdict are `calibration.registration`'s, what is a touch
`registering`'s, whether the reference still sits `reference_check`'s. Nothing counts before it is stored.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from calibration.coverage import HeadMap
from calibration.expected_error import ErrorPart, Part, total_mm
from calibration.frames import Transform
from calibration.registration import SWAP_TRIED_ABOVE_MM, Registration, RegistrationLimits, register
from calibration.rigid_fit import DegeneratePoints, fit_rigid, refuse_duplicates, suggest_swap
from daemon.config import Config
from daemon.ipc import Aim, FrameNews
from daemon.pointer import Pointer
from daemon.reference_check import LEFT_EAR, SCALP, WHOLE, CheckLimits, ReferenceCheck, nearest_landmark
from daemon.reference_watch import ReferenceWatch
from daemon.registering import TOUCHES_FULL, TOUCHES_QUICK, Landmarks, Point, Touch
from daemon.registration_standing import Clock, Kind, Standing, parts_mm, rows
from daemon.registration_store import (
    AnyEntry,
    Checked,
    Fitted,
    HeadKey,
    RegistrationStore,
    Rejected,
    Restored,
    StoreTrouble,
    Swept,
    TakenBack,
    Touched,
    tools_sha256,
)
from daemon.sweeping import FULL, QUICK, Sweep
from daemon.treatment import Treatment
from drivers.values import ToolSample

HOUR_NS, MINUTE_S = 3_600_000_000_000, 60.0
TELL_EVERY_NS = 100_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The head at hand: whose, by which tools, its zones, and what was accepted of it earlier today."""

    treatment: Treatment
    key: HeadKey
    map: HeadMap
    remembered: Standing | None

    @property
    def marked(self) -> tuple[str, ...]:
        """The plan's landmarks, nose and ears first."""
        names = self.treatment.opened.plan.fiducials_in_mri_mm
        return (*WHOLE, *(name for name in names if name not in WHOLE))


class Tools(Protocol):
    """The definitions of the tools and the pointer's tip in use now."""

    @property
    def rom_sha256(self) -> Mapping[str, str]: ...

    def tip_in_pointer_mm(self) -> Point | None:
        """None while no calibration may be used."""


class Registrar:
    """One registration in the making, one standing."""

    def __init__(
        self, config: Config, tools: Tools, store: RegistrationStore, told: Callable[[], None], clock: Clock | None = None
    ) -> None:
        self._config, self._tools, self._store, self._told = config, tools, store, told
        self.clock = clock or Clock()
        asked = config.registration
        self.check_limits = CheckLimits(
            warn_mm=asked.check_warn_mm, block_mm=asked.check_block_mm, valid_s=asked.check_valid_min * MINUTE_S
        )
        self.head: Head | None = None
        self.standing: Standing | None = None
        self.check: ReferenceCheck | None = None
        self._watch = ReferenceWatch()
        self.maybe_moved = False
        self.pointer = Pointer(tools.tip_in_pointer_mm, self.clock.mono_ns)
        self._next_told_ns = 0
        self._clear("none")

    def _clear(self, phase: str, kind: Kind = "full", first: Transform | None = None) -> None:
        """Forget what is in the making."""
        self.phase, self.kind, self._first = phase, kind, first
        self.landmarks = Landmarks(wanted=TOUCHES_FULL if kind == "full" else TOUCHES_QUICK)
        self.sweep: Sweep | None = None
        self.fitted: Registration | None = None
        self.left_ear: Touch | None = None
        self.is_later_session = False

    # ---- plan ----

    def look_up(self, treatment: Treatment) -> Head:
        """All that is to be known of a plan's head. Reads the day's file: not for the loop."""
        plan = treatment.opened.plan
        marks = plan.fiducials_in_mri_mm
        entry_mm = treatment.scalp.closest([[row[3] for row in plan.target.mri_from_coil[:3]]]).points_mm[0]
        key = HeadKey(
            patient=plan.patient,
            t1_sha256=plan.files.t1.sha256,
            scalp_sha256=plan.files.scalp.sha256,
            tools_sha256=self._tools_sha256(),
        )
        accepted = self._store.accepted_today(key)
        remembered = None if accepted is None else Standing.of_entry(accepted, self.clock)
        return Head(treatment, key, HeadMap.of(marks["NAS"], marks["LPA"], marks["RPA"], entry_mm), remembered)

    def _tools_sha256(self) -> str:
        definitions = {name: self._tools.rom_sha256[name] for name in ("head", "pointer")}
        return tools_sha256(definitions, self._tools.tip_in_pointer_mm())

    def begin(self, head: Head) -> bool:
        """A plan was opened. True when the standing registration is of this very head; it must then be checked again."""
        is_same = self.head is not None and self.head.key == head.key and self.standing is not None and self.check is not None
        self.head = head
        if is_same and self.standing is not None and self.check is not None and self.clock.mono_ns() < self.standing.expires_ns:
            self._clear("accepted")
            self.check, self.is_later_session = self.check.due_again(), True
            self._told()
            return True
        self._drop_standing()
        self._clear("touching")
        if head.remembered is not None:  # of an earlier run: nothing is known of what happened to the strap since
            self.phase = "restored"
            self.check = ReferenceCheck(registered=head.remembered.registered, has_slipped=True)
        self._told()
        return False

    def _drop_standing(self) -> None:
        self.standing = self.check = None

    def forget(self) -> None:
        """What was touched with another pointer no longer counts; nothing of it is remembered, for it is stored with that pointer's tip."""
        self._drop_standing()
        self._clear("touching" if self.head is not None else "none")
        self._told()

    async def reject(self, by: str) -> str | None:
        """Forget everything touched, swept, fitted and accepted. Returns why it cannot be stored; it is forgotten all the same."""
        self._drop_standing()
        self._clear("touching" if self.head is not None else "none")
        self._told()
        return await self._store_all(Rejected(by=by))

    def start_quick(self) -> str | None:
        """A later session: three touches and a short sweep, held against the day's first registration."""
        if self.standing is None or self.phase != "accepted":
            return "there is no registration of this head to compare with"
        self._clear("touching", "quick", self.standing.first_mri_from_head)
        self._drop_standing()
        self._told()
        return None

    def aim(self) -> Aim | None:
        """What the hot process needs to judge the coil; None while nothing stands."""
        if self.head is None or self.standing is None or self.check is None:
            return None
        target = self.head.treatment.opened.plan.target
        return Aim(
            mri_from_head=rows(self.standing.mri_from_head),
            mri_from_target=target.mri_from_coil,
            target_in_mri_mm=target.cortical_target_in_mri_mm,
            limits=self.head.treatment.on_target,
            registration_expires_ns=self.standing.expires_ns,
            check_expires_ns=self.check.expires_ns(self.check_limits),
            reference_holds=not self.check.has_slipped,
            scalp=self.head.treatment.scalp_patch,
        )

    @property
    def expected_parts(self) -> tuple[ErrorPart, ...]:
        """Of the standing registration, with what the last check could not exclude; of the fit at hand where none stands."""
        if self.standing is None:
            return () if self.fitted is None else self.fitted.expected_parts
        slip_mm = None if self.check is None else self.check.rms_mm
        return (*self.standing.expected_parts, *(() if slip_mm is None else (ErrorPart(Part.SLIP, slip_mm),)))

    @property
    def expected_error_mm(self) -> float | None:
        """1 sigma at the target, while a registration stands."""
        return None if self.standing is None else total_mm(self.expected_parts)

    @property
    def wants_quick(self) -> bool:
        """A later session is to be registered quickly, where a check alone would do too."""
        return self._config.registration.later_sessions == "quick"

    # ---- frames ----

    def frame(self, news: FrameNews) -> None:
        """One camera frame."""
        if self.head is None:
            return
        self._look_for_jump({sample.tool: sample for sample in news.tools}, news.exposed_ns)
        tip, now_ns = self.pointer.frame(news), self.clock.mono_ns()
        is_sweeping = self.sweep is not None and self.phase == "sweeping"
        if is_sweeping and self.sweep is not None:
            self.sweep.add(tip, news.exposed_ns or now_ns)
        if (is_sweeping or self.pointer.held is not None) and now_ns >= self._next_told_ns:
            self._next_told_ns = now_ns + TELL_EVERY_NS
            self._told()

    def _look_for_jump(self, tools: dict[str, ToolSample], exposed_ns: int | None) -> None:
        if self._watch.frame(tools.get("head"), tools.get("coil"), exposed_ns) and self.standing is not None and not self.maybe_moved:
            self.maybe_moved = True
            self._told()

    # ---- landmarks ----

    @property
    def missing(self) -> tuple[str, ...]:
        """Landmarks without which nothing can be fitted and that still want a touch."""
        have = self.landmarks.points()
        return tuple(name for name in WHOLE if name not in have)

    @property
    def next_landmark(self) -> str | None:
        """Which is to be touched next."""
        return None if self.head is None or self.phase != "touching" else self.landmarks.next_of(self.head.marked)

    async def touch(self, landmark: str | None, *, at_once: bool) -> tuple[str, Touch, float | None, int] | str:
        """Take a touch of a landmark, the next one where none is named. Returns its name, the touch, how far it is from the earlier one
        and how many are kept; or why not."""
        name = landmark or self.next_landmark
        if name is None:
            return "every landmark has been touched: name the one to touch again"
        touch = await self.pointer.take(at_once=at_once)
        if isinstance(touch, str):
            return touch
        landmarks, apart_mm = self.landmarks.with_touch(name, touch)
        kept = len(landmarks.touches[name])
        entry = Touched(
            landmark=name,
            tip_in_head_mm=touch.tip_in_head_mm,
            spread_mm=touch.spread_mm,
            frames=touch.frames,
            taken=touch.taken,
            apart_mm=apart_mm,
            is_kept=kept > 0,
        )
        if (trouble := await self._store_all(entry)) is not None:
            return trouble
        if self.phase == "restored":
            self._drop_standing()
        self.landmarks, self.fitted, self.left_ear, self.phase = landmarks, None, None, "touching"
        self._told()
        if apart_mm is not None and kept == 0:
            return f"the two touches are {apart_mm:.1f} mm apart: touch it again from the beginning"
        return name, touch, apart_mm, kept

    async def retake(self, landmark: str) -> str | None:
        """Take back all touches of one landmark."""
        if not self.landmarks.touches.get(landmark):
            return f"{landmark} has not been touched"
        return await self._take_back(self.landmarks.without(landmark), f"all touches of {landmark}")

    async def undo(self) -> str | None:
        """Take back the last stroke of the sweep, or the last touch."""
        if self.phase == "sweeping" and self.sweep is not None:
            points = self.sweep.undo()
            self._told()
            return await self._store_all(TakenBack(what=f"{points} swept points")) if points else "nothing has been swept yet"
        undone = self.landmarks.undone()
        if undone is None:
            return "nothing has been touched yet"
        landmarks, landmark = undone
        return await self._take_back(landmarks, f"the last touch of {landmark}")

    async def _take_back(self, landmarks: Landmarks, what: str) -> str | None:
        if (trouble := await self._store_all(TakenBack(what=what))) is not None:
            return trouble
        self.landmarks, self.fitted, self.left_ear, self.phase = landmarks, None, None, "touching"
        self._told()
        return None

    # ---- sweep and fit ----

    def start_sweep(self) -> str | None:
        """Returns why the scalp cannot be swept yet."""
        if self.head is None:
            return "no plan is open"
        if self.missing:
            return f"landmarks are missing: {', '.join(self.missing)}"
        marks, touched = self.head.treatment.opened.plan.fiducials_in_mri_mm, self.landmarks.points()
        from_mm, to_mm = (np.array([points[name] for name in touched]) for points in (touched, marks))
        try:
            refuse_duplicates(touched)
            fit = fit_rigid(from_mm, to_mm)
        except DegeneratePoints as error:
            return str(error)
        swap = suggest_swap(from_mm, to_mm, tuple(touched)) if fit.fre_mm > SWAP_TRIED_ABOVE_MM else None
        if swap is not None:
            return f"{swap.labels[0]} and {swap.labels[1]} seem to have been exchanged: touch both again"
        wanted = FULL if self.kind == "full" else QUICK
        if self.sweep is None or self.fitted is None:
            self.sweep = Sweep(wanted, fit.transform("mri", "head"), self.head.treatment.scalp, self.head.map)
        self.phase, self.fitted, self.left_ear = "sweeping", None, None
        self._told()
        return None

    async def end_sweep(self) -> str | None:
        """Fit to all that was touched and swept. Returns why there is no result; where only points are missing the sweep goes on."""
        sweep = self.sweep
        if self.head is None or sweep is None or self.phase != "sweeping":
            return "nothing was swept"
        if (lacking := sweep.lacking()) is not None:
            return lacking
        self.phase = "fitting"
        self._told()
        try:
            self.fitted = await asyncio.to_thread(self._fit, self.head, sweep)
        except DegeneratePoints as error:
            self.phase = "touching"
            self._told()
            return str(error)
        x_y_z = [(x, y, z) for x, y, z in sweep.points_in_head_mm().tolist()]
        trouble = await self._store_all(
            Swept(points_in_head_mm=tuple(x_y_z), rejected=dict(sweep.rejected)), _fit_entry(self.fitted, self.kind)
        )
        self.phase = "fitted" if trouble is None else "sweeping"
        self._told()
        return trouble

    def _fit(self, head: Head, sweep: Sweep) -> Registration:
        plan, asked = head.treatment.opened.plan, self._config.registration
        touched = self.landmarks.points()
        return register(
            touched,
            {name: plan.fiducials_in_mri_mm[name] for name in touched},
            sweep.points_in_head_mm(),
            head.treatment.scalp,
            target_in_mri_mm=plan.target.cortical_target_in_mri_mm,
            limits=RegistrationLimits(
                surface_rms_good_mm=min(RegistrationLimits().surface_rms_good_mm, asked.surface_rms_mm),
                surface_rms_mm=asked.surface_rms_mm,
                expected_error_mm=plan.expected_error_limit_mm,
                change_at_target_mm=asked.quick_at_target_mm,
                change_turn_deg=asked.quick_turn_deg,
            ),
            first_mri_from_head=self._first,
        )

    async def accept(self, by: str) -> str | None:
        """A person takes the fitted registration. Returns why it cannot be."""
        fitted = self.fitted
        if fitted is None or self.head is None or self.phase != "fitted":
            return "there is no fitted registration"
        if fitted.reasons:
            return "it must be repeated: " + ", ".join(fitted.reasons)
        if self.left_ear is None:
            return "the patient's left ear has not been touched since the fit"
        valid_ns = round(self._config.registration.valid_h * HOUR_NS)
        standing = Standing.of_fit(fitted, self.kind, self._first, self.landmarks.points(), self.clock, valid_ns)
        if (trouble := await self._store_all(standing.entry(by, self.clock))) is not None:
            return trouble
        check = ReferenceCheck(registered=standing.registered, wanted=(LEFT_EAR,))
        self.check = check.with_touch(LEFT_EAR, self.left_ear.tip_in_head_mm, self.clock.mono_ns(), self.check_limits)
        self.standing, self.phase, self.maybe_moved = standing, "accepted", False
        self._told()
        return None

    # ---- checks ----

    async def check_touch(self, landmark: str | None, *, at_once: bool, by: str) -> tuple[str, float, bool] | str:
        """Touch a landmark again. Returns its name, its distance from its place, mm, and whether it completes a check; or why not."""
        if self.phase == "fitted":
            return await self._confirm_left_ear(landmark, at_once, by)
        check, standing = self.check, self.standing or (None if self.head is None else self.head.remembered)
        if check is None or standing is None or self.head is None or self.phase not in ("accepted", "restored"):
            return "there is no registration to be checked"
        name = landmark or next(iter(check.missing), check.wanted[0])
        if name != SCALP and name not in check.registered:
            return f"{name} was not touched at the registration; touch {', '.join(check.registered)} or {SCALP}"
        touch = await self.pointer.take(at_once=at_once)
        if isinstance(touch, str):
            return touch
        now_ns = self.clock.mono_ns()
        if name == SCALP:
            in_mri = standing.mri_from_head.apply(touch.tip_in_head_mm)
            off_mm = float(self.head.treatment.scalp.closest(in_mri[None]).signed_mm[0]) - (standing.float_mm or 0.0)
            after = check.with_scalp(off_mm, now_ns, self.check_limits)
        else:
            after = check.with_touch(name, touch.tip_in_head_mm, now_ns, self.check_limits)
        distance_mm, passed = after.history[-1].distance_mm, after.passed_ns == now_ns
        slipped = not distance_mm <= self.check_limits.block_mm
        entries: list[AnyEntry] = [
            Checked(by=by, landmark=name, tip_in_head_mm=touch.tip_in_head_mm, distance_mm=distance_mm, passed=passed, slipped=slipped)
        ]
        if passed and self.phase == "restored":
            entries.append(Restored(by=by, accepted_utc_ns=standing.accepted_utc_ns))
        if (trouble := await self._store_all(*entries)) is not None:
            return trouble
        self._after_check(after, standing, passed, slipped)
        return name, distance_mm, passed

    def _after_check(self, after: ReferenceCheck, standing: Standing, passed: bool, slipped: bool) -> None:
        self.check = after
        if passed:
            self.standing, self.phase, self.maybe_moved = standing, "accepted", False
        elif slipped and self.phase == "restored":
            self._drop_standing()
            self._clear("touching")
        self._told()

    async def _confirm_left_ear(self, landmark: str | None, at_once: bool, by: str) -> tuple[str, float, bool] | str:
        """The first touch after a fit: a person says, with the tip on it, which side is the left."""
        if landmark not in (None, LEFT_EAR):
            return "the first touch after the fit is the patient's LEFT ear"
        touch = await self.pointer.take(at_once=at_once)
        if isinstance(touch, str):
            return touch
        registered = self.landmarks.points()
        check = ReferenceCheck(registered=registered, wanted=(LEFT_EAR,))
        found = check.with_touch(LEFT_EAR, touch.tip_in_head_mm, self.clock.mono_ns(), self.check_limits)
        distance_mm = found.history[-1].distance_mm
        entry = Checked(
            by=by,
            landmark=LEFT_EAR,
            tip_in_head_mm=touch.tip_in_head_mm,
            distance_mm=distance_mm,
            passed=not found.has_slipped,
            slipped=found.has_slipped,
        )
        if (trouble := await self._store_all(entry)) is not None:
            return trouble
        if found.has_slipped and nearest_landmark(touch.tip_in_head_mm, registered) != LEFT_EAR:
            nearest = nearest_landmark(touch.tip_in_head_mm, registered)
            return f"that is {nearest} by this registration, not the left ear: left and right may be exchanged, or the image mirrored"
        if found.has_slipped:
            return f"the left ear is {distance_mm:.1f} mm from where it was touched before"
        self.left_ear = touch
        self._told()
        return LEFT_EAR, distance_mm, True

    # ---- storing ----

    async def _store_all(self, *entries: AnyEntry) -> str | None:
        """Returns why something is not stored."""
        head = self.head
        if head is None:
            return None

        def write() -> None:
            for entry in entries:
                self._store.append(head.key, head.treatment.opened.sha256, entry)

        try:
            await asyncio.to_thread(write)
        except StoreTrouble as trouble:
            return str(trouble)
        return None


def _fit_entry(fit: Registration, kind: Kind) -> Fitted:
    return Fitted(
        kind=kind,
        verdict=str(fit.verdict),
        reasons=tuple(str(each) for each in fit.reasons),
        warnings=tuple(str(each) for each in fit.warnings),
        fre_mm=fit.fre_mm,
        surface_rms_mm=fit.surface_rms_mm,
        expected_error_mm=fit.expected_error_mm,
        expected_parts_mm=parts_mm(fit.expected_parts),
        mri_from_head=rows(fit.mri_from_head),
    )
