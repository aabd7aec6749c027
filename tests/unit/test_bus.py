"""The network face over real sockets: telemetry, commands, and everything a stranger may send."""

import asyncio
import json
import random
import string
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import zmq

from daemon.bus import Bus, BusUnavailable, Call
from daemon.config import NetworkSection
from daemon.messages import (
    AlarmBody,
    Done,
    Error,
    ErrorCode,
    GateBody,
    Heartbeat,
    Message,
    Priority,
    SessionBody,
    Step,
    StopResult,
    Word,
)
from daemon.schema import schema_sha256
from tests.running_bus import DEADLINE_S, RawClient, RunningBus


def beat(state_rev: int = 1) -> Heartbeat:
    return Heartbeat(state_rev=state_rev, step=Step.AIM, chair="test", operator=None, hot_age_ms=None)


def session(state_rev: int = 1) -> SessionBody:
    return SessionBody(state_rev=state_rev, step=Step.AIM, word=Word.AIM)


def alarm(name: str) -> AlarmBody:
    return AlarmBody(id=name, priority=Priority.HIGH, text="t", do="d", raised_utc="2026-01-01T00:00:00Z", active=True)


LEASE = {"params": {"name": "Ada"}}


def subscribed(client: RawClient) -> None:
    """Come back once `client`'s subscription is in force: it has been sent the retained heartbeat."""
    while True:
        topic, header, _ = client.update()
        if topic == "v1/hb" and header["retained"]:
            return


def live(client: RawClient) -> tuple[str, Any, Any]:
    """The next value that is no retained one: those are sent to every subscriber whenever another comes."""
    while True:
        topic, header, body = client.update()
        if not header["retained"]:
            return topic, header, body


# ---- telemetry ------------------------------------------------------------------------------------------------------


def test_a_published_value_arrives_with_its_header() -> None:
    with RunningBus(epoch=42) as bus:
        bus.publish("v1/hb", beat())
        with RawClient(bus.commands, bus.telemetry, (b"v1/",)) as client:
            subscribed(client)
            bus.publish("v1/gate", GateBody(open=False, may_start=False, word=Word.AIM, reasons=()), severity=Priority.MEDIUM, valid=False)
            topic, header, body = live(client)
    assert topic == "v1/gate"
    assert body == {"open": False, "may_start": False, "word": "AIM", "reasons": []}
    assert header.pop("mono_ns") > 0
    assert header == {"seq": 1, "utc": "2026-01-01T00:00:00Z", "epoch": 42, "severity": "medium", "valid": False, "retained": False}


def test_seq_counts_each_topic_by_itself() -> None:
    with RunningBus() as bus:
        bus.publish("v1/hb", beat())
        with RawClient(bus.commands, bus.telemetry, (b"v1/",)) as client:
            subscribed(client)
            for _ in range(3):
                bus.publish("v1/hb", beat())
                bus.publish("v1/session", session())
            seen = [(topic, header["seq"]) for topic, header, _ in (live(client) for _ in range(6))]
    assert seen == [("v1/hb", 2), ("v1/session", 1), ("v1/hb", 3), ("v1/session", 2), ("v1/hb", 4), ("v1/session", 3)]


def test_a_late_subscriber_gets_the_newest_value_of_every_matching_topic_marked_retained() -> None:
    with RunningBus() as bus:
        bus.publish("v1/hb", beat(1))
        bus.publish("v1/hb", beat(2))
        bus.publish("v1/session", session(2))
        bus.publish("v1/alarm/coil_hot", alarm("coil_hot"))
        with RawClient(bus.commands, bus.telemetry, (b"v1/hb", b"v1/alarm/")) as client:
            got = [client.update() for _ in range(2)]
    assert sorted((topic, header["seq"], header["retained"]) for topic, header, _ in got) == [
        ("v1/alarm/coil_hot", 1, True),
        ("v1/hb", 2, True),
    ]


def test_the_second_subscriber_to_a_topic_gets_the_retained_value_too() -> None:
    with RunningBus() as bus:
        bus.publish("v1/hb", beat())
        with RawClient(bus.commands, bus.telemetry, (b"v1/hb",)) as first:
            subscribed(first)
            with RawClient(bus.commands, bus.telemetry, (b"v1/hb",)) as second:
                subscribed(second)


