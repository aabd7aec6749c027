"""The hot process: one blocking loop over tracker, stimulator and daemon. No asyncio, no disk, no logging.

Order of every turn: read all, judge every frame, decide, write the stimulator's bytes, only then publish.
Started by the supervisor with inherited descriptors; leaves the device disabled whatever ends it.
"""

import argparse
import contextlib
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
import uuid
from pathlib import Path

from daemon.aiming import Aiming
from daemon.calibration_in_force import CalibrationInForce
from daemon.config import Config, load_config
from daemon.devices import make_dating, make_stimulator, make_tracker_link, stimulator_line
from daemon.firing import Firing
from daemon.gate import BEAT_RUN_NS, STARTS, View, off_target_parts, vetoes
from daemon.hot_links import StimulatorLink
from daemon.ipc import (
    Aim,
    Arm,
    Calibrated,
    Channel,
    ClearAim,
    ClockNews,
    DaemonBeat,
    FromHotOrder,
    GateNews,
    Grant,
    Hello,
    HoldNow,
    HotBeat,
    StimNews,
    StopNow,
    TestStop,
    ToHotBeat,
    ToHotOrder,
    TrackerNews,
    channel_from_fd,
)
from daemon.lifeline import Lifeline
from daemon.pulse_places import PulsePlaces
from daemon.train_account import bursts_seen
from drivers.values import ClockRestart, TrackerAlert, TrackerChanged, TrackerFrame, TrackerIdentity, TrackerState

TURN_NS = 20_000_000  # silence is an event: the loop turns at least this often
BEAT_NS = 20_000_000
GATE_NEWS_NS = 100_000_000  # the gate's reasons are told on change, and this often anyway
STIM_NEWS_NS = 250_000_000
CLOCK_NEWS_NS = 1_000_000_000
FAREWELL_NS = 500_000_000  # time to confirm the disarm when leaving
EX_OK, EX_SOFTWARE, EX_IO = 0, 70, 74
UNSENT_FACTS = 64  # facts waiting for room: beyond a few the record is not open and nothing may start


