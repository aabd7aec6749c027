"""When a camera frame was exposed, on the host's monotonic clock, from its number and the time its bytes were read.

Owns the fit of one clock on another; reads no clock, knows no device.
"""

from collections import deque

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
        self._period = 1e9 / frame_hz
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