def test_a_value_published_before_the_sockets_were_opened_is_retained() -> None:
    async def early() -> tuple[str, bool, int]:
        bus = make_bus(NetworkSection(commands="tcp://127.0.0.1:0", telemetry="tcp://127.0.0.1:0"))
        bus.publish("v1/hb", beat(5))
        commands, telemetry = bus.bind()
        running = asyncio.create_task(bus.run())
        try:
            with RawClient(commands, telemetry, (b"v1/hb",)) as client:
                topic, header, body = await asyncio.to_thread(client.update)
        finally:
            running.cancel()
            await asyncio.wait([running])
        return topic, header["retained"], body["state_rev"]

    assert asyncio.run(early()) == ("v1/hb", True, 5)


def test_a_subscription_is_answered_while_the_loop_does_nothing_but_publish() -> None:
    """Every send swallows the socket's wake-up call: without a look after it, a subscription would wait for the next one."""
    with RunningBus() as bus:
        bus.publish("v1/session", session())
        going_on = True

        async def publish_on() -> None:
            while going_on:
                bus.bus.publish("v1/hb", beat())
                await asyncio.sleep(0)

        flood = asyncio.run_coroutine_threadsafe(publish_on(), bus.loop)
        for _ in range(20):
            with RawClient(bus.commands, bus.telemetry, (b"v1/session",)) as client:
                assert client.update()[0] == "v1/session"
        going_on = False
        flood.result(DEADLINE_S)


def test_a_stalled_subscriber_loses_frames_and_holds_up_nobody() -> None:
    with RunningBus() as bus, RawClient(bus.commands, bus.telemetry) as stalled:
        bus.publish("v1/session", session())
        bus.publish("v1/hb", beat())
        stalled.updates.setsockopt(zmq.RCVHWM, 1)
        stalled.updates.setsockopt(zmq.SUBSCRIBE, b"v1/")
        with RawClient(bus.commands, bus.telemetry, (b"v1/hb",)) as healthy:
            subscribed(healthy)
            for number in range(200):
                bus.publish_all("v1/session", [session()] * 100)
                bus.publish("v1/hb", beat(number))
                assert live(healthy)[2]["state_rev"] == number
        stalled.updates.setsockopt(zmq.RCVTIMEO, 0)
        received = 0
        try:
            while stalled.updates.recv_multipart():
                received += 1
        except zmq.Again:
            assert received < 20_000


@pytest.mark.parametrize(
    ("topic", "body"),
    [("v1/hb", session()), ("v1/nothing", beat()), ("v1/alarm/a", alarm("b")), ("v1/alarm/a", beat()), ("v1/hb", alarm("v1/hb"))],
)
def test_a_body_under_the_wrong_topic_is_refused(topic: str, body: Message) -> None:
    with RunningBus() as bus, pytest.raises(ValueError, match="does not carry"):
        bus.publish(topic, body)


def test_not_a_number_leaves_as_null() -> None:
    with RunningBus() as bus, RawClient(bus.commands, bus.telemetry, (b"v1/hb",)) as client:
        bus.publish("v1/hb", Heartbeat(state_rev=1, step=Step.AIM, chair="t", operator=None, hot_age_ms=float("nan")))
        assert client.update()[2]["hot_age_ms"] is None


# ---- hello, snapshot ------------------------------------------------------------------------------------------------


def test_hello_tells_who_and_where_the_daemon_is() -> None:
    with RunningBus(epoch=42) as bus, RawClient(bus.commands) as client:
        reply = client.ask("hello", "h", api=99)
    assert (reply["id"], reply["ok"], reply["error"]) == ("h", True, None)
    result = reply["result"]
    assert 0 < result.pop("mono_ns") <= time.monotonic_ns()
    assert result == {
        "api": 1,
        "schema_sha256": schema_sha256(),
        "version": "0",
        "chair": "test",
        "epoch": 42,
        "utc": "2026-01-01T00:00:00Z",
        "role": "operator",
        "telemetry": bus.telemetry,
        "commands": bus.commands,
    }


