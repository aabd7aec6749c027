"""When a frame was exposed, on the host's monotonic clock: from its number, its sender's stamp, or LSL's exchange of times.

Owns the fit of one clock on another; reads no clock, knows no device.
"""

from collections import deque

import msgspec

WRAP = 1 << 32  # frame numbers are 32 bits
HALF_WRAP = WRAP // 2

FIT_NS = 500_000_000  # no age before so much time of frames lies close to the line
WINDOW_NS = 4_000_000_000  # the envelope's memory; a longer gap in the frames ends the fit
BUCKET_NS = 250_000_000  # the line is renewed so often, from one earliest arrival of each such piece
STEP_NS = 500_000  # an envelope that lies higher above the line has not drifted: the way from the camera has become longer
CRYSTAL_DRIFT = 100e-6  # of camera and host, together
LARGEST_DRIFT = CRYSTAL_DRIFT + 500e-6  # and the most by which Linux slews its monotonic clock (adjtimex, MAXFREQ)
LARGEST_SLOPE_ERROR = 2.0 * CRYSTAL_DRIFT  # of a stated frame rate: what the slope itself may learn
SLOPE_GAIN = 0.25  # share of a found slope error that is put right at each renewal


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of another clock against the host's monotonic one; None: not known, or no such clock.

    `bound_ns`: a date is wrong by no more, if the stated latency is right. `drift_ppm`: + where the other clock is slow.
    """

    is_fitted: bool
    bound_ns: int | None = None
    drift_ppm: float | None = None
    offset_ns: int | None = None  # the host's clock less the other one


UNFITTED = ClockState(is_fitted=False)


class FrameClock:
    """Fits host = a + b * frame to the earliest arrivals, and dates each exposure by that line less the camera's latency.

    The lower envelope is what a reply takes at the least; whatever waited longer lies above it and comes out as old as it is
    (Moon, Skelly and Towsley 1999, INFOCOM: skew from the envelope of delays). The line falls with the envelope at once, and
    rises after it no faster than clocks drift; an envelope more than 0.5 ms above the line is a longer way, which does not make
    poses look fresher. `latency_ns`: from exposure to the earliest possible reading, as known beforehand.
    """

    bound_ns = STEP_NS + round(CRYSTAL_DRIFT * WINDOW_NS)
    """An exposure's date is wrong by no more than this, if `latency_ns` is right and clocks drift by no more than crystals do."""

    def __init__(self, frame_hz: float, latency_ns: int) -> None:
        self._latency_ns = latency_ns
        self._floors: deque[tuple[int, float]] = deque()  # earliest arrival of each piece: frame index, ns since the origin
        self.restart(frame_hz)

    def restart(self, frame_hz: float) -> None:
        """Forget everything: frames from now on do not continue the earlier ones, or come at another rate."""
        self._period = self._stated_period = 1e9 / frame_hz
        self._bucket = max(1, round(BUCKET_NS / self._period))
        self._window = round(WINDOW_NS / self._period)
        self._number: int | None = None
        self._exposed_ns: int | None = None

    def add(self, frame_number: int, received_ns: int) -> int | None:
        """A frame's number and when its last byte was read: when it was exposed (host monotonic), None while there is no fit.

        The same number again gives the same answer. A number from behind, one beyond the window and an arrival half a frame
        before any possible one begin a new fit.
        """
        if frame_number == self._number:
            return self._exposed_ns
        ahead = WRAP if self._number is None else (frame_number - self._number) % WRAP
        self._number = frame_number
        if ahead >= HALF_WRAP or ahead > self._window:
            self._begin(received_ns)
            return None
        self._index += ahead
        arrival = float(received_ns - self._origin_ns)
        late = arrival - self._line_at(self._index)
        if late < -self._period / 2.0:
            self._begin(received_ns)
            return None
        if late < 0.0:
            self._lower(late)
        self._keep_earliest(arrival, late)
        if not self._is_fitted and not self._has_enough(ahead, late):
            return None
        self._exposed_ns = self._origin_ns + round(self._line_at(self._index)) - self._latency_ns
        return self._exposed_ns

    @property
    def state(self) -> ClockState:
        if self._number is None or not self._is_fitted:
            return UNFITTED
        return ClockState(is_fitted=True, bound_ns=self.bound_ns, drift_ppm=1e6 * (self._slope / self._stated_period - 1.0))

    # ---- a fit's life ------------------------------------------------------------------------------------------------

    def _begin(self, received_ns: int) -> None:
        """The line goes through this one arrival at the stated rate."""
        self._origin_ns = received_ns
        self._index = 0
        self._reference, self._line, self._slope = 0, 0.0, self._period
        self._is_fitted = False
        self._close = self._lowered = 0.0
        self._floors.clear()
        self._earliest, self._least_late = (0, 0.0), 0.0
        self._exposed_ns = None

    def _line_at(self, index: int) -> float:
        return self._line + self._slope * (index - self._reference)

    def _lower(self, late: float) -> None:
        self._line += late
        self._lowered -= late

    def _has_enough(self, ahead: int, late: float) -> bool:
        """Half a second of frames within half a period of the line, which must not have fallen by more meanwhile."""
        half_frame = self._period / 2.0
        if self._lowered > half_frame:
            self._close = self._lowered = 0.0
        if late < half_frame:
            self._close += min(ahead, 4) * self._period  # a gap proves nothing; poses may come at every third frame
        self._is_fitted = self._close >= FIT_NS
        return self._is_fitted

    def _keep_earliest(self, arrival: float, late: float) -> None:
        if self._index // self._bucket != self._earliest[0] // self._bucket:
            self._renew()
            self._least_late = float("inf")
        if late <= self._least_late:
            self._earliest, self._least_late = (self._index, arrival), late

    # ---- the line ----------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        """A piece is complete: follow drift, hold against a longer way."""
        self._floors.append(self._earliest)
        now = self._index
        while self._floors[0][0] < now - self._window:
            self._floors.popleft()
        line, elapsed_ns = self._line_at(now), self._slope * (now - self._reference)
        self._correct_slope(now)
        gap = min(arrival + self._slope * (now - index) for index, arrival in self._floors) - line
        if not self._is_fitted:
            line += gap
        elif gap <= STEP_NS:
            line += min(gap, LARGEST_DRIFT * elapsed_ns)
        self._reference, self._line = now, line

    def _correct_slope(self, now: int) -> None:
        """Compare the envelopes of the window's two halves; a difference too large for drift is none."""
        middle = now - self._window // 2
        if self._floors[0][0] > now - 3 * self._window // 4:
            return
        later = [arrival - self._slope * index for index, arrival in self._floors if index >= middle]
        earlier = [arrival - self._slope * index for index, arrival in self._floors if index < middle]
        if not later or not earlier:
            return
        difference = min(later) - min(earlier)
        found = difference / (self._window / 2.0)
        largest = LARGEST_SLOPE_ERROR * self._period
        if abs(found) <= largest:
            self._slope = min(max(self._slope + SLOPE_GAIN * found, self._period - largest), self._period + largest)


