"""The Python client against a real bus, and its telemetry bookkeeping by itself."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from clients.link import COMMANDS, TELEMETRY, BadChairFile, BadEndpoint, CommandRefused, Link, NoAnswer, Telemetry, read_endpoints
from daemon.bus import Call
from daemon.config import NetworkSection
from daemon.messages import (
    CoilErrorBody,
    Done,
    Error,
    ErrorCode,
    Header,
    Heartbeat,
    HelloResult,
    Message,
    Priority,
    SessionBody,
    SnapshotResult,
    Step,
    TouchResult,
    Word,
)
from tests.running_bus import DEADLINE_S, RunningBus


def beat(state_rev: int = 1) -> Heartbeat:
    return Heartbeat(state_rev=state_rev, step=Step.AIM, chair="test", operator=None, hot_age_ms=None)


def session(state_rev: int = 1) -> SessionBody:
    return SessionBody(state_rev=state_rev, step=Step.AIM, word=Word.AIM)


COIL = CoilErrorBody(frame_number=1, exposed_ns=1, age_ms=1.0, on_target=False, settling=False)


@pytest.fixture
def bus() -> Iterator[RunningBus]:
    with RunningBus() as running:
        running.publish("v1/hb", beat())
        yield running


@pytest.fixture
def link(bus: RunningBus) -> Iterator[Link]:
    with Link(bus.commands, bus.telemetry) as connected:
        assert connected.wait(lambda heard: heard.latest("v1/hb") is not None, DEADLINE_S)
        yield connected


# ---- bookkeeping, without sockets -----------------------------------------------------------------------------------


def frames(topic: str, body: Message, *, seq: int = 1, epoch: int = 7, mono_ns: int = 1000, retained: bool = False) -> list[bytes]:
    header = Header(seq=seq, mono_ns=mono_ns, utc="u", epoch=epoch, severity=Priority.NONE, valid=True, retained=retained)
    return [topic.encode(), msgspec.json.encode(header), msgspec.json.encode(body)]


def test_missed_frames_are_counted_for_each_topic() -> None:
    telemetry = Telemetry()
    telemetry.take(frames("v1/hb", beat(), seq=5), 0)
    telemetry.take(frames("v1/session", session(), seq=1), 0)
    received = telemetry.take(frames("v1/hb", beat(), seq=9), 0)
    assert received is not None and received.missed == 3
    assert (telemetry.missed["v1/hb"], telemetry.missed["v1/session"]) == (3, 0)


def test_a_retained_copy_of_what_was_seen_is_no_news_and_no_gap() -> None:
    telemetry = Telemetry()
    telemetry.take(frames("v1/hb", beat(), seq=5), 0)
    assert telemetry.take(frames("v1/hb", beat(), seq=5, retained=True), 0) is None
    assert telemetry.missed["v1/hb"] == 0


def test_a_new_epoch_clears_what_was_known() -> None:
    telemetry = Telemetry()
    telemetry.take(frames("v1/hb", beat(50), seq=5), 0)
    telemetry.take(frames("v1/session", session(50), seq=5), 0)
    telemetry.take(frames("v1/hb", beat(2), seq=1, epoch=8), 0)
    assert telemetry.latest("v1/session") is None
    assert (telemetry.epoch, telemetry.restarts, telemetry.state_rev, telemetry.missed["v1/hb"]) == (8, 1, 2, 0)


def test_the_first_epoch_is_no_restart() -> None:
    telemetry = Telemetry()
    telemetry.take(frames("v1/hb", beat()), 0)
    assert telemetry.restarts == 0


@pytest.mark.parametrize(
    "strange",
    [
        [b"v1/hb"],
        [b"v1/hb", b"{}", b"{}"],
        [b"v1/hb", b"\xff", b"\xff"],
        [b"\xff\xfe", b"{}", b"{}"],
        [b"v1/tomorrow", b"{}", b"{}"],
        [b"v1/hb", b"[" * 60_000, b""],
        [b"a", b"b", b"c", b"d"],
    ],
)
def test_frames_that_cannot_be_read_are_passed_over(strange: list[bytes]) -> None:
    telemetry = Telemetry()
    assert telemetry.take(strange, 0) is None
    assert telemetry.epoch is None


def test_fields_of_a_newer_daemon_are_passed_over() -> None:
    topic, header, body = frames("v1/hb", beat(3))
    received = Telemetry().take([topic, header[:-1] + b',"mood":1}', body[:-1] + b',"mood":[1]}'], 0)
    assert received is not None and received.body == beat(3)


def test_a_value_is_as_old_as_its_making_or_its_reading_whichever_is_longer_ago() -> None:
    telemetry = Telemetry()
    telemetry.take(frames("v1/hb", beat(), mono_ns=1_000_000_000), 4_000_000_000)
    assert telemetry.age_s("v1/hb", 5_000_000_000) == 4.0
    telemetry.take(frames("v1/hb", beat(), seq=2, mono_ns=9_000_000_000), 4_000_000_000)
    assert telemetry.age_s("v1/hb", 5_000_000_000) == 1.0


def test_the_age_of_what_was_never_heard_is_unknown() -> None:
    assert Telemetry().age_s("v1/hb", 0) is None


# ---- telemetry over sockets -----------------------------------------------------------------------------------------


def test_a_link_made_before_its_daemon_hears_it_when_it_comes(tmp_path: Path) -> None:
    network = NetworkSection(commands=f"ipc://{tmp_path / 'c'}", telemetry=f"ipc://{tmp_path / 't'}")
    with Link(network.commands, network.telemetry) as link:
        assert link.pump() == ()
        with RunningBus(network=network) as bus:
            bus.publish("v1/hb", beat())
            assert link.wait(lambda heard: heard.latest("v1/hb") is not None, DEADLINE_S)


def test_updates_come_in_order_and_latest_is_the_newest(bus: RunningBus, link: Link) -> None:
    bus.publish_all("v1/hb", [beat(number) for number in range(2, 50)])
    revisions = []
    for received in link.updates():
        assert isinstance(received.body, Heartbeat)
        revisions.append(received.body.state_rev)
        if received.body.state_rev == 49:
            break
    assert revisions == list(range(2, 50))
    newest = link.latest("v1/hb")
    assert newest is not None and newest.body == beat(49)


def test_only_the_topics_asked_for_come(bus: RunningBus) -> None:
    with Link(bus.commands, bus.telemetry, topics=("v1/session",)) as link:
        bus.publish("v1/hb", beat())
        bus.publish("v1/session", session())
        assert link.wait(lambda heard: heard.latest("v1/session") is not None, DEADLINE_S)
        assert link.latest("v1/hb") is None


def test_waiting_for_what_does_not_come_ends_in_false(link: Link) -> None:
    assert not link.wait(lambda heard: heard.latest("v1/dose") is not None, 0.01)


def test_age_grows_with_the_clock(bus: RunningBus) -> None:
    ahead_ns = 0
    with Link(bus.commands, bus.telemetry, clock=lambda: time.monotonic_ns() + ahead_ns) as link:
        bus.publish("v1/coil/error", COIL)
        assert link.age_s("v1/coil/error") is None
        assert link.wait(lambda heard: heard.latest("v1/coil/error") is not None, DEADLINE_S)
        ahead_ns = 100_000_000_000
        age_s = link.age_s("v1/coil/error")
        assert age_s is not None and age_s >= 100.0


def test_hello_is_said_without_being_asked_for(link: Link) -> None:
    assert link.wait(lambda heard: heard.hello is not None, DEADLINE_S)
    assert link.hello is not None and link.hello.chair == "test"


def test_a_restart_clears_the_state_and_the_new_daemon_is_greeted(tmp_path: Path) -> None:
    network = NetworkSection(commands=f"ipc://{tmp_path / 'c'}", telemetry=f"ipc://{tmp_path / 't'}")
    with Link(network.commands, network.telemetry) as link:
        with RunningBus(network=network, epoch=1) as first:
            first.publish("v1/hb", beat(70))
            first.publish("v1/session", session(70))
            assert link.wait(lambda heard: heard.latest("v1/session") is not None and heard.hello is not None, DEADLINE_S)
        with RunningBus(network=network, epoch=2) as second:
            second.publish("v1/hb", beat(3))
            assert link.wait(lambda heard: heard.hello is not None and heard.hello.epoch == 2, DEADLINE_S)
        assert (link.telemetry.restarts, link.telemetry.state_rev, link.latest("v1/session")) == (1, 3, None)


# ---- commands -------------------------------------------------------------------------------------------------------


def test_results_come_typed(link: Link) -> None:
    hello, snapshot = link.call("hello"), link.call("snapshot")
    assert isinstance(hello, HelloResult) and isinstance(snapshot, SnapshotResult)
    assert msgspec.json.decode(snapshot.values["v1/hb"].body, type=Heartbeat) == beat()


def test_a_command_names_the_newest_revision_heard(bus: RunningBus, link: Link) -> None:
    bus.publish("v1/session", session(8))
    bus.publish("v1/hb", beat(8))
    assert link.wait(lambda heard: heard.telemetry.state_rev == 8, DEADLINE_S)
    link.call("arm")
    assert bus.calls[-1].state_rev == 8


def test_the_next_command_builds_on_the_result_of_the_last(bus: RunningBus, link: Link) -> None:
    bus.state_rev = 12
    assert link.call("arm") == Done(state_rev=12)
    link.call("start")
    assert bus.calls[-1].state_rev == 12


def test_a_command_that_changes_nothing_names_no_revision(bus: RunningBus, link: Link) -> None:
    link.call("take_lease", name="Ada")
    assert bus.calls[-1].state_rev is None


def test_parameters_are_sent_as_given() -> None:
    async def touch(call: Call) -> Message | Error:
        return TouchResult(state_rev=2, landmark=call.params.landmark, touches=1, spread_mm=0.1, apart_mm=None)  # type: ignore[attr-defined]

    with RunningBus(touch) as bus, Link(bus.commands, bus.telemetry) as link:
        bus.publish("v1/hb", beat())
        assert link.call("touch_landmark", landmark="NAS").landmark == "NAS"


def test_a_refusal_is_raised_with_code_and_remedy() -> None:
    async def refuse(_: Call) -> Message | Error:
        return Error(code=ErrorCode.WRONG_STEP, message="Not now", remedy="Register first.")

    with RunningBus(refuse) as bus, Link(bus.commands, bus.telemetry) as link, pytest.raises(CommandRefused) as caught:
        link.call("hold")
    assert caught.value.error.code is ErrorCode.WRONG_STEP
    assert str(caught.value) == "hold: WRONG_STEP: Not now. Register first."


def test_no_answer_in_time_is_raised_as_such() -> None:
    async def hang(_: Call) -> Message | Error:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    with RunningBus(hang) as bus, Link(bus.commands, bus.telemetry) as link, pytest.raises(NoAnswer, match="no answer within"):
        link.call("hold", timeout_s=0.1)


def test_a_late_answer_is_not_taken_for_the_next_ones() -> None:
    release = asyncio.Event()

    async def slow(call: Call) -> Message | Error:
        if call.method == "hold":
            await release.wait()
            return Done(state_rev=1)
        return Done(state_rev=2)

    with RunningBus(slow) as bus, Link(bus.commands, bus.telemetry) as link:
        with pytest.raises(NoAnswer):
            link.call("hold", timeout_s=0.1)
        bus.on_loop(release.set)
        assert link.call("take_lease", name="Ada") == Done(state_rev=2)


def test_without_a_daemon_nothing_is_sent_and_that_is_said(tmp_path: Path) -> None:
    with Link(f"ipc://{tmp_path / 'c'}", f"ipc://{tmp_path / 't'}") as link:
        with pytest.raises(NoAnswer, match="nothing was sent"):
            link.call("stop", timeout_s=0.05)
        with pytest.raises(NoAnswer, match="state is unknown"):
            link.call("arm", timeout_s=0.05)


def test_a_command_does_not_wait_for_a_daemon_that_comes_later(tmp_path: Path) -> None:
    network = NetworkSection(commands=f"ipc://{tmp_path / 'c'}", telemetry=f"ipc://{tmp_path / 't'}")
    with Link(network.commands, network.telemetry) as link:
        with pytest.raises(NoAnswer):
            link.call("hold", timeout_s=0.05)
        with RunningBus(network=network) as bus:
            link.call("take_lease", name="Ada")
            assert [call.method for call in bus.calls] == ["take_lease"]


def test_an_answer_of_another_shape_is_said_to_be_unreadable() -> None:
    async def answer(_: Call) -> Message | Error:
        return beat()

    with RunningBus(answer) as bus, Link(bus.commands, bus.telemetry) as link, pytest.raises(NoAnswer, match="differ in version"):
        link.call("stop")


@pytest.mark.parametrize(("method", "params"), [("fire", {}), ("hold", {"now": True}), ("take_lease", {}), ("take_lease", {"name": 5})])
def test_what_does_not_exist_is_refused_before_it_is_sent(bus: RunningBus, link: Link, method: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        link.call(method, **params)
    assert not bus.calls


def test_a_link_is_the_same_client_after_it_reconnected(tmp_path: Path) -> None:
    network = NetworkSection(commands=f"ipc://{tmp_path / 'c'}", telemetry=f"ipc://{tmp_path / 't'}")
    with Link(network.commands, network.telemetry) as link:
        with RunningBus(network=network, epoch=1) as first:
            first.publish("v1/hb", beat())
            link.call("hold")
        with RunningBus(network=network, epoch=2) as second:
            second.publish("v1/hb", beat())
            assert link.wait(lambda heard: heard.hello is not None and heard.hello.epoch == 2, DEADLINE_S)
            link.call("hold")
        assert first.calls[0].client == second.calls[0].client


# ---- the lease ------------------------------------------------------------------------------------------------------


def test_pumping_keeps_the_lease(bus: RunningBus, link: Link) -> None:
    link.call("take_lease", name="Ada")
    link.keep_lease_every(0.01)
    assert link.wait(lambda _: [call.method for call in bus.calls].count("keep_lease") >= 3, DEADLINE_S)
    assert not link.lease_lost


def test_a_lease_no_longer_wanted_is_no_longer_kept(bus: RunningBus, link: Link) -> None:
    link.keep_lease_every(1e-9)
    link.keep_lease_every(None)
    link.call("hold")
    link.call("hold")
    assert [call.method for call in bus.calls] == ["hold", "hold"]


def test_a_refused_keeping_ends_and_is_told() -> None:
    async def refuse(call: Call) -> Message | Error:
        return Done(state_rev=1) if call.method == "hold" else Error(code=ErrorCode.NOT_OPERATOR, message="m", remedy="r")

    with RunningBus(refuse) as bus, Link(bus.commands, bus.telemetry) as link:
        link.keep_lease_every(1e-9)
        assert link.wait(lambda heard: heard.lease_lost, DEADLINE_S)
        link.call("hold")
        kept = len(bus.calls)
        link.call("hold")
        link.call("hold")
        assert [call.method for call in bus.calls[kept:]] == ["hold", "hold"]


def test_a_restart_ends_the_lease() -> None:
    telemetry = frames("v1/hb", beat(), epoch=1), frames("v1/hb", beat(), epoch=2)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.XPUB) as daemon:
        port = daemon.bind_to_random_port("tcp://127.0.0.1")
        with Link("tcp://127.0.0.1:1", f"tcp://127.0.0.1:{port}") as link:
            daemon.recv()
            daemon.send_multipart(telemetry[0])
            assert link.wait(lambda heard: heard.telemetry.epoch == 1, DEADLINE_S)
            link.keep_lease_every(1.0)
            daemon.send_multipart(telemetry[1])
            assert link.wait(lambda heard: heard.telemetry.epoch == 2, DEADLINE_S)
            assert link.lease_lost
    context.term()


# ---- where the daemon is --------------------------------------------------------------------------------------------


def test_the_chairs_file_says_where_the_daemon_is(tmp_path: Path) -> None:
    (tmp_path / "chair.toml").write_text('[network]\ncommands = "ipc:///a"\n[other]\nx = 1\n')
    assert read_endpoints(tmp_path / "chair.toml") == ("ipc:///a", TELEMETRY)


def test_a_file_without_network_means_the_usual_endpoints(tmp_path: Path) -> None:
    (tmp_path / "chair.toml").write_text("")
    assert read_endpoints(tmp_path / "chair.toml") == (COMMANDS, TELEMETRY)
    assert (NetworkSection().commands, NetworkSection().telemetry) == (COMMANDS, TELEMETRY)


def test_a_link_can_be_made_from_the_chairs_file(bus: RunningBus, tmp_path: Path) -> None:
    (tmp_path / "chair.toml").write_text(f'[network]\ncommands = "{bus.commands}"\ntelemetry = "{bus.telemetry}"\n')
    with Link.from_config(tmp_path / "chair.toml") as link:
        assert link.call("hello").chair == "test"


@pytest.mark.parametrize("text", ["[network\n", "network = 5\n", "[network]\ncommands = 5\n", "\x00"])
def test_a_bad_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "chair.toml").write_text(text)
    with pytest.raises(BadChairFile, match=r"chair\.toml"):
        read_endpoints(tmp_path / "chair.toml")


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadChairFile, match="cannot be read"):
        read_endpoints(tmp_path / "none.toml")


def test_an_endpoint_that_is_none_is_one_clear_error() -> None:
    with pytest.raises(BadEndpoint, match="nonsense"):
        Link("tcp://127.0.0.1:5570", "nonsense")
