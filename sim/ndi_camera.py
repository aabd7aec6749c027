"""The simulated camera at its line: command lines of several clients in, one reply each out, and what it pushes. No sockets, no threads."""

from collections.abc import Callable

from drivers.ndi_wire import MAX_COMMAND_CHARS, Command, CrcMismatch, decode_command, encode_text
from drivers.values import WireError
from sim.ndi_commands import NEEDS_STREAMS, OKAY, RULES, TOO_LONG, TOO_SHORT, Rule
from sim.ndi_device import Device, Mode
from sim.ndi_refusal import Refusal
from sim.ndi_streams import Streams

UNKNOWN, DAMAGED, NOT_INITIALISED, WRONG_MODE, NOT_OWNER = 0x01, 0x04, 0x10, 0x0C, 0x39
RESET = encode_text("RESET")


class Camera:
    """Answers numbered clients for one device. The first to change something owns it until it leaves; the others may look."""

    def __init__(self, device: Device, clock: Callable[[], int]) -> None:
        self._device = device
        self._owner: int | None = None
        self._streams = Streams(device, clock, self._streamed)

    def answer(self, client: int, line: bytes) -> bytes:
        """The reply to one command line; every line gets exactly one."""
        device = self._device
        device.suffer()
        if device.faults.takes("restart"):
            return self.power_up()
        device.asker = client
        try:
            reply = self._carry_out(client, _decoded(line))
        except Refusal as refusal:
            reply = f"ERROR{refusal.code:02X}"
        if reply == "RESET":
            self._streams.clear()
        return encode_text(reply) if isinstance(reply, str) else reply

    def power_up(self) -> bytes:
        """As after switching on, or a break: what a serial camera then says."""
        self._device.power_up()
        self._streams.clear()
        return RESET

    def pushes(self) -> list[tuple[int, bytes]]:
        """What the camera sends by itself now, and to whom."""
        clients = self._streams.clients
        if not clients:
            return []
        self._device.suffer()
        if self._device.faults.takes("restart"):
            reset = self.power_up()
            return [(client, reset) for client in clients]
        return self._streams.due()

    def next_push_ns(self) -> int | None:
        """When `pushes` has something to give at the earliest; None while nobody ordered any."""
        return self._streams.next_ns()

    def left(self, client: int) -> None:
        """A client's connection is gone: the owner's place is free at once."""
        self._streams.left(client)
        self.release(client)

    def release(self, client: int) -> None:
        """A client does not speak any more: another may own the camera."""
        if self._owner == client:
            self._owner = None

    def _carry_out(self, client: int, command: Command) -> str | bytes:
        rule = RULES.get(command.name)
        if rule is None or (command.name in NEEDS_STREAMS and not self._device.model.streams):
            raise Refusal(UNKNOWN)
        if command.name in self._device.faults.errors:
            raise Refusal(self._device.faults.errors[command.name])
        self._check(client, command, rule)
        if command.name == "STREAM":
            self._streams.order(client, command.arguments)
            return OKAY
        if command.name == "USTREAM":
            self._streams.end(client, command.arguments)
            return OKAY
        return rule.act(self._device, command.arguments)

    def _streamed(self, client: int, command: Command) -> bytes:
        reply = self._carry_out(client, command)
        return encode_text(reply) if isinstance(reply, str) else reply

    def _check(self, client: int, command: Command, rule: Rule) -> None:
        if rule.width is not None and len(command.arguments) != rule.width:
            raise Refusal(TOO_SHORT if len(command.arguments) < rule.width else TOO_LONG)
        if rule.changes:
            self._owner = client if self._owner is None else self._owner
            if self._owner != client:
                raise Refusal(NOT_OWNER)
        if self._device.mode not in rule.modes:
            raise Refusal(NOT_INITIALISED if self._device.mode is Mode.POWERED_UP else WRONG_MODE)


def _decoded(line: bytes) -> Command:
    if len(line) > MAX_COMMAND_CHARS:
        raise Refusal(TOO_LONG)
    try:
        return decode_command(line)
    except CrcMismatch as error:
        raise Refusal(DAMAGED) from error
    except WireError as error:
        raise Refusal(UNKNOWN) from error
