"""From single transforms to frames: which of them belong to one exposure, and which show nothing that is seen. No bytes, no link."""

from collections.abc import Mapping

from drivers.igtl_wire import IDENTITY, TransformMessage, quaternion_of
from drivers.stream_samples import Poses, unseen
from drivers.values import SourceStamp, ToolSample, TrackerFrame, Unseen

SAME_STAMP_NS = 1_000_000  # one exposure: senders that stamp message by message differ by less, exposures at 400 Hz by 2.5 ms
TOGETHER_NS = 3_000_000  # without stamps: messages of one exposure are written one behind the other
GATHER_NS = 10_000_000  # so long the rest of a frame is awaited; then it goes without
MOST_SKIPPED = 1_000_000

_INVALID = frozenset({"false", "0", "no"})
_OUT = frozenset({"OUT_OF_VOLUME", "OUT_OF_VIEW"})


class Assembler:
    """Gathers one transform of each tool into a frame. `tools`: tool -> device name, in the order in which frames report them.

    With stamps a frame holds what bears the same one. Without, it holds what came together and in the order of `tools`: whatever
    could be of two exposures is reported as two frames.
    """

    def __init__(self, tools: Mapping[str, str], frame_hz: float, stated_rms_mm: float) -> None:
        self._tool_of = {device: tool for tool, device in tools.items()}
        self._place = {tool: place for place, tool in enumerate(tools)}
        self._period_ns = 1e9 / frame_hz
        self._poses = Poses(stated_rms_mm)
        self._number = 0
        self._received_ns = 0
        self.restart()

    def restart(self) -> None:
        """Another link: what was begun on the last one is not continued."""
        self._open: dict[str, ToolSample] = {}
        self._opened_ns = 0
        self._stamp_ns: int | None = None
        self._told_ns: int | None = None  # stamp of the last frame
        self._columns: dict[str, tuple[float, ...]] = {}
        self._stamps: dict[str, int | None] = {}

    def knows(self, device: str) -> bool:
        return device in self._tool_of

    @property
    def due_ns(self) -> int | None:
        """When the frame that is being gathered goes as it is."""
        return self._opened_ns + GATHER_NS if self._open else None

    def add(self, message: TransformMessage, arrived_ns: int, *, flagged: bool) -> list[TrackerFrame]:
        """One transform; the frames that it completes, or that it shows to stay incomplete. A repeated message changes nothing."""
        tool = self._tool_of.get(message.device)
        if tool is None or (message.stamp_ns is not None and message.stamp_ns == self._stamps.get(tool)):
            return []
        frames = []
        if self._open and not self._belongs(tool, message.stamp_ns, arrived_ns):
            frames.append(self._close())
        if not self._open:
            self._number += 1
            self._opened_ns, self._stamp_ns = arrived_ns, message.stamp_ns
        elif self._stamp_ns is not None and message.stamp_ns is not None:
            self._stamp_ns = min(self._stamp_ns, message.stamp_ns)
        self._open[tool] = self._sample(tool, message, flagged)
        self._stamps[tool] = message.stamp_ns
        if len(self._open) == len(self._place):
            frames.append(self._close())
        return frames

    def flush(self, now_ns: int) -> list[TrackerFrame]:
        """The frame that has waited for its rest for long enough."""
        return [self._close()] if self._open and now_ns - self._opened_ns >= GATHER_NS else []

    def _belongs(self, tool: str, stamp_ns: int | None, arrived_ns: int) -> bool:
        if tool in self._open:
            return False
        if stamp_ns is not None and self._stamp_ns is not None:
            return abs(stamp_ns - self._stamp_ns) <= SAME_STAMP_NS
        if stamp_ns is not None or self._stamp_ns is not None:
            return False
        last = max(self._place[other] for other in self._open)
        return self._place[tool] > last and arrived_ns - self._opened_ns <= TOGETHER_NS

    def _sample(self, tool: str, message: TransformMessage, flagged: bool) -> ToolSample:
        before, self._columns[tool] = self._columns.get(tool), message.columns
        status = message.metadata.get("TransformStatus", "OK")
        if status in _OUT:
            return unseen(tool, self._number, Unseen.OUT_OF_VOLUME)
        is_valid = message.metadata.get("TransformValid", "true").lower() not in _INVALID and status == "OK"
        if not is_valid or message.columns in (IDENTITY, before):
            # Servers send the last matrix again, or none at all, for what is not seen; a measured one never repeats to the last bit.
            return unseen(tool, self._number, Unseen.MISSING)
        x, y, z = message.columns[9:]
        return self._poses.seen(tool, self._number, quaternion_of(message.columns), (x, y, z), flagged=flagged)

    def _close(self) -> TrackerFrame:
        samples = tuple(self._open.get(tool) or unseen(tool, self._number, Unseen.MISSING) for tool in self._place)
        self._open = {}
        self._received_ns = max(self._opened_ns, self._received_ns + 1)
        return TrackerFrame(
            frame_number=self._number,
            received_ns=self._received_ns,
            tools=samples,
            stamp=None if self._stamp_ns is None else SourceStamp(source_ns=self._stamp_ns),
            skipped=self._skipped(),
        )

    def _skipped(self) -> int:
        before, self._told_ns = self._told_ns, self._stamp_ns
        if before is None or self._stamp_ns is None:
            return 0
        return min(MOST_SKIPPED, max(0, round((self._stamp_ns - before) / self._period_ns) - 1))