class Hot:
    """All state of the hot process, and its turn."""

    def __init__(
        self, config: Config, beats: Channel[ToHotBeat], orders: Channel[ToHotOrder], news: Channel[object], life: Lifeline
    ) -> None:
        self.run_id = uuid.uuid4().hex
        self.beats, self.orders, self.news, self.life = beats, orders, news, life
        self.calibration = CalibrationInForce.at_start(config.tools.coil)
        self.aiming = Aiming(self.calibration.coiltool_from_coil, make_dating(config))
        self.firing = Firing(make_stimulator(config), self.run_id, self._pose_now)
        self.tracker = make_tracker_link(config)
        self.stimulator = StimulatorLink(self.firing, stimulator_line(config))
        self.places = PulsePlaces(config.tracker.max_fit_rms_mm)
        self._config = config
        self._beat: DaemonBeat | None = None
        self._facts: list[FromHotOrder] = [Hello(run_id=self.run_id)]
        self._next_beat_ns = self._next_gate_ns = self._next_stim_ns = self._next_clock_ns = 0
        self._told: tuple[object, ...] = ()
        self._dropped = 0
        self._identity: TrackerIdentity | None = None
        self.leaving = False

    def _pose_now(self) -> tuple[float | None, int | None]:
        error = self.aiming.error
        return (None if error is None else error.distance_to_target_mm), self.aiming.exposed_ns

    # ---- one turn ----

    def run(self) -> None:
        now_ns = time.monotonic_ns()
        self.tracker.open(now_ns)
        while not self.leaving:
            self._turn(self._wait())
        self._farewell()

    def _wait(self) -> set[int]:
        now_ns = time.monotonic_ns()
        wake_ns = min(now_ns + TURN_NS, self.tracker.wake_ns, self.firing.wake_ns)
        reads = [self.beats.fileno(), self.orders.fileno(), self.life.fileno(), *self.tracker.reads(), *self.stimulator.reads()]
        writes = [*self.tracker.writes(), *self.stimulator.writes()]
        readable, writable, _ = select.select(reads, writes, [], max(0, wake_ns - now_ns) / 1e9)
        return {*readable, *writable}

    def _turn(self, ready: set[int]) -> None:
        self._listen(ready, time.monotonic_ns())
        now_ns = time.monotonic_ns()  # after the beats were read, so that none of them is of the future
        self.stimulator.turn(ready, now_ns)
        frames = self._look(ready, now_ns)
        view = self._view()
        if self._beat is not None:
            self.firing.driver.may_keep_alive(self._beat.made_ns + BEAT_RUN_NS)
        self.firing.tick(view, now_ns)
        self._facts += self.stimulator.write(now_ns)
        if self.firing.burst_is_leaving:
            self.firing.left(time.monotonic_ns())
        self.places.follow(self.firing.train)
        self._facts += self.places.placed(now_ns)
        self._publish(frames, view, now_ns)

    def _listen(self, ready: set[int], now_ns: int) -> None:
        """What the others say, where something is to be read: asking an empty socket costs more than a frame can spare."""
        if self.life.fileno() in ready:
            self.life.listen()
        if self.beats.fileno() in ready:
            for packet in self.beats.drain():
                match packet:
                    case DaemonBeat():
                        self._beat = packet
                    case StopNow(why=why):
                        self.firing.stop(why, now_ns)
                    case HoldNow(why=why, grant_no=grant_no):
                        self.firing.hold(why, now_ns, void_up_to=grant_no)
        if self.orders.fileno() in ready:
            for order in self.orders.drain():
                self._obey(order, now_ns)
        if self.life.cut or self.beats.closed or self.orders.closed:
            self.leaving = True

    def _obey(self, order: ToHotOrder, now_ns: int) -> None:
        match order:
            case Aim():
                self.aiming.take_aim(order)
                self.places.aim(order, self.aiming.mri_from_target)
            case ClearAim():
                self.aiming.take_aim(None)
                self.places.aim(None, None)
                if not self.firing.armed and not self.firing.busy:
                    gc.collect()  # between sessions, never within one
            case Calibrated():
                self._calibrate(order, now_ns)
            case Arm():
                self.firing.order_arm(order, now_ns)
            case TestStop():
                self.firing.order_test(order, now_ns)
            case Grant():
                self.firing.order_grant(order, now_ns)

    def _calibrate(self, order: Calibrated, now_ns: int) -> None:
        """Taken at rest only: what changes under an arm ends the arm, and no calibration is in force until one is handed over at rest."""
        at_rest = self.firing.arm is None and not self.firing.busy
        after = self.calibration.handed_over(order, at_rest=at_rest)
        if after == self.calibration:
            return
        if not at_rest:
            self.firing.stop("the coil's calibration was changed", now_ns)
        self.calibration = after
        self.aiming.calibrate(after.coiltool_from_coil)

    def _look(self, ready: set[int], now_ns: int) -> list[object]:
        """Every frame in order; the gate then sees the last."""
        told: list[object] = []
        for event in self.tracker.turn(ready, now_ns):
            match event:
                case TrackerFrame():
                    told.append(self.aiming.frame(event, self._dropped))
                    aiming = self.aiming
                    self.places.frame(aiming.exposed_ns, aiming.mri_from_coil, aiming.worst_fit_mm, aiming.flagged)
                case ClockRestart(frame_hz=frame_hz):
                    self.aiming.restart_clock(frame_hz)
                case TrackerIdentity():
                    self._identity = event
                    told.append(TrackerNews(state=self.tracker.state, why="", remedy="", identity=event))
                case TrackerChanged(state=state, why=why, remedy=remedy):
                    if state is not TrackerState.TRACKING:
                        self.aiming.forget()
                    told.append(TrackerNews(state=state, why=why, remedy=remedy, identity=self._identity))
                case TrackerAlert(what=what, remedy=remedy):
                    told.append(TrackerNews(state=self.tracker.state, why=what, remedy=remedy, identity=self._identity))
        return told

    def _view(self) -> View:
        aiming, firing, stim = self.aiming, self.firing, self._config.stimulator
        wall_minus_mono_ns = time.time_ns() - time.monotonic_ns()
        return View(
            exposed_ns=aiming.exposed_ns,
            head_seen=aiming.head_seen,
            coil_seen=aiming.coil_seen,
            fit_rms_mm=aiming.worst_fit_mm,
            flagged=aiming.flagged,
            max_fit_rms_mm=self._config.tracker.max_fit_rms_mm,
            registration_expires_ns=None if aiming.aim is None else aiming.aim.registration_expires_ns,
            check_expires_ns=None if aiming.aim is None else aiming.aim.check_expires_ns,
            reference_holds=aiming.aim is not None and aiming.aim.reference_holds,
            calibration_expires_ns=self.calibration.expires_ns(wall_minus_mono_ns),
            on_target=aiming.on_target,
            stim=firing.driver.report,
            prepared=firing.driver.prepared,
            secured=firing.secured,
            disarm_failed=firing.disarm_failed,
            coil_type=stim.coil_type,
            start_temp_c=stim.start_temp_c,
            stop_temp_c=stim.stop_temp_c,
            armed=firing.armed,
            beat=self._beat,
            supervisor_ns=self.life.heard_ns,
            grant=firing.grant,
            last_pulse_ns=firing.last_pulse_ns,
            wall_minus_mono_ns=wall_minus_mono_ns,
            record_open=len(self._facts) < UNSENT_FACTS and not self.orders.closed,
        )

    # ---- telling ----

    def _publish(self, told: list[object], view: View, now_ns: int) -> None:
        while self._facts and self.orders.send(self._facts[0]):
            del self._facts[0]
        if now_ns >= self._next_beat_ns:
            self._next_beat_ns = now_ns + BEAT_NS
            self.life.beat(now_ns)
            self.beats.send(HotBeat(made_ns=now_ns, run_id=self.run_id, armed=self.firing.armed))
        told += self._gate_news(view, now_ns)
        report = self.firing.driver.report
        if now_ns >= self._next_stim_ns:
            self._next_stim_ns = now_ns + STIM_NEWS_NS
            told.append(StimNews(report=report))
        if now_ns >= self._next_clock_ns:
            self._next_clock_ns = now_ns + CLOCK_NEWS_NS
            told.append(ClockNews(state=self.aiming.clock, restarts=self.aiming.clock_restarts))
        for item in told:
            if not self.news.send(item):  # type: ignore[arg-type]  # every item is one of FromHotNews
                self._dropped += 1

    def _gate_news(self, view: View, now_ns: int) -> list[object]:
        against = vetoes(view, now_ns, STARTS[self.firing.purpose])
        aim = self.aiming.aim
        parts = () if aim is None else off_target_parts(self.aiming.error, self.aiming.on_target.settling, aim.limits)
        train = self.firing.train
        bursts = 0 if train is None else bursts_seen(train, self.firing.driver.estimates, now_ns)
        told = (against, parts, bursts, train is not None, self.firing.phase)
        if told == self._told and now_ns < self._next_gate_ns:
            return []
        self._told, self._next_gate_ns = told, now_ns + GATE_NEWS_NS
        age_ms = None if view.exposed_ns is None else (now_ns - view.exposed_ns) / 1e6
        return [
            GateNews(
                at_ns=now_ns,
                vetoes=tuple(str(veto) for veto in against),
                off_target=parts,
                pose_age_ms=age_ms,
                burst=bursts,
                firing=train is not None,
            )
        ]

    def _farewell(self) -> None:
        """Disable, wait for the confirmation, leave the camera as found."""
        now_ns = time.monotonic_ns()
        until_ns = now_ns + FAREWELL_NS
        self.firing.stop("control ends", now_ns)
        self._facts += self.stimulator.write(now_ns)
        while self.firing.stopping and now_ns < until_ns:
            ready, _, _ = select.select(self.stimulator.reads(), [], [], TURN_NS / 1e9)
            now_ns = time.monotonic_ns()
            self.stimulator.turn(set(ready), now_ns)
            self.firing.tick(self._view(), now_ns)
            self._facts += self.stimulator.write(now_ns)
            self.life.beat(now_ns)
        while self._facts and self.orders.send(self._facts[0]):
            del self._facts[0]
        self.tracker.farewell(now_ns)


