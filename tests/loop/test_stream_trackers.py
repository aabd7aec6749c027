"""The hot process aimed by a stream: a train is given whole, and whatever befalls the stream ends it in time, with a way back."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon import ipc
from sim.room_tracker import IGTL, LSL
from sim.stream_source import StreamFaults
from tests.loop.accounts import MS, assert_accounted, assert_confirmed_off, assert_whole
from tests.loop.hot_rig import SHORT, HotRig
from tests.lsl_machine import this_machine_only

POSE_MS = 100  # a pose is fresh for so long
DWELL_MS = 100
CHAIN_MS = 150
BACK_S = 20.0


@pytest.fixture(scope="module", params=[LSL, IGTL])
def stream_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HotRig]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSLAPICFG", this_machine_only(folder)["LSLAPICFG"])  # the reader is a process of its own
        with HotRig(folder, tracker=request.param) as rig:
            yield rig
    assert rig.process.returncode == 0, rig.complaints


@pytest.fixture
def rig(stream_rig: HotRig) -> HotRig:
    stream_rig.rest()
    return stream_rig


def faults(rig: HotRig) -> StreamFaults:
    return rig.room.stream.faults


def test_a_train_is_given_whole_and_every_pose_is_as_old_as_it_is(rig: HotRig) -> None:
    grant = rig.fire(settings=SHORT)
    assert_whole(rig.receipt(grant), SHORT)
    ages_ms = [(news.received_ns - news.exposed_ns) / MS for news in rig.all(ipc.FrameNews) if news.exposed_ns is not None]
    assert len(ages_ms) > 30
    assert min(ages_ms) >= 8.0, "no pose is dated after its exposure, 8 ms before it was sent"
    assert_accounted(rig, exact=True)


def silent(rig: HotRig) -> None:
    faults(rig).silent = True


def stalled(rig: HotRig) -> None:
    faults(rig).stalled = True


@pytest.mark.parametrize("befall", [silent, stalled])
def test_a_stream_that_falls_silent_ends_the_train_and_its_return_opens_the_gate(
    rig: HotRig, befall: Callable[[HotRig], None]
) -> None:
    grant = rig.fire(settings=SHORT)
    since_ns = time.monotonic_ns()
    befall(rig)
    assert_confirmed_off(rig, since_ns, POSE_MS + CHAIN_MS)
    assert "pose_stale" in rig.receipt(grant).why
    rig.wait_for(ipc.TrackerNews, where=lambda news: news.state == "lost")
    rig.room.mend()
    rig.wait_on_target()
    assert_accounted(rig, exact=True)


def test_a_head_out_of_sight_beyond_the_dwell_ends_the_train(rig: HotRig) -> None:
    grant = rig.fire(settings=SHORT)
    since_ns = time.monotonic_ns()
    faults(rig).missing.add("head")
    assert_confirmed_off(rig, since_ns, DWELL_MS + CHAIN_MS)
    assert rig.receipt(grant).why == ("off_target",)
    rig.wait_vetoed("head_unseen")
    rig.room.mend()
    rig.wait_on_target()
    assert_accounted(rig, exact=True)


def test_a_stream_that_ends_and_begins_again_is_found_again(rig: HotRig) -> None:
    begun_ns = time.monotonic_ns()
    rig.room.stream.hang_up()
    rig.wait_for(ipc.TrackerNews, BACK_S, where=lambda news: news.state in ("lost", "setup"))
    rig.wait_for(ipc.TrackerNews, BACK_S, where=lambda news: news.state == "tracking")
    rig.room.wait("a dated frame", lambda: any((n.exposed_ns or 0) > begun_ns for n in rig.all(ipc.FrameNews)[-3:]), BACK_S)
    rig.wait_on_target()


def test_no_reader_outlives_the_hot_process(stream_rig: HotRig) -> None:
    """Last in this file: it ends the process."""
    children = Path(f"/proc/{stream_rig.process.pid}/task/{stream_rig.process.pid}/children").read_text().split()
    stream_rig.cut_life()
    assert stream_rig.exit_code() == 0
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)