def test_snapshot_holds_the_newest_value_of_every_topic() -> None:
    with RunningBus(epoch=42) as bus, RawClient(bus.commands) as client:
        bus.state_rev = 9
        bus.publish("v1/hb", beat(8))
        bus.publish("v1/hb", beat(9))
        bus.publish("v1/alarm/a", alarm("a"))
        result = client.ask("snapshot")["result"]
    assert (result["state_rev"], result["epoch"], set(result["values"])) == (9, 42, {"v1/hb", "v1/alarm/a"})
    assert result["values"]["v1/hb"]["body"]["state_rev"] == 9


# ---- commands -------------------------------------------------------------------------------------------------------


def test_a_command_reaches_dispatch_once_with_its_client_and_revision() -> None:
    with RunningBus() as bus, RawClient(bus.commands) as client, RawClient(bus.commands) as other:
        client.ask("arm", "1", expect={"state_rev": 3})
        other.ask("arm", "1", expect={"state_rev": 3})
        client.ask("hold", "2")
        first, second, third = bus.calls
    assert (first.method, first.request_id, first.state_rev, third.state_rev) == ("arm", "1", 3, None)
    assert first.client != second.client and first.client == third.client


def test_a_refusal_from_dispatch_becomes_an_error_reply() -> None:
    async def refuse(_: Call) -> Message | Error:
        return Error(code=ErrorCode.WRONG_STEP, message="m", remedy="r", details={"step": "aim"})

    with RunningBus(refuse) as bus, RawClient(bus.commands) as client:
        reply = client.ask("hold", "h")
    error = {"code": "WRONG_STEP", "message": "m", "remedy": "r", "retryable": False, "details": {"step": "aim"}}
    assert reply == {"id": "h", "ok": False, "result": None, "error": error}


