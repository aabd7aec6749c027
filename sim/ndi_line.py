"""What happens to a reply of the simulated camera on its way: damage, delay, dribble, loss, a backlog."""

from drivers.ndi_wire import BINARY_START, STREAM_START
from sim.ndi_faults import CameraFaults

BYTE_APART_NS = 200_000  # when replies dribble
HEAD_CRC_AT = 4  # in a binary reply


def pieces(reply: bytes, faults: CameraFaults, now_ns: int) -> list[tuple[int, bytes]]:
    """The reply as it arrives: pieces with the time of each, none when it is lost."""
    if held_ms := faults.takes_all("hold_ms"):
        faults.held_until_ns = now_ns + round(held_ms * 1e6)
    if faults.silent:
        return []
    due_ns = max(now_ns + round(faults.delay_ms * 1e6), faults.held_until_ns)
    reply = _damaged(reply, faults)
    if not faults.dribble:
        return [(due_ns, reply)]
    return [(due_ns + index * BYTE_APART_NS, bytes([byte])) for index, byte in enumerate(reply)]


def _damaged(reply: bytes, faults: CameraFaults) -> bytes:
    is_binary = reply.startswith((BINARY_START, STREAM_START))
    if faults.takes("bad_crc"):
        reply = _flipped(reply, len(reply) - (1 if is_binary else 2))  # behind a text's checksum stands its CR
    if is_binary and faults.takes("bad_header"):
        reply = _flipped(reply, HEAD_CRC_AT)
    return reply


def _flipped(reply: bytes, place: int) -> bytes:
    return reply[:place] + bytes([reply[place] ^ 1]) + reply[place + 1 :]
