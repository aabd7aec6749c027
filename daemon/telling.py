"""Telemetry: what is known, as the bodies that clients read. Decides nothing; publishes what changed and what is due."""

import time
from datetime import UTC, datetime

from calibration.frames import rotation_from_quaternion
from daemon.alarms import utc_text
from daemon.bus import Bus
from daemon.day import DayVerdict
from daemon.error_telling import ErrorTelling, numbers
from daemon.gate import ONLY_THE_GRANT, Veto
from daemon.ipc import BurstPlaced, FrameNews, GateNews, StimNews, TrackerNews
from daemon.limits import Limits
from daemon.messages import (
    CoilErrorBody,
    CoilPoseBody,
    DoseBody,
    GateBody,
    Heartbeat,
    Priority,
    PulseBody,
    RequestBody,
    SessionBody,
    Step,
    StimBody,
    ToolBody,
    ToolsBody,
    TrainBody,
    Word,
)
from daemon.mt_chair import Search
from daemon.mt_telling import mt_body
from daemon.mt_values import Pose
from daemon.pacing import next_onset
from daemon.reasons import reasons
from daemon.session_words import Session
from daemon.tracker_stats import TrackerStats
from daemon.treatment import Treatment
from drivers.values import StimReport, TrackerIdentity

LOST_NS = 250_000_000  # the newest frame is older than this: no number survives
TOOLS_NS = 200_000_000
HELD_OFF = frozenset({Veto.STIM_NOT_READY, Veto.SETTINGS_DIFFER})  # a held device is disabled and prepared anew under its next grant