# ---- sources that stream --------------------------------------------------------------------------------------------


class ArrivalClock:
    """For a source without a clock of its own: exposed no earlier than its stated worst latency before its bytes came."""

    def __init__(self, worst_latency_ns: int) -> None:
        self._worst_latency_ns = worst_latency_ns

    def add(self, received_ns: int) -> int:
        return received_ns - self._worst_latency_ns

    @property
    def state(self) -> ClockState:
        return ClockState(is_fitted=True, bound_ns=self._worst_latency_ns)


class StampClock:
    """For a sender that stamps its frames by a clock that nobody compares with ours.

    The least delay from stamp to arrival within the last seconds is what a message takes at the least; what waited longer is dated by
    its stamp and comes out as old as it is. `worst_latency_ns` is stated: from exposure to the arrival of a message that did not wait.
    """

    bound_ns = round(LARGEST_DRIFT * WINDOW_NS)
    """Dates are too early by no more than this besides, for as fast as clocks drift and are slewed."""

    def __init__(self, worst_latency_ns: int) -> None:
        self._worst_latency_ns = worst_latency_ns
        self.restart()

    def restart(self) -> None:
        self._least: deque[tuple[int, int]] = deque()  # least delay of each piece of time: when the piece began (stamp), ns
        self._first_ns = self._last_ns = 0

    def add(self, stamp_ns: int, received_ns: int) -> int | None:
        """When the frame was exposed (host monotonic); None before half a second of frames.

        A stamp from behind, and one beyond the window, begin a new fit.
        """
        if not self._least or not 0 <= stamp_ns - self._last_ns <= WINDOW_NS:
            self._least.clear()
            self._first_ns = stamp_ns
        self._last_ns = stamp_ns
        delay_ns = received_ns - stamp_ns
        if not self._least or stamp_ns - self._least[-1][0] >= BUCKET_NS:
            self._least.append((stamp_ns, delay_ns))
        elif delay_ns < self._least[-1][1]:
            self._least[-1] = (self._least[-1][0], delay_ns)
        while self._least[0][0] < stamp_ns - WINDOW_NS:
            self._least.popleft()
        if not self._is_fitted:
            return None
        return stamp_ns + self._offset_ns - self._worst_latency_ns

    @property
    def _is_fitted(self) -> bool:
        return bool(self._least) and self._last_ns - self._first_ns >= FIT_NS

    @property
    def _offset_ns(self) -> int:
        return min(delay_ns for _, delay_ns in self._least)

    @property
    def state(self) -> ClockState:
        if not self._is_fitted:
            return UNFITTED
        return ClockState(
            is_fitted=True, bound_ns=self._worst_latency_ns + self.bound_ns, drift_ppm=self._drift_ppm(), offset_ns=self._offset_ns
        )

    def _drift_ppm(self) -> float | None:
        """From the least delays of the window's halves, once it is full."""
        half = len(self._least) // 2
        pieces = list(self._least)
        if pieces[-1][0] - pieces[0][0] < 3 * WINDOW_NS // 4:
            return None
        earlier, later = (min(part, key=lambda piece: piece[1]) for part in (pieces[:half], pieces[half:]))
        return 1e6 * (later[1] - earlier[1]) / (later[0] - earlier[0])


