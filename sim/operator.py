"""The simulated operator: a client like any other, who touches, sweeps, aims, arms and starts by what the screen says.

Knows nothing of the truth: acts on the room through its socket, on the daemon through the client link alone.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from clients.link import BadChairFile, BadEndpoint, CommandRefused, Link, NoAnswer, Plain
from sim.__main__ import main as run
from sim.operator_aim import CannotAim, aim
from sim.operator_hands import Hands, RoomSaysNo
from sim.operator_registration import HeadRegistration, NotRegistered, Refusal
from sim.operator_threshold import SearchFailed, ThresholdSearch
from sim.operator_view import View
from sim.room_files import SOCKET
from sim.room_plan import NoPlan, ensure_plan, plan_path

OK, FAILED, INTERRUPTED = 0, 1, 130
NAME = "simulated operator"
KEEP_LEASE_S, LOOK_S, SILENT_S = 1.0, 0.2, 3.0
DAEMON_S, DEVICES_S, STOP_TEST_S, ARM_S, GATE_S, STILL_S, TELL_S = 30.0, 60.0, 40.0, 25.0, 30.0, 60.0, 3.0
SLIP_MM, SLIP_MS, SLIP_AFTER_BURSTS = 8.0, 60.0, 4
ASK_AGAIN = 5
PROCEDURES, MT_PULSES = ("pest", "bayes", "relative_frequency"), 60
DAY_REASONS = ("MIN_GAP", "DAY_", "ROLLING_")  # a session that comes too early or too often is refused as it should be


class SessionFailed(Exception):
    """The day did not go as planned: one line that says why."""


FAILURES = (
    SessionFailed,
    SearchFailed,
    NotRegistered,
    CannotAim,
    RoomSaysNo,
    NoPlan,
    BadChairFile,
    BadEndpoint,
    CommandRefused,
    NoAnswer,
)


def say(event: str, **facts: object) -> None:
    print(json.dumps({"event": event, "mono_ns": time.monotonic_ns(), **facts}), flush=True)


class Operator:
    """One person, one day: a treatment, or a search for the motor threshold.

    Each method is a step; each raises `SessionFailed` when its deadline passes.
    """

    def __init__(self, link: Link, hands: Hands, slips: int, press_red_key: Callable[[threading.Event], None]) -> None:
        """`press_red_key`: somebody at the stimulator, who presses once it is enabled, or gives up when the event is set."""
        self._link, self._hands, self._slips = link, hands, slips
        self._press_red_key = press_red_key
        self.view = View(link)

    def day(self, plan: Path, sessions: int, wait_s: float) -> None:
        self._arrive(wait_s)
        for number in range(1, sessions + 1):
            self._session(plan, number)

    def find_threshold(self, patient: str, procedure: str, evidence: str, wait_s: float) -> None:
        self._arrive(wait_s)
        self._devices()
        self._test_hardware_stop()
        if not self.until(lambda: (stim := self.view.stim) is not None and stim.state == "standby", TELL_S):
            raise SessionFailed("the stimulator does not rest in standby")
        ThresholdSearch(self, self._watch_thumb, say).find(patient, procedure, evidence, MT_PULSES)

    def _watch_thumb(self) -> bool | None:
        twitched = self._hands.do("watch_thumb").get("twitched")
        return twitched if isinstance(twitched, bool) else None

    def attempt(self, method: str, seconds: float, **params: object) -> object | Refusal:
        """A command that changes something, and the screen after it; or what the daemon has against it."""
        for _ in range(ASK_AGAIN):
            try:
                result = self._link.call(method, seconds, **params)
            except CommandRefused as refused:
                if refused.error.code == "STALE_STATE":
                    continue
                return Refusal(code=refused.error.code, message=refused.error.message)
            self._catch_up(getattr(result, "state_rev", 0))
            return result
        raise SessionFailed(f"{method} was refused {ASK_AGAIN} times, because the state kept changing")

    def command(self, method: str, seconds: float, **params: object) -> None:
        """Asked again where the state had just moved on."""
        for _ in range(ASK_AGAIN):
            try:
                self._link.call(method, seconds, **params)
            except CommandRefused as refused:
                if refused.error.code != "STALE_STATE":
                    raise
                continue
            return
        raise SessionFailed(f"{method} was refused {ASK_AGAIN} times, because the state kept changing")

    def _session(self, plan: Path, number: int) -> None:
        opened = self._link.call("open_plan", 20.0, path=str(plan))
        self._catch_up(opened.state_rev)
        dose = opened.dose
        say("plan", session=number, patient=opened.patient, protocol=opened.protocol, allowed_now=dose.allowed_now, reasons=dose.reasons)
        if number == 1 and not dose.allowed_now:
            raise SessionFailed(f"no session is allowed now: {', '.join(dose.reasons)}; a start is allowed from {dose.earliest_utc}")
        self._devices()
        self._test_hardware_stop()
        HeadRegistration(self, self._hands, say).make_it_stand()
        if dose.allowed_now:
            self._treat()
        else:
            self._expect_refusal(number)
        self._do("close", 15.0)
        say("closed", session=number)

    def _do(self, method: Plain, seconds: float = 5.0) -> None:
        """A command that changes something, and the screen after it; asked again where the state had just moved on."""
        for _ in range(ASK_AGAIN):
            try:
                self._catch_up(self._link.call(method, seconds).state_rev)
            except CommandRefused as refused:
                if refused.error.code != "STALE_STATE":
                    raise
                continue
            return
        raise SessionFailed(f"{method} was refused {ASK_AGAIN} times, because the state kept changing")

    def _catch_up(self, state_rev: int) -> None:
        """Until the screen shows what the daemon's answer spoke of."""
        if not self.until(lambda: (seen := self.view.session) is not None and seen.state_rev >= state_rev, TELL_S):
            raise SessionFailed(f"telemetry lags {TELL_S:.0f} s behind the daemon's answer")

    # ---- before ---------------------------------------------------------------------------------------------------------

    def _arrive(self, wait_s: float) -> None:
        if not self._link.wait(lambda link: link.hello is not None and link.latest("v1/hb") is not None, wait_s):
            raise SessionFailed(f"the daemon did not answer within {wait_s:g} s: is it running on this chair's file?")
        hello = self._link.call("hello")
        say("hello", chair=hello.chair, version=hello.version, api=hello.api)
        self._link.call("take_lease", name=NAME)
        self._link.keep_lease_every(KEEP_LEASE_S)
        say("lease", name=NAME)

    def _devices(self) -> None:
        def ready() -> bool:
            tools, stim = self.view.tools, self.view.stim
            return tools is not None and stim is not None and tools.tracker == "tracking" and stim.state in ("standby", "ready")

        if not self.until(ready, DEVICES_S):
            tools, stim = self.view.tools, self.view.stim
            tracker = "silent" if tools is None else f"{tools.tracker} {tools.why}".strip()
            raise SessionFailed(f"devices not ready: tracker {tracker}, stimulator {'silent' if stim is None else stim.state}")
        say("devices", tracker="tracking", stimulator="standby")

    def _test_hardware_stop(self) -> None:
        if (session := self.view.session) is not None and session.hardware_stop_tested:
            return
        over = threading.Event()
        colleague = threading.Thread(target=self._press_red_key, args=(over,), name="colleague")
        colleague.start()
        try:
            self._do("test_hardware_stop", STOP_TEST_S)
        finally:
            over.set()
            colleague.join()
        say("hardware_stop_tested")

    # ---- treatment ------------------------------------------------------------------------------------------------------

    def _treat(self) -> None:
        self._hands.do("coil_near")
        self._aim("aimed")
        self._do("arm", ARM_S)
        say("armed")
        self._when_allowed("start")
        say("started")
        self._deliver()
        session = self.view.session
        if session is None or session.step != "done":
            raise SessionFailed("the session's end was not heard")
        say(
            "done",
            pulses=session.pulses_delivered,
            planned=session.pulses_planned,
            trains=session.trains_done,
            broken=session.trains_broken,
        )

    def _deliver(self) -> None:
        """Watch until the session is done: slip when asked to, come back from every hold, give up on a stop."""
        slips = self._slips
        while (step := self._step()) != "done":
            before = self._progress()
            if step == "stopped":
                raise SessionFailed(f"stopped: {self._why_not()}")
            if step == "hold":
                self._resume()
            elif slips and self._mid_train():
                slips -= 1
                self._slip()
            elif not self.until(lambda before=before: self._progress() != before, STILL_S):  # type: ignore[misc]
                raise SessionFailed(f"nothing happened for {STILL_S:.0f} s in step {step}: {self._why_not()}")

    def _mid_train(self) -> bool:
        train = self.view.train
        return train is not None and train.state == "running" and train.bursts_seen >= SLIP_AFTER_BURSTS

    def _slip(self) -> None:
        train = self.view.train
        say("slip", mm=SLIP_MM, train=None if train is None else train.train)
        self._hands.do("slip", mm=SLIP_MM, ms=SLIP_MS)
        if not self.until(lambda: self._step() in ("hold", "stopped", "done"), 10.0):
            raise SessionFailed(f"the coil slipped {SLIP_MM:g} mm during a train and nothing was held")

    def _resume(self) -> None:
        """Back from a hold, asked for or not."""
        session = self.view.session
        say("held", why=None if session is None else session.held_why)
        self._aim("aimed_again")
        self._when_allowed("resume")
        say("resumed")

    def _when_allowed(self, method: Literal["start", "resume"]) -> None:
        """As soon as the screen says that it may; asked again where the gate closed in between."""
        for _ in range(ASK_AGAIN):
            if not self.until(lambda: self.view.gate is not None and self.view.gate.may_start, GATE_S):
                raise SessionFailed(f"on target and still not allowed to {method}: {self._why_not()}")
            try:
                self._do(method)
            except CommandRefused as refused:
                if refused.error.code != "GATE_CLOSED":
                    raise
                say("not_yet", what=method, why=refused.error.message)
                continue
            return
        raise SessionFailed(f"{method} was refused {ASK_AGAIN} times: {self._why_not()}")

    def _aim(self, event: str) -> None:
        moves = aim(self.view, self._hands, self.until)
        coil = self.view.coil
        say(event, moves=moves, lateral_mm=None if coil is None else [coil.lateral_x_mm, coil.lateral_y_mm])

    def _expect_refusal(self, number: int) -> None:
        """The day's limits refuse this session; arming must not get past them."""
        try:
            self._do("arm", ARM_S)
        except CommandRefused as refused:
            error = refused.error
            if error.code != "DOSE_REFUSED":
                raise
            reasons = error.details.get("reasons")
            if not isinstance(reasons, list) or not all(str(reason).startswith(DAY_REASONS) for reason in reasons):
                raise SessionFailed(f"session {number} was refused for another cause: {error.message}") from refused
            say("session_refused", session=number, reasons=reasons, earliest_utc=error.details.get("earliest_utc"), message=error.message)
            return
        raise SessionFailed(f"session {number} was not allowed and could be armed all the same")

    # ---- looking --------------------------------------------------------------------------------------------------------

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait for something on the screen; a daemon that has fallen silent, or knows us no more, ends the day."""

        def is_silent() -> bool:
            age_s = self._link.age_s("v1/hb")
            return age_s is None or age_s > SILENT_S

        came = self._link.wait(lambda _: holds() or is_silent(), seconds)
        if is_silent():
            raise SessionFailed(f"the daemon has not been heard for {SILENT_S:.0f} s: see what it said when it ended")
        if self._link.lease_lost:
            raise SessionFailed("the daemon no longer counts us as the operator")
        return came and holds()

    def _step(self) -> str | None:
        session = self.view.session
        return None if session is None else session.step

    def _progress(self) -> tuple[object, ...]:
        train = self.view.train
        seen = None if train is None else (train.train, train.state, train.bursts_seen)
        return (self._step(), seen)

    def _why_not(self) -> str:
        session, gate, stim = self.view.session, self.view.gate, self.view.stim
        said = [session.stopped_why or ""] if session is not None else []
        said += [reason.row for reason in gate.reasons] if gate is not None else []
        said += [stim.fault or ""] if stim is not None else []
        return ", ".join(text for text in said if text) or "no reason was given"


def press_red_key(config: Path, over: threading.Event) -> None:
    """The colleague at the stimulator: presses its disable key once it is enabled. Says what went wrong; the test then fails by itself."""
    try:
        with Link.from_config(config, topics=("v1/stim",)) as link, Hands(config.parent / SOCKET, lambda: link.pump(0.02)) as hands:
            view = View(link)
            enabled = False
            while not enabled and not over.is_set():
                enabled = link.wait(lambda _: (stim := view.stim) is not None and stim.enabled is True, LOOK_S)
            if enabled:
                hands.do("press_disable")
    except (RoomSaysNo, BadChairFile, BadEndpoint) as error:
        say("colleague_failed", why=str(error))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the chair's file; the room's socket lies beside it")
    parser.add_argument("--protocol", default="demo_itbs90", metavar="NAME", help="what to give (default demo_itbs90)")
    parser.add_argument("--slips", type=int, default=0, metavar="N", help="how often to let the coil slip in mid-train (default 0)")
    parser.add_argument("--sessions", type=int, default=1, metavar="N", help="how many sessions to try (default 1)")
    parser.add_argument("--threshold", choices=PROCEDURES, help="find the motor threshold by this method instead of treating")
    parser.add_argument("--patient", default="demo", help="whose motor threshold (default: %(default)s)")
    parser.add_argument("--evidence", choices=("visual", "emg"), default="visual", help="how a twitch is told (default: %(default)s)")
    parser.add_argument("--wait", type=float, default=DAEMON_S, metavar="S", help="for the daemon, at most (default: %(default)g)")


def _plan(config: Path, protocol: str) -> Path:
    folder = config.resolve().parent
    known = plan_path(folder, protocol)
    return known if known.exists() else ensure_plan(folder, protocol)


def main(given: argparse.Namespace) -> int:
    """A day at the chair; returns 0 when it ended as planned. Whoever is interrupted just leaves: the daemon then holds by itself."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Link.from_config(given.config) as link, Hands(given.config.parent / SOCKET, lambda: link.pump(0.02)) as hands:
            operator = Operator(link, hands, given.slips, lambda over: press_red_key(given.config, over))
            if given.threshold is None:
                operator.day(_plan(given.config, given.protocol), given.sessions, given.wait)
            else:
                operator.find_threshold(given.patient, given.threshold, given.evidence, given.wait)
    except FAILURES as error:
        say("failed", why=str(error))
        print(f"operator: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    say("planned_end")
    return OK


if __name__ == "__main__":
    sys.exit(run(["operator", *sys.argv[1:]]))
