"""The simulated camera at its line: command lines of several clients in, one reply each out. No sockets, no threads."""

from drivers.ndi_wire import MAX_COMMAND_CHARS, Command, CrcMismatch, decode_command, encode_text
from drivers.values import WireError
from sim.ndi_commands import RULES, TOO_LONG, TOO_SHORT, Refusal, Rule
from sim.ndi_device import Device, Mode

UNKNOWN, DAMAGED, NOT_INITIALISED, WRONG_MODE, NOT_OWNER = 0x01, 0x04, 0x10, 0x0C, 0x39


class Camera:
    """Answers numbered clients for one device. The first to change something owns it until it leaves; the others may look."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._owner: int | None = None

    def answer(self, client: int, line: bytes) -> bytes:
        """The reply to one command line; every line gets exactly one."""
        device = self._device
        device.suffer()
        if device.faults.takes("restart"):
            device.power_up()
            return encode_text("RESET")
        try:
            reply = self._carry_out(client, line)
        except Refusal as refusal:
            reply = f"ERROR{refusal.code:02X}"
        return encode_text(reply) if isinstance(reply, str) else reply

    def left(self, client: int) -> None:
        """A client's connection is gone: the owner's place is free at once."""
        if self._owner == client:
            self._owner = None

    def _carry_out(self, client: int, line: bytes) -> str | bytes:
        command = _decoded(line)
        rule = RULES.get(command.name)
        if rule is None:
            raise Refusal(UNKNOWN)
        if command.name in self._device.faults.errors:
            raise Refusal(self._device.faults.errors[command.name])
        self._check(client, command, rule)
        return rule.act(self._device, command.arguments)

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