DRIFT_AFTER_NS = 20_000_000_000  # of exchanges: within less, their noise is larger than what clocks drift


class ExchangeClock:
    """For a sender whose clock is compared with ours from time to time, as LSL does: an offset, and by how much it may be wrong.

    A date is taken early by the whole of that, and by what clocks may have drifted since the last exchange; and never later than the
    arrival allows. `worst_latency_ns` is stated: from exposure to the sender's stamp, or to the arrival if that is later.
    """

    def __init__(self, worst_latency_ns: int) -> None:
        self._worst_latency_ns = worst_latency_ns
        self.restart()

    def restart(self) -> None:
        self._offset_ns: int | None = None
        self._renewed_ns = self._first_ns = self._first_offset_ns = 0
        self._bound_ns = 0

    def add(self, stamp_ns: int, received_ns: int, host_minus_source_ns: int | None, bound_ns: int | None) -> int | None:
        """When the frame was exposed (host monotonic); None while no times have been exchanged."""
        if host_minus_source_ns is None or bound_ns is None:
            self.restart()
            return None
        if self._offset_ns is None:
            self._first_ns, self._first_offset_ns = received_ns, host_minus_source_ns
        if host_minus_source_ns != self._offset_ns:
            self._offset_ns, self._renewed_ns = host_minus_source_ns, received_ns
        self._bound_ns = bound_ns + round(LARGEST_DRIFT * (received_ns - self._renewed_ns))
        return min(stamp_ns + host_minus_source_ns - self._bound_ns, received_ns) - self._worst_latency_ns

    @property
    def state(self) -> ClockState:
        if self._offset_ns is None:
            return UNFITTED
        elapsed_ns = self._renewed_ns - self._first_ns
        drift_ppm = None if elapsed_ns < DRIFT_AFTER_NS else 1e6 * (self._offset_ns - self._first_offset_ns) / elapsed_ns
        return ClockState(
            is_fitted=True, bound_ns=self._worst_latency_ns + self._bound_ns, drift_ppm=drift_ppm, offset_ns=self._offset_ns
        )
