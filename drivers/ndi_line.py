"""A serial Polaris camera's line: found at whatever speed it was left, and brought to the one that is wanted.

Parts of the set-up script; what the line does is the shell's. A camera speaks at 9600 8N1 after power-up, reset and break.
"""

from collections.abc import Generator

import msgspec

from drivers.ndi_script import Ask
from drivers.ndi_wire import TextReply, encode_command
from drivers.protocols import LineChange
from drivers.values import NoReply, TrackerAlert

START_BAUD = 9600
BAUD_CODES = {9600: "0", 19200: "2", 38400: "3", 57600: "4", 115200: "5", 230400: "A", 921600: "6"}
LADDER = (921600, 230400, 115200, 57600, 38400, 19200)  # where one fails, the next slower is tried

_MS_NS = 1_000_000
PROBE_LIMIT_NS = 1000 * _MS_NS  # a camera that listens at this speed has answered by then
BREAK_NS = 300 * _MS_NS  # clients hold it 0.25 to 0.5 s
RESET_LIMIT_NS = 15_000 * _MS_NS  # the device's own figure for its restart
SWITCH_NS = 100 * _MS_NS  # clients wait so long before and after they change their own speed

BITS_PER_BYTE = 10  # 8N1 on the wire


class SerialWish(msgspec.Struct, frozen=True, kw_only=True):
    """The speed and handshake that the chair's file asks for."""

    baud: int
    handshake: bool = False


LineTalk = Generator[Ask, TextReply | None, int]


def find(line_baud: int, baud: int, where: str) -> LineTalk:
    """Reach the camera at `baud`, else by a break; returns the speed it listens at. Raises NoReply.

    `line_baud`: the speed that our end has now.
    """
    if line_baud != baud:
        yield Ask(name="a pause", line=LineChange(baud=baud), limit_ns=SWITCH_NS, may_fail=True)
    if (yield _probe("TSTOP")) is not None:
        return baud
    return (yield from restart(where))


def restart(where: str) -> LineTalk:
    """A break: the camera forgets everything and is back at 9600. Raises NoReply."""
    change = LineChange(baud=START_BAUD, break_ns=BREAK_NS)
    reply = yield Ask(name="a break", line=change, limit_ns=RESET_LIMIT_NS, may_fail=True)
    if reply is None:
        raise NoReply(
            "no answer, not even to a break",
            where,
            "Check that the camera is on, its cable, and the port's name; it is tried again by itself.",
        )
    return START_BAUD


def speed_up(wish: SerialWish, now_baud: int, where: str, alerts: list[TrackerAlert]) -> LineTalk:
    """From an initialised camera to the wanted speed, or the fastest below it that works; returns that. Raises NoReply."""
    for baud in (wish.baud, *[slower for slower in LADDER if slower < wish.baud]):
        if baud in (now_baud, START_BAUD):
            break
        reply = yield Ask(
            name="COMM",
            sent=encode_command("COMM", f"{BAUD_CODES[baud]}000{int(wish.handshake)}"),
            limit_ns=PROBE_LIMIT_NS,
            quiet_before_ns=SWITCH_NS,
            may_fail=True,
        )
        if reply is not None and reply.text != "OKAY":
            alerts.append(_slower(baud, where))
            continue
        if reply is not None:
            change = LineChange(baud=baud, handshake=wish.handshake)
            yield Ask(name="a pause", line=change, limit_ns=SWITCH_NS, quiet_before_ns=SWITCH_NS, may_fail=True)
            if (yield _probe("APIREV")) is not None:
                return baud
        alerts.append(_slower(baud, where))
        now_baud = yield from restart(where)
        yield Ask(name="INIT", sent=encode_command("INIT"), limit_ns=RESET_LIMIT_NS, may_fail=True)
    return now_baud


def _probe(name: str) -> Ask:
    return Ask(name=name, sent=encode_command(name), limit_ns=PROBE_LIMIT_NS, may_fail=True)


def _slower(baud: int, where: str) -> TrackerAlert:
    return TrackerAlert(what=f"{where}: the line does not carry {baud} baud", remedy="Name a slower [tracker].baud, or shorten the cable.")