def test_a_fault_in_dispatch_is_an_internal_error_without_its_trace_and_the_bus_lives_on(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail(_: Call) -> Message | Error:
        raise RuntimeError("secret detail")

    with RunningBus(fail) as bus, RawClient(bus.commands) as client:
        reply = client.ask("hold")
        assert client.ask("hello", "2")["ok"]
    assert reply["error"]["code"] == "INTERNAL"
    assert "secret" not in json.dumps(reply) and "Traceback" not in json.dumps(reply)
    assert "secret detail" in capsys.readouterr().out


def test_a_result_that_cannot_be_written_as_json_is_an_internal_error(capsys: pytest.CaptureFixture[str]) -> None:
    async def answer(_: Call) -> Message | Error:
        return Error(code=ErrorCode.BUSY, message="m", remedy="r", details={"it": object()})

    with RunningBus(answer) as bus, RawClient(bus.commands) as client:
        assert client.ask("hold")["error"]["code"] == "INTERNAL"
    assert "command_failed" in capsys.readouterr().out


def test_a_req_socket_is_answered_like_any_other() -> None:
    with RunningBus() as bus, RawClient(bus.commands, kind=zmq.REQ) as client:
        assert client.ask("hello", "1")["ok"]
        assert client.ask("take_lease", "2", **LEASE)["ok"]


def test_the_same_id_twice_gets_the_same_reply_and_is_carried_out_once() -> None:
    with RunningBus() as bus, RawClient(bus.commands) as client:
        bus.state_rev = 5
        first = client.ask("take_lease", "x", **LEASE)
        bus.state_rev = 6
        assert client.ask("take_lease", "x", **LEASE) == first
        assert len(bus.calls) == 1


def test_the_same_id_while_it_runs_is_answered_when_it_finishes() -> None:
    release = asyncio.Event()

    async def wait(_: Call) -> Message | Error:
        await release.wait()
        return Done(state_rev=1)

    with RunningBus(wait) as bus, RawClient(bus.commands) as client:
        client.send("take_lease", "x", **LEASE)
        client.send("take_lease", "x", **LEASE)
        assert client.ask("hello", "after both were read")["ok"]
        bus.on_loop(release.set)
        assert client.reply()["id"] == client.reply()["id"] == "x"
        assert len(bus.calls) == 1


def test_stop_is_answered_while_another_command_hangs() -> None:
    release = asyncio.Event()

    async def hang(call: Call) -> Message | Error:
        if call.method == "stop":
            return StopResult(state_rev=2, disarm_confirmed=True)
        await release.wait()
        return Done(state_rev=1)

    with RunningBus(hang) as bus, RawClient(bus.commands) as client, RawClient(bus.commands) as other:
        for number in range(20):
            client.send("hold", f"hanging {number}")
        assert other.ask("stop", "s")["result"] == {"state_rev": 2, "disarm_confirmed": True}
        client.send("stop", "s")
        replies = [client.reply() for _ in range(13)]
        assert [reply["id"] for reply in replies if reply["ok"]] == ["s"]
        assert {reply["error"]["code"] for reply in replies if not reply["ok"]} == {"BUSY"}
        bus.on_loop(release.set)
        assert {client.reply()["id"] for _ in range(8)} == {f"hanging {number}" for number in range(8)}


def test_a_client_that_comes_back_under_its_identity_is_answered_although_its_old_connection_still_stands() -> None:
    with RunningBus() as bus, RawClient(bus.commands, identity=b"me") as before:
        assert before.ask("hold", "1")["ok"]
        with RawClient(bus.commands, identity=b"me") as after:
            assert after.ask("hold", "2")["ok"]
            assert after.ask("hold", "1")["ok"]
        assert [call.request_id for call in bus.calls] == ["1", "2"]
        assert bus.calls[0].client == bus.calls[1].client == b"me".hex()


def test_commands_that_come_in_a_burst_are_all_answered() -> None:
    with RunningBus() as bus, RawClient(bus.commands) as client:
        for number in range(500):
            client.send("hello", str(number))
        assert [client.reply()["id"] for _ in range(500)] == [str(number) for number in range(500)]


def test_a_burst_that_gets_no_answer_does_not_hide_the_command_behind_it() -> None:
    go_on = threading.Event()
    with RunningBus() as bus, RawClient(bus.commands) as client:
        assert client.ask("hello")["ok"]
        bus.loop.call_soon_threadsafe(go_on.wait, DEADLINE_S)
        for _ in range(900):
            client.commands.send_multipart([b"no", b"request"])
        client.send("hello", "behind")
        go_on.set()
        assert client.reply()["id"] == "behind"


def test_unfinished_commands_are_cancelled_when_the_bus_ends() -> None:
    ended = threading.Event()

    async def hang(_: Call) -> Message | Error:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("unreachable")

    with RunningBus(hang) as bus, RawClient(bus.commands) as client:
        client.send("hold")
        assert client.ask("hello", "2")["ok"]
    assert ended.is_set()


# ---- hostile --------------------------------------------------------------------------------------------------------


def test_an_oversize_message_reaches_nobody_and_others_go_on() -> None:
    with RunningBus() as bus, RawClient(bus.commands) as client, RawClient(bus.commands) as other:
        monitor = client.commands.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        client.send("stop", "1", params={"why": "x" * 10_000_000})
        assert monitor.poll(round(DEADLINE_S * 1000))
        client.commands.disable_monitor()
        assert client.ask("hello", "back again")["id"] == "back again"
        assert other.ask("hold", "2")["ok"]
        assert [call.method for call in bus.calls] == ["hold"]


def test_a_message_of_almost_64_kib_is_read() -> None:
    with RunningBus() as bus, RawClient(bus.commands) as client:
        assert client.ask("take_lease", params={"name": "x" * 65_000})["ok"]


def test_unknown_fields_and_methods_are_refused_and_reach_nobody() -> None:
    with RunningBus() as bus, RawClient(bus.commands) as client:
        codes = [
            client.ask("take_lease", "1", params={"name": "Ada", "force": True})["error"]["code"],
            client.ask("take_lease", "2", token=1, **LEASE)["error"]["code"],
            client.ask("__init__", "3")["error"]["code"],
            client.ask("arm", "4")["error"]["code"],
        ]
        assert codes == ["BAD_PARAMS", "BAD_REQUEST", "UNKNOWN_METHOD", "STATE_REV_MISSING"]
        assert not bus.calls


def test_frames_that_are_no_request_are_met_with_silence() -> None:
    with RunningBus() as bus, RawClient(bus.commands) as client:
        client.commands.send_multipart([b"a", b"b"])
        client.commands.send_multipart([b"", b"a", b"b"])
        client.commands.send_multipart([b"x"] * 1000)
        assert client.ask("hello", "h")["id"] == "h"


def test_a_subscriber_that_talks_is_ignored() -> None:
    with RunningBus() as bus, RawClient(bus.commands) as client:
        talker = client._context.socket(zmq.XSUB)
        talker.connect(bus.telemetry)
        for message in (b"", b"\x05junk", b"\x00v1/never", b"junk" * 1000, b"\x01v1/hb"):
            talker.send(message)
        bus.publish("v1/hb", beat())
        assert talker.poll(round(DEADLINE_S * 1000))
        assert talker.recv_multipart()[0] == b"v1/hb"
        assert client.ask("hello")["ok"]


def junk(rng: random.Random) -> bytes:
    """One message out of a family of plausible and implausible ones; never a good one."""
    good: dict[str, Any] = {"id": "1", "method": "take_lease", "api": 1, "params": {"name": "Ada"}, "expect": {"state_rev": 1}}
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        return bytes(rng.choice(b'{}[]",:0123456789eE.-truefalsn\\u') for _ in range(rng.randrange(200)))
    if kind == 2:
        return b"[" * rng.randrange(60_000)
    values: tuple[Any, ...] = (None, True, -1, 1e308, "", "x" * 1000, [], {}, [[[]]], "\ud83d\ude00", 10**30)
    if kind == 3:
        return json.dumps(good | {rng.choice(list(good)): rng.choice(values)} | {"unknown": 1}).encode()
    if kind == 4:
        return json.dumps({"".join(rng.choices(string.printable, k=5)): rng.choice(values) for _ in range(rng.randrange(9))}).encode()
    raw = bytearray(json.dumps(good | {"method": "arm", "expect": None}).encode())
    for _ in range(rng.randrange(1, 6)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)


def test_ten_thousand_random_messages_leave_it_alive() -> None:
    rng = random.Random(1)
    with RunningBus() as bus, RawClient(bus.commands) as hostile, RawClient(bus.commands) as client:
        for number in range(10_000):
            hostile.commands.send(junk(rng))
            while hostile.commands.poll(0):
                assert not hostile.reply()["ok"]
            if number % 1000 == 0:
                assert client.ask("hello", str(number))["ok"]
        hostile.send("hello", "last")
        while hostile.reply()["id"] != "last":
            pass
        assert client.ask("snapshot", "last")["ok"]
        assert client.ask("hold", "last")["ok"]
        assert [call.method for call in bus.calls] == ["hold"]


# ---- opening and closing --------------------------------------------------------------------------------------------


def test_it_serves_over_ipc(tmp_path: Path) -> None:
    network = NetworkSection(commands=f"ipc://{tmp_path / 'c'}", telemetry=f"ipc://{tmp_path / 't'}")
    with RunningBus(network=network) as bus, RawClient(bus.commands, bus.telemetry, (b"v1/hb",)) as client:
        bus.publish("v1/hb", beat())
        assert client.update()[0] == "v1/hb"
        assert client.ask("hello")["ok"]


def make_bus(network: NetworkSection) -> Bus:
    async def never(_: Call) -> Message | Error:
        raise AssertionError("nobody calls")

    return Bus(network, chair="t", version="0", epoch=1, clock=lambda: 0, utc=str, state_rev=int, dispatch=never)


def test_a_port_in_use_ends_run_before_anything_else_with_one_clear_error() -> None:
    with RunningBus() as bus:
        second = make_bus(NetworkSection(commands=bus.commands, telemetry="tcp://127.0.0.1:0"))
        with pytest.raises(BusUnavailable) as caught:
            asyncio.run(second.run())
        assert caught.value.endpoint == bus.commands


def test_it_can_be_opened_early_and_closed_without_having_run() -> None:
    bus = make_bus(NetworkSection(commands="tcp://127.0.0.1:0", telemetry="tcp://127.0.0.1:0"))
    endpoints = bus.bind()
    assert bus.bind() == endpoints
    bus.close()
    bus.close()
    again = make_bus(NetworkSection(commands=endpoints[0], telemetry=endpoints[1]))
    assert again.bind() == endpoints
    again.close()