class Telling:
    """The newest of everything, and how it is told."""

    def __init__(self, bus: Bus, chair: str, tracker_kind: str) -> None:
        self._bus, self._chair = bus, chair
        self.frame: FrameNews | None = None
        self.gate: GateNews | None = None
        self.stim: StimReport | None = None
        self.tracker: TrackerNews | None = None
        self.identity: TrackerIdentity | None = None
        self.errors = ErrorTelling()
        self.expected_error_mm: float | None = None
        self.stats = TrackerStats(tracker_kind)
        self._lost_told = False
        self._next_tools_ns = 0
        self._tools_seen: tuple[bool, ...] = ()

    # ---- from the hot process ----

    def on_frame(self, news: FrameNews, now_ns: int) -> None:
        self.frame = news
        self._lost_told = False
        self.stats.on_frame(news)
        self._bus.publish("v1/coil/error", self.errors.body(news, now_ns, self.expected_error_mm), valid=news.error is not None)
        body = CoilPoseBody(
            frame_number=news.frame_number,
            exposed_ns=news.exposed_ns,
            coil_in_mri_mm=news.coil_in_mri_mm,
            mri_from_coil_wxyz=news.mri_from_coil_wxyz,
        )
        self._bus.publish("v1/coil/pose", body, valid=news.coil_in_mri_mm is not None)
        seen = tuple(sample.wxyz is not None for sample in news.tools)
        if seen != self._tools_seen or now_ns >= self._next_tools_ns:
            self._tools_seen, self._next_tools_ns = seen, now_ns + TOOLS_NS
            self.tell_tools()

    def on_tracker(self, news: TrackerNews) -> None:
        self.tracker = news
        self.identity = news.identity or self.identity
        self.stats.frame_hz = None if self.identity is None else self.identity.frame_hz
        self.tell_tools()

    def on_stim(self, news: StimNews, now_ns: int) -> None:
        report = self.stim = news.report
        body = StimBody(
            state=report.state,
            model=report.model,
            serial=report.serial,
            enabled=report.enabled,
            running=report.running,
            temperature_c=report.temperature_c,
            coil_type=report.coil_type,
            amplitude_pct_mso=report.amplitude_pct_mso,
            fault=report.fault,
            simulated=report.simulated,
            age_ms=(now_ns - report.received_ns) / 1e6 if report.received_ns else None,
        )
        self._bus.publish("v1/stim", body, severity=Priority.NONE if report.fault is None else Priority.HIGH)

    # ---- what follows from it ----

    def tracking_lost(self, now_ns: int) -> bool:
        return self.frame is None or now_ns - self.frame.received_ns > LOST_NS

    def tell_loss(self, now_ns: int) -> None:
        """Once the newest frame is too old, say so with empty numbers: no client may keep the last ones."""
        if self._lost_told or not self.tracking_lost(now_ns):
            return
        self._lost_told = True
        empty = CoilErrorBody(frame_number=None, exposed_ns=None, age_ms=None, on_target=False, settling=False)
        self._bus.publish("v1/coil/error", empty, severity=Priority.MEDIUM, valid=False)
        self.tell_tools()

    def tell_stats(self, now_ns: int) -> None:
        """How well the tracker serves, once a second."""
        body = self.stats.body(now_ns)
        if body is not None:
            self._bus.publish("v1/tracker", body, valid=body.frames > 0)

    def tell_pulses(self, burst: BurstPlaced) -> None:
        """Where the coil was at each pulse of a burst."""
        for number, place in enumerate(burst.pulses, 1):
            body = PulseBody(
                grant_no=burst.grant_no,
                train=burst.train,
                burst=burst.burst,
                pulse=number,
                at_ns=place.at_ns,
                how=place.how,
                pose_age_ms=place.pose_age_ms,
                pose_span_ms=place.pose_span_ms,
                fit_rms_mm=place.fit_rms_mm,
                good=place.good,
                coil_in_mri_mm=place.coil_in_mri_mm,
                mri_from_coil_wxyz=place.mri_from_coil_wxyz,
                error=None if place.error is None else numbers(place.error),
            )
            self._bus.publish("v1/pulse", body, valid=place.good)

    def tell_tools(self) -> None:
        tracker = self.tracker
        lost = self.tracking_lost(time.monotonic_ns())
        tools = () if self.frame is None else self.frame.tools
        body = ToolsBody(
            tracker="lost" if tracker is None or (lost and tracker.state == "tracking") else tracker.state,
            why="" if tracker is None else tracker.why,
            remedy="" if tracker is None else tracker.remedy,
            frame_hz=None if self.identity is None else self.identity.frame_hz,
            tools=tuple(
                ToolBody(
                    tool=sample.tool,
                    seen=sample.wxyz is not None and not lost,
                    why=sample.unseen if not lost else "tracking lost",
                    fit_rms_mm=sample.fit_rms_mm if not lost else None,
                )
                for sample in tools
            ),
        )
        self._bus.publish("v1/tools", body, severity=Priority.MEDIUM if lost else Priority.NONE, valid=not lost)

    def blocking(self, state: Session) -> tuple[str, ...]:
        """Vetoes that only a person or time can lift; empty means that a start or resume would be obeyed."""
        if self.gate is None:
            return (Veto.DAEMON_LATE,)
        harmless = ONLY_THE_GRANT | HELD_OFF if state.step is Step.HOLD else ONLY_THE_GRANT
        return tuple(veto for veto in self.gate.vetoes if veto not in harmless)

    def word(self, state: Session, now_ns: int) -> Word:
        if state.step is Step.STOPPED:
            return Word.STOP
        if self.tracking_lost(now_ns):
            return Word.TRACKING_LOST
        simple = {Step.DELIVER: Word.FIRING, Step.HOLD: Word.PAUSED}
        if state.step in simple:
            return simple[state.step]
        if state.step is Step.ARMED and not self.blocking(state):
            return Word.READY
        if state.step not in (Step.AIM, Step.ARMED):
            return Word.AIM
        on_target = self.frame is not None and self.frame.on_target
        return Word.HOLD if on_target or state.step is Step.ARMED else Word.AIM

    def tell_gate(self, state: Session, now_ns: int) -> None:
        gate = self.gate
        in_session = state.step in (Step.DELIVER, Step.HOLD)
        lines = () if gate is None else reasons(gate.vetoes, gate.off_target, in_session)
        body = GateBody(
            open=gate is not None and not gate.vetoes,
            may_start=state.step in (Step.ARMED, Step.HOLD) and not self.blocking(state),
            word=self.word(state, now_ns),
            reasons=lines,
        )
        worst = lines[0].priority if lines else Priority.NONE
        self._bus.publish("v1/gate", body, severity=worst, valid=gate is not None)

    # ---- the session ----

    def tell_session(self, state: Session, treatment: Treatment | None, hardware_stop_tested: bool, now_ns: int) -> None:
        course = state.course
        plan = None if treatment is None else treatment.opened.plan
        body = SessionBody(
            state_rev=state.rev,
            step=state.step,
            word=self.word(state, now_ns),
            patient=None if course is None else course.patient,
            target=None if course is None or plan is None else plan.target.token,
            plan_sha256=None if course is None or treatment is None else treatment.opened.sha256,
            protocol=None if course is None else course.protocol,
            session_id=state.session_id,
            set_point_mso=None if course is None else course.settings.amplitude_pct_mso,
            trains_planned=None if course is None else course.trains,
            trains_done=state.trains_done,
            trains_broken=state.trains_broken,
            pulses_planned=None if course is None else course.pulses,
            pulses_delivered=state.pulses,
            armed=state.armed,
            held_why=state.held_why,
            stopped_why=state.stopped_why,
            resume_until_mono_ns=state.resume_until_ns,
            end_utc=_end_utc(state, now_ns),
            hardware_stop_tested=hardware_stop_tested,
            warnings=() if treatment is None or course is None else treatment.warnings,
        )
        severity = {Step.STOPPED: Priority.HIGH, Step.HOLD: Priority.MEDIUM}.get(state.step, Priority.NONE)
        self._bus.publish("v1/session", body, severity=severity)

    def tell_train(self, state: Session, now_ns: int) -> None:
        course = state.course
        if course is None:
            return
        pending = state.pending
        stage = "done" if state.next_train > course.trains else "waiting" if pending is None else pending.stage
        onset_ns = next_onset(course.pace, now_ns, state.last_onset_ns, state.last_pulse_ns, state.last_broken)
        body = TrainBody(
            train=min(state.next_train, course.trains),
            trains=course.trains,
            state="broken" if state.last_broken and pending is None else stage,
            bursts_seen=self.gate.burst if self.gate is not None and stage == "running" else 0,
            bursts=course.settings.bursts,
            pulses_session=state.pulses,
            pulses_planned=course.pulses,
            next_train_mono_ns=None if state.step is not Step.DELIVER else onset_ns if pending is None else pending.not_before_ns,
        )
        self._bus.publish("v1/train", body)

    def mri_from_coil(self) -> Pose | None:
        """Where the coil is in the image at the newest frame, rows, mm; None before a registration or while it is not seen."""
        frame = self.frame
        if frame is None or frame.coil_in_mri_mm is None or frame.mri_from_coil_wxyz is None or self.tracking_lost(time.monotonic_ns()):
            return None
        (a, b, c), (d, e, f), (g, h, i) = rotation_from_quaternion(frame.mri_from_coil_wxyz).tolist()
        x, y, z = frame.coil_in_mri_mm
        return ((a, b, c, x), (d, e, f, y), (g, h, i, z), (0.0, 0.0, 0.0, 1.0))

    def tell_threshold(self, search: Search, pulses_before: int | None, limits: Limits | None) -> None:
        self._bus.publish("v1/mt", mt_body(search, pulses_before, limits))

    def tell_request(self, body: RequestBody) -> None:
        self._bus.publish("v1/request", body, severity=Priority.NONE if body.accepted else Priority.LOW)

    def tell_dose(self, body: DoseBody) -> None:
        self._bus.publish("v1/dose", body, severity=Priority.NONE if body.allowed_now else Priority.LOW)

    def tell_heartbeat(self, state: Session, operator: str | None, hot_heard_ns: int | None, now_ns: int) -> None:
        body = Heartbeat(
            state_rev=state.rev,
            step=state.step,
            chair=self._chair,
            operator=operator,
            hot_age_ms=None if hot_heard_ns is None else (now_ns - hot_heard_ns) / 1e6,
        )
        self._bus.publish("v1/hb", body)


