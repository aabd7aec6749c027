"""Guided acts at a terminal: what is to be done, how it stands, and that the operator lease is kept meanwhile.

Two faces of the same: bars and words for a person, JSON lines for a script. What is good enough is the daemon's.
"""

import contextlib
import json
import os
import select
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from clients.link import CommandRefused, Link, NoAnswer
from daemon.messages import CalibrationBody

LOOK_S = 0.1
TOUCH_S = 15.0
TRIES = 12  # of one point, ten seconds each
STALE_S = 1.0

POINT_TEXT = {"handle": "the HANDLE, anywhere along it", "back": "the BACK of the casing, away from the head"}
REFUSAL_TEXT = {
    "rms_high": "the tip seems to wander: hold it firmly in its divot",
    "ill_conditioned": "turn it to more sides: as it is, the figures hang on noise",
    "span_small": "tilt it further, to all sides",
    "too_few_frames": "go on a little longer",
    "rank_deficient": "tilt it to all sides, not about one axis",
    "too_many_outliers": "the tip slipped out of its divot too often: begin again",
    "too_few_points": "touch the other points",
    "fre_high": "the touches do not fit the drawing: see the residuals",
    "point_off": "one point is off: touch it again",
    "face_uncertain": "the points say too little about the centre of the face",
    "too_few_angles": "tilt the plate, so that the camera sees it from other sides",
    "spread_mm_high": "the coil moves in its plate, or is seen badly",
    "spread_deg_high": "the coil turns in its plate, or is seen badly",
    "handle_untouched": "touch the handle",
    "handle_elsewhere": "THE HANDLE IS ELSEWHERE: points were mixed up, or the coil lies the wrong way round",
    "back_untouched": "touch the back of the casing",
    "back_elsewhere": "THE BACK IS ELSEWHERE: left and right were mixed up",
    "collinear": "the points lie on a line: touch others too",
}


class Face(Protocol):
    def say(self, event: str, text: str, **facts: object) -> None:
        """Something happened, or is to be done: a name and facts for a script, a sentence for a person."""

    def show(self, body: CalibrationBody) -> None:
        """How it stands."""

    def close(self) -> None: ...


class PlainFace:
    """One JSON line for each event and for each change of what is known."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown: CalibrationBody | None = None

    def say(self, event: str, text: str, **facts: object) -> None:
        self._write(json.dumps({"event": event, "text": text} | facts))

    def show(self, body: CalibrationBody) -> None:
        if body != self._shown:
            self._shown = body
            self._write(msgspec.json.encode({"event": "progress", "body": body}).decode())

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    def close(self) -> None:
        pass


class BarFace:
    """Bars that fill up as the gates are met, and one line that says what is wanted."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False)
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}

    def say(self, event: str, text: str, **_facts: object) -> None:
        self._console.print(text, markup=False, style=None if event != "refused" else "bold")

    def show(self, body: CalibrationBody) -> None:
        if self._progress is None:
            columns = (TextColumn("{task.description:<22}"), BarColumn(bar_width=40), TextColumn("{task.fields[word]}", markup=False))
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.start()
        for name, share, word in bars(body):
            if name not in self._bars:
                self._bars[name] = self._progress.add_task(name, total=1.0, word="")
            self._progress.update(self._bars[name], completed=share, word=word)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._bars = None, {}


