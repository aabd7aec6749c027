"""Did the head reference just jump while the coil stayed? A hint between checks: two tools alone cannot prove a slip. Pure."""

import math
from collections import deque

from daemon.registering import Point
from drivers.values import ToolSample

JUMP_MM, COIL_STILL_MM = 2.0, 0.5
WITHIN_NS = 17_000_000  # one frame of a camera at 60 Hz: heads do not move 2 mm in it


class ReferenceWatch:
    """Remembers the last frames' places of head reference and coil in the tracker's frame."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Point, Point]] = deque()

    def frame(self, head: ToolSample | None, coil: ToolSample | None, exposed_ns: int | None) -> bool:
        """One frame; True when the reference jumped in it."""
        places = [None if each is None or each.flagged else each.in_tracker_mm for each in (head, coil)]
        head_mm, coil_mm = places
        if exposed_ns is None or head_mm is None or coil_mm is None:
            self._seen.clear()
            return False
        while self._seen and not 0 < exposed_ns - self._seen[0][0] <= WITHIN_NS:
            self._seen.popleft()
        jumped = any(
            math.dist(head_mm, earlier_head) > JUMP_MM and math.dist(coil_mm, earlier_coil) < COIL_STILL_MM
            for _, earlier_head, earlier_coil in self._seen
        )
        self._seen.append((exposed_ns, head_mm, coil_mm))
        if jumped:
            self._seen.clear()
        return jumped
