"""A tracker behind an LSL motion-capture stream: from the reader's packets to frames, and what to do when they stop. Sans-IO.

The link is a socket to `lsl_reader`. NaN and confidence 0 are tools that are not seen; silence yields no frame.
"""

import math
from collections.abc import Mapping

from drivers.lsl_wire import Follow, Found, FromReader, Looking, PacketReader, Sample, encode
from drivers.mocap_wire import Layout, ObjectChannels
from drivers.protocols import Step
from drivers.stream_life import StreamLife
from drivers.stream_samples import Poses, unseen
from drivers.values import SourceStamp, ToolSample, TrackerEvent, TrackerFrame, TrackerIdentity, Unseen, WireError

READER_SILENT_NS = 10_000_000_000  # a reader says every half second that it lives, once it has begun, which takes seconds on a busy machine
FIRST_FRAME_NS = 5_000_000_000  # a stream that was found and sends nothing for so long is looked for again
MOST_SKIPPED = 1_000_000
SIMULATED = "SIM-"


class LslTracker:
    """A `drivers.protocols.Tracker`. `tools`: tool -> object of the stream, in the order in which frames report them.

    `frame_hz` is for streams that state no rate. `stated_rms_mm`: what the site found of the poses' noise. A pose whose confidence is
    below `least_confidence` is shown and never good enough to fire on.
    """

    def __init__(
        self, stream: str, tools: Mapping[str, str], *, stated_rms_mm: float, least_confidence: float, frame_hz: float | None = None
    ) -> None:
        self._stream, self._tools = stream, dict(tools)
        self._frame_hz, self._least_confidence = frame_hz, least_confidence
        where = f"LSL stream {stream!r}"
        self._packets: PacketReader[FromReader] = PacketReader(FromReader, where)
        self._life = StreamLife(where)
        self._poses = Poses(stated_rms_mm)
        self._places: tuple[tuple[str, ObjectChannels | None], ...] = ()
        self._layout: Layout | None = None
        self._identity: TrackerIdentity | None = None  # of the stream whose first frame is awaited
        self._number = self._received_ns = 0
        self._stamp_ns: int | None = None
        self._heard_ns = 0  # the reader

    def connected(self, now_ns: int) -> Step[TrackerEvent]:
        self._packets.reset()
        self._layout, self._heard_ns = None, now_ns
        self._life.connected(now_ns)
        return self._step(now_ns, self._request())

    def disconnected(self, now_ns: int) -> Step[TrackerEvent]:
        self._life.disconnected(now_ns)
        return self._step(now_ns)

    def feed(self, data: bytes, now_ns: int) -> Step[TrackerEvent]:
        if self._life.is_linked:
            self._heard_ns = now_ns
            try:
                for packet in self._packets.push(data):
                    self._take(packet, now_ns)
            except WireError as error:
                self._life.fall_apart(now_ns, error.what, error.remedy)
        return self._look(now_ns)

    def tick(self, now_ns: int) -> Step[TrackerEvent]:
        self._life.tick(now_ns)
        return self._look(now_ns)

    def farewell(self, now_ns: int) -> Step[TrackerEvent]:
        """The reader leaves when the socket closes."""
        self._life.farewell()
        return self._step(now_ns)

    # ---- packets -----------------------------------------------------------------------------------------------------

    def _take(self, packet: FromReader, now_ns: int) -> None:
        match packet:
            case Sample():
                self._take_sample(packet, now_ns)
            case Found(layout=layout, is_local=is_local):
                self._take_layout(layout, is_local, now_ns)
            case Looking(why=why, remedy=remedy):
                self._layout = None
                known = why or "it is not there"
                self._life.wait_again(now_ns, known, remedy or "Start its sender; it is found by itself.")

    def _take_layout(self, layout: Layout, is_local: bool, now_ns: int) -> None:
        places = tuple((tool, layout.objects.get(name)) for tool, name in self._tools.items())
        rate_hz = self._frame_hz or layout.rate_hz
        missing = [self._tools[tool] for tool, channels in places if channels is None]
        if missing:
            there = ", ".join(layout.objects)
            why = f"it has no object {', '.join(missing)}; there are: {there}"
            self._life.wait_again(now_ns, why, "Check [tracker.tools] against the names that the sender gives.")
            return
        if rate_hz is None:
            self._life.wait_again(now_ns, "it states no rate", "Write [tracker].frame_hz.")
            return
        serial = layout.source_id or "unknown"
        if serial.startswith(SIMULATED) and not is_local:
            serial = f"{layout.host}:{serial}"  # only a simulator of this machine counts as one
        self._layout, self._places, self._stamp_ns = layout, places, None
        self._identity = TrackerIdentity(model=layout.model, serial=serial, firmware="unknown", frame_hz=rate_hz)
        self._life.wait_again(now_ns, "", "")

    def _take_sample(self, sample: Sample, now_ns: int) -> None:
        layout = self._layout
        if layout is None:
            return
        if len(sample.values) != layout.channels:
            raise WireError(f"a sample of {len(sample.values)} numbers, not {layout.channels}", "LSL reader", "It is started anew.")
        if self._identity is not None:
            self._life.begin_tracking(self._identity, now_ns)
            self._period_ns, self._identity = 1e9 / self._identity.frame_hz, None
        if self._stamp_ns is not None and sample.stamp_ns <= self._stamp_ns:
            self._life.count("samples that repeat or go back in time")
            return
        self._number += 1
        skipped = 0 if self._stamp_ns is None else round((sample.stamp_ns - self._stamp_ns) / self._period_ns) - 1
        self._stamp_ns = sample.stamp_ns
        self._received_ns = max(sample.arrived_ns, self._received_ns + 1)
        stamp = SourceStamp(
            source_ns=sample.stamp_ns, host_minus_source_ns=sample.host_minus_source_ns, bound_ns=sample.bound_ns
        )
        tools = tuple(self._sample(tool, channels, sample.values) for tool, channels in self._places if channels is not None)
        frame = TrackerFrame(
            frame_number=self._number,
            received_ns=self._received_ns,
            tools=tools,
            stamp=stamp,
            skipped=min(MOST_SKIPPED, max(0, skipped)),
        )
        self._life.frame(frame, now_ns)

    def _sample(self, tool: str, channels: ObjectChannels, values: tuple[float, ...]) -> ToolSample:
        x, y, z = (values[place] * scale for place, scale in zip(channels.xyz, channels.to_mm, strict=True))
        w, i, j, k = (values[place] for place in channels.wxyz)
        confidence = 1.0 if channels.confidence is None else values[channels.confidence]
        if not (confidence > 0.0 and math.isfinite(x + y + z + w + i + j + k)):
            return unseen(tool, self._number, Unseen.MISSING)
        return self._poses.seen(tool, self._number, (w, i, j, k), (x, y, z), flagged=confidence < self._least_confidence)

    # ---- time --------------------------------------------------------------------------------------------------------

    def _look(self, now_ns: int) -> Step[TrackerEvent]:
        send = b""
        self._life.look(now_ns)
        if self._life.is_linked and now_ns - self._heard_ns >= READER_SILENT_NS:
            self._life.fall_apart(now_ns, "its reader does not answer", "It is started anew by itself.")
        elif self._life.is_hopeless(now_ns) or (self._layout is not None and self._life.waited_ns(now_ns) >= FIRST_FRAME_NS):
            self._layout = None
            self._life.wait_again(now_ns, "it sends nothing", "It is looked for again by itself; check its sender.")
            send = self._request()
        return self._step(now_ns, send)

    def _request(self) -> bytes:
        return encode(Follow(stream=self._stream))

    def _step(self, now_ns: int, send: bytes = b"") -> Step[TrackerEvent]:
        return self._life.step(now_ns, self._heard_ns + READER_SILENT_NS if self._life.is_linked else now_ns + FIRST_FRAME_NS, send)