def dose_body(patient: str, verdict: DayVerdict, limits: Limits) -> DoseBody:
    earliest = verdict.earliest_utc_us
    return DoseBody(
        patient=patient,
        sessions_today=verdict.sessions_today,
        sessions_limit=limits.max_sessions_per_day,
        pulses_today=verdict.pulses_today,
        pulses_limit=limits.max_pulses_per_day,
        min_gap_s=limits.min_gap_s,
        allowed_now=verdict.is_allowed,
        reasons=tuple(str(reason) for reason in verdict.reasons),
        earliest_utc=None if earliest is None else utc_text(earliest / 1e6),
    )


def _end_utc(state: Session, now_ns: int) -> str | None:
    """When the last train would end if nothing else held it up."""
    course = state.course
    if course is None or state.step not in (Step.ARMED, Step.DELIVER, Step.HOLD) or state.next_train > course.trains:
        return None
    onset_ns = next_onset(course.pace, now_ns, state.last_onset_ns, state.last_pulse_ns, state.last_broken)
    if state.pending is not None and state.pending.stage == "running" and state.last_onset_ns is not None:
        onset_ns = state.last_onset_ns
    left_ns = (course.trains - state.next_train) * course.pace.train_period_ns + course.pace.train_length_ns
    return datetime.fromtimestamp(time.time() + (onset_ns - now_ns + left_ns) / 1e9, UTC).isoformat(timespec="seconds")
