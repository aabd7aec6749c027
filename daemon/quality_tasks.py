"""The three measurements of a quality check as they are collected: tools at rest, the pointer in its divot, distances of a block. Pure.

Nothing is trimmed here: an outlier is part of how well the tracker finds points.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from calibration.frames import FloatArray, Wxyz, Xyz
from calibration.pivot import FRAMES_LIMIT, SPAN_LIMIT_DEG, NoPivot, fit_pivot
from calibration.quality import Distances, Repeatability, distance_accuracy, jitter, pooled, repeatability
from daemon.bench_files import Block
from daemon.calibration_messages import CalibrationBody, QaItem
from daemon.calibration_samples import Touch, pose_of, poses_of
from daemon.calibration_tasks import Found, Nothing, Outcome, Turning
from daemon.config_tools import QualitySection
from daemon.ipc import FrameNews

ROUNDS = 2  # every divot is touched so often, so that its repeatability is known
SEEN_SHARE = 0.95  # of the frames: a tool seen less often is not at rest before the camera
LEAST_FRAMES = 100


def _item(name: str, subject: str, value: float, limit: float | None, numbers: dict[str, float]) -> QaItem:
    return QaItem(name=name, subject=subject, value=value, limit=limit, passed=None if limit is None else value <= limit, numbers=numbers)


def _numbers(figures: Repeatability | Distances) -> dict[str, float]:
    """Counts and millimetres, as F2554 lists them."""
    spread = {"count": float(figures.count), "sd_mm": figures.sd_mm, "rms_mm": figures.rms_mm, "p95_mm": figures.p95_mm}
    first = {"mean_mm": figures.mean_mm} if isinstance(figures, Repeatability) else {"bias_mm": figures.bias_mm}
    return first | spread | {"max_mm": figures.max_mm}


class JitterTask:
    """All tools lie still for a while."""

    name, tool = "jitter", None
    points: tuple[str, ...] = ()

    def __init__(self, tools: Sequence[str], seconds: float, limits: QualitySection) -> None:
        self._for_ns, self._limits = round(seconds * 1e9), limits
        self._seen: dict[str, list[tuple[Xyz, Wxyz]]] = {tool: [] for tool in tools}
        self._frames = 0
        self._first_ns: int | None = None
        self._last_ns = 0

    def add(self, news: FrameNews, now_ns: int) -> str:
        if news.exposed_ns is None:
            return "the camera's frames are old"
        if self._first_ns is None:
            self._first_ns = news.exposed_ns
        if self._is_over:
            return ""
        self._frames, self._last_ns = self._frames + 1, news.exposed_ns
        whys = []
        for tool, seen in self._seen.items():
            pose = pose_of(news, tool, now_ns)
            if isinstance(pose, str):
                whys.append(pose)
            else:
                x, y, z = pose.translation_mm.tolist()
                seen.append(((x, y, z), pose.wxyz))
        return "; ".join(whys)

    @property
    def _is_over(self) -> bool:
        return self._first_ns is not None and self._last_ns - self._first_ns >= self._for_ns

    def measured(self, body: CalibrationBody) -> CalibrationBody:
        passed_ns = 0 if self._first_ns is None else self._last_ns - self._first_ns
        left_s = max(0.0, (self._for_ns - passed_ns) / 1e9)
        return msgspec.structs.replace(body, samples=self._frames, seconds_left=left_s, enough=self._is_over)

    def found(self) -> Outcome:
        if not self._is_over:
            return Nothing(code="too_short", what="the tools were not watched for the whole time")
        items: list[QaItem] = []
        for tool, seen in self._seen.items():
            share = len(seen) / self._frames
            if share < SEEN_SHARE or len(seen) < LEAST_FRAMES:
                frames = {"frames": float(len(seen))}
                items.append(QaItem(name="seen", subject=tool, value=share, limit=SEEN_SHARE, passed=False, numbers=frames))
                continue
            places, turns = zip(*seen, strict=True)
            still = jitter(np.array(places), np.array(turns))
            numbers = _numbers(still.place) | {"rms_deg": still.rms_deg, "drift_mm": still.drift_mm, "seen": share}
            items.append(_item("jitter", tool, still.place.rms_mm, self._limits.jitter_rms_mm, numbers))
        return Found(method="static jitter", items=tuple(items))


class SpreadTask:
    """The calibrated tip rests in one divot while the pointer is turned about it: how far the tip seems to wander."""

    name, tool = "spread", None
    points: tuple[str, ...] = ()

    def __init__(self, tip_in_pointer_mm: Xyz, limits: QualitySection) -> None:
        self._tip_in_pointer_mm, self._limits = np.array(tip_in_pointer_mm), limits
        self._turning = Turning()

    def add(self, news: FrameNews, now_ns: int) -> str:
        seen = poses_of(news, ("pointer",), now_ns)
        if isinstance(seen, str):
            return seen
        self._turning.add(seen[0])
        return ""

    def measured(self, body: CalibrationBody) -> CalibrationBody:
        poses = self._turning.poses()
        spans_deg = _spans_deg(poses)
        refusals = self._refusals(poses, spans_deg)
        spread = repeatability(self._tips(poses)) if len(poses) else None
        return msgspec.structs.replace(
            body,
            samples=len(poses),
            samples_wanted=FRAMES_LIMIT,
            span_wanted_deg=SPAN_LIMIT_DEG,
            axis_spans_deg=spans_deg,
            rms_mm=None if spread is None else spread.rms_mm,
            max_mm=None if spread is None else spread.max_mm,
            refusals=refusals,
            enough=not refusals,
        )

    def found(self) -> Outcome:
        poses = self._turning.poses()
        spans_deg = _spans_deg(poses)
        if refusals := self._refusals(poses, spans_deg):
            return Nothing(code=refusals[0], what="the pointer was not turned far enough, or too short, for its spread to mean anything")
        spread = repeatability(self._tips(poses))
        numbers = _numbers(spread)
        if spans_deg is not None:
            numbers |= {"first_axis_deg": spans_deg[0], "second_axis_deg": spans_deg[1]}
        return Found(method="pivot spread", items=(_item("spread", "pointer", spread.p95_mm, self._limits.spread_p95_mm, numbers),))

    def _tips(self, poses: FloatArray) -> FloatArray:
        tips: FloatArray = poses[:, :3, :3] @ self._tip_in_pointer_mm + poses[:, :3, 3]
        return tips

    @staticmethod
    def _refusals(poses: FloatArray, spans_deg: tuple[float, float] | None) -> tuple[str, ...]:
        holds = {
            "span_small": spans_deg is not None and min(spans_deg) >= SPAN_LIMIT_DEG,
            "too_few_frames": len(poses) >= FRAMES_LIMIT,
        }
        return tuple(refusal for refusal, is_met in holds.items() if not is_met)


def _spans_deg(poses: FloatArray) -> tuple[float, float] | None:
    try:
        return fit_pivot(poses).axis_spans_deg
    except NoPivot:
        return None


class BlockTask:
    """Every divot of a block is touched twice; distances between divots against the known ones."""

    name, tool = "block", None

    def __init__(self, block: Block, tip_in_pointer_mm: Xyz, limits: QualitySection) -> None:
        self._block, self._tip_in_pointer_mm, self._limits = block, tip_in_pointer_mm, limits
        self.points = block.divots * ROUNDS
        self._touches: dict[str, tuple[Xyz, ...]] = {}

    def add(self, news: FrameNews, now_ns: int) -> str:
        tip = self.tip_of(news, now_ns)
        return tip if isinstance(tip, str) else ""

    def tip_of(self, news: FrameNews, now_ns: int) -> Xyz | str:
        """In the camera's frame: camera and block must both stay where they are."""
        seen = poses_of(news, ("pointer",), now_ns)
        if isinstance(seen, str):
            return seen
        x, y, z = seen[0].apply(self._tip_in_pointer_mm).tolist()
        return x, y, z

    def take(self, point: str, touch: Touch) -> int:
        self._touches = {**self._touches, point: (*self._touches.get(point, ()), touch.point_mm)}
        return len(self._touches[point])

    def measured(self, body: CalibrationBody) -> CalibrationBody:
        counts = {name: len(points) for name, points in self._touches.items()}
        return msgspec.structs.replace(
            body,
            samples=sum(counts.values()),
            samples_wanted=len(self.points),
            points=self.points,
            touches=counts,
            enough=all(counts.get(divot, 0) >= ROUNDS for divot in self._block.divots),
        )

    def found(self) -> Outcome:
        touches = self._touches
        if missing := [divot for divot in self._block.divots if len(touches.get(divot, ())) < ROUNDS]:
            return Nothing(code="too_few_points", what=f"divots not touched {ROUNDS} times: {', '.join(missing)}")
        repeats = pooled({name: np.array(points) for name, points in touches.items()})
        means = {name: np.mean(points, axis=0) for name, points in touches.items()}
        distances = distance_accuracy(means, self._block.distances_mm)
        limits, subject = self._limits, self._block.block
        return Found(
            method="block distances",
            items=(
                _item("repeatability", subject, repeats.p95_mm, limits.repeat_p95_mm, _numbers(repeats)),
                _item("distance", subject, distances.p95_mm, limits.distance_p95_mm, _numbers(distances)),
            ),
            rests_on={"block": self._block.sha256},
        )
