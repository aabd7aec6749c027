"""What a simulated stream sends: nothing wrong unless it is asked for, and each fault as it is asked for."""

import math

import pytest

from sim.igtl_tracker import IgtlServer, Occluded
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import ROOM_BODIES
from sim.stream_source import StreamFaults, StreamFrame, StreamSource

MS, S = 1_000_000, 1_000_000_000
T0 = 10**12


def source(**changes: object) -> StreamSource:
    fields: dict[str, object] = {"latency_ms": 10.0, "seed": 3}
    return StreamSource(SlowMotion(ROOM_BODIES), 100.0, T0, **(fields | changes))  # type: ignore[arg-type]


def frames(of: StreamSource, seconds: float) -> list[StreamFrame]:
    """What it sends when it is looked after every 2 ms, from its start."""
    sent = []
    for now_ns in range(T0, T0 + round(seconds * S), 2 * MS):
        sent += of.due(now_ns)
    return sent


def test_without_a_fault_every_frame_leaves_on_time_with_every_body_where_it_is() -> None:
    sent = frames(source(), 1.0)
    assert len(sent) == 99
    assert [frame.exposed_ns for frame in sent] == [T0 + index * 10 * MS for index in range(99)]
    assert all(frame.stamp_ns == frame.exposed_ns for frame in sent)
    truth = SlowMotion(ROOM_BODIES)
    for frame in sent[::20]:
        for body, pose in frame.poses.items():
            assert pose is not None
            assert pose.mm == truth.pose(body, frame.exposed_ns).in_tracker_mm  # type: ignore[union-attr]


def test_noise_is_as_large_as_asked() -> None:
    quiet, noisy = frames(source(), 3.0), frames(source(noise_mm=0.1), 3.0)
    apart = [math.dist(a.poses["coil"].mm, b.poses["coil"].mm) for a, b in zip(quiet, noisy, strict=True)]  # type: ignore[union-attr]
    assert math.sqrt(sum(mm * mm for mm in apart) / len(apart)) == pytest.approx(0.1 * math.sqrt(3.0), rel=0.15)


def test_a_clock_of_its_own_drifts() -> None:
    sent = frames(source(drift_ppm=1000.0, clock_offset_ns=5 * S), 1.0)
    assert sent[0].stamp_ns - sent[0].exposed_ns == 5 * S
    assert sent[-1].stamp_ns - sent[-1].exposed_ns == pytest.approx(5 * S + 1e-3 * 0.98 * S, abs=MS // 10)


def test_occlusions_take_their_share_of_the_time() -> None:
    hidden = frames(source(faults=StreamFaults(occlusion_share=0.3, occlusion_s=0.2)), 60.0)
    share = sum(frame.poses["head"] is None for frame in hidden) / len(hidden)
    assert 0.2 < share < 0.4


def test_dropped_repeated_skipped_and_silent_frames() -> None:
    assert len(frames(source(faults=StreamFaults(drop_share=0.5)), 2.0)) == pytest.approx(100, abs=25)
    assert len(frames(source(faults=StreamFaults(repeat_frames=3)), 1.0)) == 102
    assert len(frames(source(faults=StreamFaults(skip_frames=9)), 1.0)) == 90
    assert frames(source(faults=StreamFaults(silent=True)), 1.0) == []


def test_a_stall_keeps_what_it_holds_back_and_a_silence_loses_it() -> None:
    stalling = source(stall_every_s=1.0, stall_s=0.3)
    assert len(frames(stalling, 0.99)) == 69
    assert len(stalling.due(T0 + 1000 * MS)) == 31
    held = source(faults=StreamFaults(stalled=True))
    assert frames(held, 0.5) == []
    held.faults.stalled = False
    assert len(held.due(T0 + 500 * MS)) == 50


def test_an_outlier_is_50_mm_off_and_a_frozen_body_stays_where_it_was() -> None:
    sent = frames(source(faults=StreamFaults(outlier_frames=1)), 0.1)
    assert math.dist(sent[0].poses["head"].mm, sent[1].poses["head"].mm) == pytest.approx(50.0, abs=1.0)  # type: ignore[union-attr]
    freezing = source()
    first = freezing.due(T0 + 10 * MS)[-1]
    freezing.faults.frozen.add("coil")
    later = freezing.due(T0 + 500 * MS)[-1]
    assert later.poses["coil"] == first.poses["coil"]
    assert later.poses["head"] != first.poses["head"]


@pytest.mark.parametrize(("occluded", "messages"), [(Occluded.IDENTITY, 3), (Occluded.STALE, 3), (Occluded.SKIP, 2)])
def test_what_is_not_seen_is_sent_as_servers_do(occluded: Occluded, messages: int) -> None:
    server = IgtlServer("127.0.0.1", 0, source(), occluded=occluded, version=1)
    try:
        whole = server.messages(server.source.due(T0 + 30 * MS)[0])
        server.faults.missing.add("coil")
        (after,) = server.source.due(T0 + 40 * MS)
        assert len(whole) == 3 * 106
        assert len(server.messages(after)) == messages * 106
    finally:
        server.stop()
        server.run_forever()  # ends at once, and closes what is open


def test_a_sender_that_was_stopped_for_long_goes_on_from_now() -> None:
    stopped = source()
    assert len(stopped.due(T0 + 3600 * S)) == pytest.approx(1000, abs=1)
    assert stopped.next_ns() > T0 + 3600 * S