def _prefer() -> None:
    """Ahead of everything else on this machine, where that is allowed; the loop never spins."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(20))  # a stream's reader is no such thing
    gc.collect()
    gc.freeze()
    gc.disable()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m daemon.hot")
    parser.add_argument("--config", type=Path, required=True)
    for name in ("beats", "orders", "news", "life", "port"):
        parser.add_argument(f"--{name}-fd", type=int, required=True)
    args = parser.parse_args(argv)
    config = load_config(args.config)
    life = Lifeline(args.life_fd)
    hot = Hot(
        config,
        channel_from_fd(args.beats_fd, ToHotBeat),
        channel_from_fd(args.orders_fd, ToHotOrder),
        channel_from_fd(args.news_fd, object),
        life,
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's to answer
    signal.signal(signal.SIGTERM, lambda *_: setattr(hot, "leaving", True))
    hot.stimulator.adopt(args.port_fd, time.monotonic_ns())
    _prefer()
    try:
        hot.run()
    except Exception as error:  # noqa: BLE001  # whatever it is: make safe first, then say it
        hot.firing.stop("an error in the hot process", time.monotonic_ns())
        hot.stimulator.write(time.monotonic_ns())
        fault = {"event": "hot_process_failed", "error": repr(error), "where": traceback.format_exc()}
        sys.stderr.write(json.dumps(fault) + "\n")
        return EX_SOFTWARE
    return EX_IO if hot.firing.stopping else EX_OK


if __name__ == "__main__":
    sys.exit(main())