def bars(body: CalibrationBody) -> list[tuple[str, float, str]]:
    """Name, how full (0 to 1) and a word, for each thing that has to be enough; the last says what is wanted."""
    lines: list[tuple[str, float, str]] = []
    if body.samples_wanted:
        text = f"{body.samples} of {body.samples_wanted}, {body.dropped} dropped"
        lines.append(("samples", _share(body.samples, body.samples_wanted), text))
    if body.span_wanted_deg is not None:
        for name, span in zip(("one way", "the other way"), body.axis_spans_deg or (0.0, 0.0), strict=True):
            lines.append((f"turned {name}", _share(span, body.span_wanted_deg), f"{span:.0f} of {body.span_wanted_deg:.0f} deg"))
    if body.condition_number is not None and body.condition_limit is not None:
        text = f"{body.condition_number:.1f}, at most {body.condition_limit:.0f}"
        lines.append(("conditioning", _share(body.condition_limit, body.condition_number), text))
    if body.angles is not None and body.angles_wanted is not None:
        lines.append(("camera angles", _share(body.angles, body.angles_wanted), f"{body.angles} of {body.angles_wanted}"))
    if body.rms_mm is not None:
        limit = body.rms_limit_mm
        text = f"{body.rms_mm:.2f} mm" + ("" if limit is None else f", at most {limit:.2f}")
        lines.append(("residual", 1.0 if limit is None else _share(limit, body.rms_mm), text))
    if body.seconds_left is not None:
        lines.append(("time", 1.0 if body.enough else 0.0, f"{body.seconds_left:.0f} s left"))
    return [*lines, ("", 1.0 if body.enough else 0.0, wanted(body))]


def wanted(body: CalibrationBody) -> str:
    """What the person at the bench should do now."""
    if body.unseen:
        return body.unseen.upper()
    if body.enough:
        return "enough"
    return "; ".join(reason_text(refusal) for refusal in body.refusals[:2])


def reason_text(refusal: str) -> str:
    return REFUSAL_TEXT.get(refusal, refusal.replace("_", " "))


def _share(have: float, want: float) -> float:
    return 1.0 if want <= 0.0 else min(1.0, have / want)


class GaveUp(Exception):
    """The person or the time ended it: one line that says why."""


class Guide:
    """One task of the daemon's, held by this terminal from start to end; cancelled when it is left before its end."""

    def __init__(self, link: Link, face: Face, name: str) -> None:
        self._link, self._face, self._name = link, face, name
        self._is_open = False

    def __enter__(self) -> Self:
        self._link.call("take_lease", name=self._name)
        self._link.keep_lease_every(1.0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._face.close()
        with contextlib.suppress(CommandRefused, NoAnswer):  # what ended this is told; the lease lapses by itself
            if self._is_open:
                self._link.call("calibrate_cancel")
            self._link.call("release_lease")

    def start(self, task: str, seconds: float = 60.0) -> tuple[str, ...]:
        """Begin; the points to be touched."""
        points = self._link.call("calibrate_start", task=task, name=self._name, seconds=seconds).points
        self._is_open = True
        return points

    def collect(self, task: str, is_enough: Callable[[CalibrationBody], bool], seconds: float) -> bool:
        """Show how it stands until it is enough; False when the time is over first."""

        def look(link: Link) -> bool:
            newest = link.latest("v1/calibration")
            if newest is None or not isinstance(newest.body, CalibrationBody) or newest.body.task != task:
                return False
            self._face.show(newest.body)
            if link.lease_lost:
                raise GaveUp("the operator lease was lost")
            return is_enough(newest.body)

        enough = self._link.wait(look, seconds)
        self._face.close()
        return enough

    def touch(self, point: str) -> None:
        """Have one point touched, asking again until it is still. Raises GaveUp."""
        self._face.say("touch", f"Touch {POINT_TEXT.get(point, point)}: hold the tip still", point=point)
        for _ in range(TRIES):
            try:
                touch = self._link.call("calibrate_touch", TOUCH_S, point=point)
            except CommandRefused as refused:
                if refused.error.code != "TOUCH_REFUSED":
                    raise
                self._face.say("again", f"  {refused.error.message}: {refused.error.remedy}", point=point)
                continue
            text = f"  good: {touch.frames} frames, {touch.spread_mm:.2f} mm RMS, {touch.dropped} dropped"
            self._face.say("touched", text, point=point, spread_mm=touch.spread_mm, dropped=touch.dropped)
            return
        raise GaveUp(f"{point} was not touched")

    def ended(self) -> None:
        """The daemon has ended it itself."""
        self._is_open = False


def wait_for_enter(link: Link) -> None:
    """Until a line comes on standard input, or its end; the lease is kept."""
    while not select.select([sys.stdin], [], [], 0)[0]:
        link.pump(LOOK_S)
    os.read(sys.stdin.fileno(), 1024)
