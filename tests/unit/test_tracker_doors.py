"""The tracker's link over TCP and over a serial port, on a clock of the test's own."""

import os
import select
import socket
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.hot_links import TrackerLink
from daemon.tracker_doors import SerialDoor, TcpDoor, door_to, is_local
from drivers import transport
from drivers.protocols import LineChange, Step
from drivers.transport import hold_break, open_serial, set_line
from drivers.values import NotThere, Owned, TrackerChanged, TrackerEvent, TrackerState
from sim.pty_port import PtyPort

SECOND = 1_000_000_000


@pytest.fixture
def pty(tmp_path: Path) -> Iterator[PtyPort]:
    with PtyPort(tmp_path / "camera") as port:
        port.announce()
        yield port


class Script:
    """A driver that does what the test says, and remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.calls: list[str] = []
        self.next: Step[TrackerEvent] = Step(wake_ns=1 << 60)

    def _step(self, name: str) -> Step[TrackerEvent]:
        self.calls.append(name)
        step, self.next = self.next, Step(wake_ns=1 << 60)
        return step

    def connected(self, now_ns: int) -> Step[TrackerEvent]:  # noqa: ARG002
        return self._step("connected")

    def disconnected(self, now_ns: int) -> Step[TrackerEvent]:  # noqa: ARG002
        return self._step("disconnected")

    def feed(self, data: bytes, now_ns: int) -> Step[TrackerEvent]:  # noqa: ARG002
        self.heard.append(data)
        return self._step("feed")

    def tick(self, now_ns: int) -> Step[TrackerEvent]:  # noqa: ARG002
        return self._step("tick")

    def farewell(self, now_ns: int) -> Step[TrackerEvent]:  # noqa: ARG002
        return self._step("farewell")


def turn(link: TrackerLink, now_ns: int) -> list[TrackerEvent]:
    ready = select.select(link.reads(), link.writes(), [], 0.0)
    return link.turn({*ready[0], *ready[1]}, now_ns)


def opened(pty: PtyPort) -> tuple[TrackerLink, Script]:
    driver = Script()
    link = TrackerLink(driver, door_to(f"serial:{pty.endpoint}"))
    link.open(0)
    driver.next = Step(wake_ns=5 * SECOND, send=b"TSTOP:2C14\r")
    turn(link, 1)
    assert driver.calls == ["connected"]
    return link, driver


def test_an_endpoint_is_a_door_of_its_kind() -> None:
    assert isinstance(door_to("tcp://127.0.0.1:8765"), TcpDoor)
    assert isinstance(door_to("serial:/dev/ttyUSB0"), SerialDoor)
    assert door_to("tcp://[::1]:8765").where == "[::1]:8765"


def test_only_this_machine_and_pseudo_terminals_are_local(pty: PtyPort) -> None:
    assert is_local("tcp://127.0.0.1:8765") and is_local("tcp://localhost:1") and is_local(f"serial:{pty.endpoint}")
    assert not is_local("tcp://192.168.0.10:8765") and not is_local("serial:/dev/ttyUSB0")


def test_a_serial_link_writes_reads_and_says_farewell(pty: PtyPort) -> None:
    link, driver = opened(pty)
    assert pty.read() == b"TSTOP:2C14\r"
    assert turn(link, 2) == [] and driver.calls == ["connected"], "silence is not the end"
    pty.write(b"OKAYA896\r")
    assert select.select(link.reads(), [], [], 5.0)[0]
    turn(link, 3)
    assert driver.heard == [b"OKAYA896\r"]
    driver.next = Step(wake_ns=0, send=b"COMM:000000084\r")
    link.farewell(4)
    assert pty.read() == b"COMM:000000084\r"
    open_serial(pty.endpoint, 9600)


def test_the_port_is_locked_while_the_link_is_open_and_free_afterwards(pty: PtyPort) -> None:
    link, _ = opened(pty)
    with pytest.raises(Owned):
        open_serial(pty.endpoint, 9600)
    link.farewell(5)
    os.close(open_serial(pty.endpoint, 9600))


def test_a_port_that_another_program_owns_is_tried_again_until_it_is_free(pty: PtyPort) -> None:
    other = open_serial(pty.endpoint, 9600)
    driver = Script()
    link = TrackerLink(driver, door_to(f"serial:{pty.endpoint}"))
    link.open(0)
    turn(link, 1)
    assert driver.calls == [] and link.wake_ns == SECOND // 2
    os.close(other)
    turn(link, link.wake_ns)
    turn(link, link.wake_ns)
    assert driver.calls == ["connected"]
    link.farewell(2 * SECOND)


def test_a_new_speed_is_set_on_the_open_port(pty: PtyPort) -> None:
    link, driver = opened(pty)
    driver.next = Step(wake_ns=9 * SECOND, line=LineChange(baud=115200))
    turn(link, 5 * SECOND)
    assert pty.speed() == termios.B115200
    link.farewell(6 * SECOND)


def test_a_break_on_a_pseudo_terminal_is_a_zero_byte(pty: PtyPort) -> None:
    link, driver = opened(pty)
    pty.read()
    driver.next = Step(wake_ns=20 * SECOND, line=LineChange(baud=9600, break_ns=SECOND // 4))
    turn(link, 5 * SECOND)
    assert pty.read() == b"\0"
    assert link.wake_ns == 5 * SECOND + SECOND // 4
    turn(link, link.wake_ns)
    assert pty.read() == b"" and link.wake_ns == 20 * SECOND
    link.farewell(6 * SECOND)


def test_a_break_on_a_real_line_begins_and_ends_without_waiting(pty: PtyPort, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    link, driver = opened(pty)
    monkeypatch.setattr(transport, "rts_is_low", lambda _fd: False)
    monkeypatch.setattr(transport.fcntl, "ioctl", lambda _fd, request: asked.append(request))
    driver.next = Step(wake_ns=20 * SECOND, line=LineChange(baud=9600, break_ns=SECOND // 4))
    turn(link, 5 * SECOND)
    assert asked == [transport.TIOCSBRK]
    turn(link, 5 * SECOND + SECOND // 4)
    assert asked == [transport.TIOCSBRK, transport.TIOCCBRK]
    link.farewell(6 * SECOND)


def test_a_speed_that_no_port_has_is_lost_with_a_reason(pty: PtyPort) -> None:
    link, driver = opened(pty)
    driver.next = Step(wake_ns=9 * SECOND, line=LineChange(baud=12345))
    events = turn(link, 5 * SECOND)
    assert isinstance(events[0], TrackerChanged) and events[0].state is TrackerState.LOST and "12345" in events[0].why
    assert driver.calls[-1] == "disconnected"


def test_a_port_that_goes_away_is_lost_and_tried_again(tmp_path: Path) -> None:
    pty = PtyPort(tmp_path / "camera")
    pty.announce()
    link, driver = opened(pty)
    pty.close()
    events = turn(link, 2 * SECOND)
    assert [event.state for event in events if isinstance(event, TrackerChanged)] == [TrackerState.LOST]
    assert driver.calls[-1] == "disconnected"
    with PtyPort(tmp_path / "camera") as again:
        again.announce()
        turn(link, link.wake_ns)
        turn(link, link.wake_ns)
        assert driver.calls[-1] == "connected"
        link.farewell(9 * SECOND)


def test_handshake_is_a_setting_of_the_line(pty: PtyPort) -> None:
    fd = open_serial(pty.endpoint, 9600)
    set_line(fd, 921600, handshake=True)
    assert termios.tcgetattr(fd)[2] & termios.CRTSCTS and pty.speed() == termios.B921600
    set_line(fd, 9600)
    assert not termios.tcgetattr(fd)[2] & termios.CRTSCTS
    hold_break(fd, False)
    assert pty.read() == b""
    os.close(fd)
    with pytest.raises(NotThere):
        set_line(fd, 9600)


def test_an_address_where_nobody_listens_is_lost_with_a_reason_and_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    driver = Script()
    link = TrackerLink(driver, door_to(f"tcp://127.0.0.1:{port}"))
    link.open(0)
    deadline_s = time.monotonic() + 10.0
    events: list[TrackerEvent] = []
    while not events and time.monotonic() < deadline_s:
        select.select(link.reads(), link.writes(), [], 0.1)
        events = turn(link, 1)
    assert isinstance(events[0], TrackerChanged) and f"127.0.0.1:{port}" in events[0].why
    assert driver.calls == [] and link.wake_ns == 1 + SECOND // 2
