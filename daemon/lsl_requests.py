"""Whether a marker of another program's stream may be put to the session as a request at all. Pure but for its memory.

A request is no command: what becomes of it is decided where an operator's start is (`lsl_acts`), and the ledger and the gate after that.
"""

import enum
from collections import OrderedDict
from typing import Annotated, Final, Literal

import msgspec

OLDEST_NS: Final = 1_000_000_000  # a request that waited longer asks for a moment that is over
EARLIEST_NS: Final = -100_000_000  # one from the future: the clocks do not agree, and no age can be told
LEAST_INTERVAL_NS: Final = 500_000_000  # no closer than a host may time triggers
IDS_KEPT: Final = 10_000  # more than any session's requests
TOLD_PER_S: Final = 10  # more refusals than this in a second are counted, not told one by one


class Want(enum.StrEnum):
    """`train`: the next train of the session. `pulse`: one more pulse of the search for the hotspot, as strong as the last."""

    TRAIN = "train"
    PULSE = "pulse"


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One marker: JSON of this. `id` is the sender's own, new for every request."""

    v: Literal[1]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"\A[!-~]+\Z")]
    want: Want


class Against(enum.StrEnum):
    """Why a request is not followed."""

    MALFORMED = "malformed"
    RIVAL_STREAM = "rival_stream"
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"
    DOUBLE = "double"
    TOO_MANY = "too_many"
    NO_OPERATOR = "no_operator"
    BUSY = "busy"
    NOT_WAITING = "not_waiting"
    TOO_SOON = "too_soon"
    GATE_CLOSED = "gate_closed"
    REFUSED = "refused"


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """A marker as it came. `stamped_ns`: the sender's time for it, on this host's monotonic clock; `rivals`: more streams of the name."""

    text: str
    stamped_ns: int
    arrived_ns: int
    rivals: int


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """`request` None: the marker is none. `against` None: it may be put to the session. `told`: it is to be told, not only counted."""

    request: Request | None
    against: Against | None
    age_ns: int
    told: bool


class RequestDesk:
    """Remembers which ids there were, and when the last request was let through."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._last_ns: int | None = None
        self._told_ns: list[int] = []
        self.accepted = self.refused = 0

    def judge(self, marker: Marker, now_ns: int) -> Judged:
        """An id is used up by its first marker, whatever becomes of that."""
        request = _read(marker.text)
        against = Against.MALFORMED if request is None else self._against(request, marker, now_ns)
        if against is None:
            self._last_ns = now_ns
        return Judged(request=request, against=against, age_ns=now_ns - marker.stamped_ns, told=against is None or self._may_tell(now_ns))

    def _against(self, request: Request, marker: Marker, now_ns: int) -> Against | None:
        is_double = request.id in self._ids
        self._ids[request.id] = None
        while len(self._ids) > IDS_KEPT:
            self._ids.popitem(last=False)
        age_ns = now_ns - marker.stamped_ns
        if is_double:
            return Against.DOUBLE
        if marker.rivals:
            return Against.RIVAL_STREAM
        if not age_ns >= EARLIEST_NS:
            return Against.FROM_THE_FUTURE
        if not age_ns <= OLDEST_NS or not now_ns - marker.arrived_ns <= OLDEST_NS:
            return Against.TOO_OLD
        if self._last_ns is not None and now_ns - self._last_ns < LEAST_INTERVAL_NS:
            return Against.TOO_MANY
        return None

    def count(self, against: Against | None) -> None:
        """What became of it in the end."""
        if against is None:
            self.accepted += 1
        else:
            self.refused += 1

    def _may_tell(self, now_ns: int) -> bool:
        self._told_ns = [at_ns for at_ns in self._told_ns if now_ns - at_ns < 1_000_000_000]
        if len(self._told_ns) >= TOLD_PER_S:
            return False
        self._told_ns.append(now_ns)
        return True


def _read(text: str) -> Request | None:
    try:
        return msgspec.json.decode(text, type=Request)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
