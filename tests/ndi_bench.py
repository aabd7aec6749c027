"""The simulated camera on a made-up clock, spoken to line by line, without sockets."""

from drivers.ndi_pose_wire import TrackingReply, decode_bx
from drivers.ndi_setup_wire import encode_chunks
from drivers.ndi_wire import BinaryReply, ReplyReader, TextReply, encode_command
from sim.ndi_camera import Camera
from sim.ndi_device import Device
from sim.ndi_models import Model
from sim.ndi_poses import SlowMotion
from sim.ndi_room_tools import ROOM_BODIES

HOST, OTHER = 1, 2  # clients


class Bench:
    """A camera with the room's three tools before it; `options` are those of `Device`."""

    def __init__(self, rate_hz: int | None = 60, **options: float | bool | str | Model) -> None:
        self.now_ns = 10**12
        self.source = SlowMotion(ROOM_BODIES)
        self.device = Device(self.source, rate_hz, lambda: self.now_ns, **options)  # type: ignore[arg-type]
        self.camera = Camera(self.device, lambda: self.now_ns)

    def ask(self, line: str, client: int = HOST) -> str:
        """A line as it stands (no CR); the text of its reply."""
        reply = self.reply(line, client)
        assert isinstance(reply, TextReply)
        return reply.text

    def order(self, name: str, arguments: str = "", client: int = HOST) -> str:
        return self.ask(encode_command(name, arguments)[:-1].decode("latin-1"), client)

    def bx(self, options: str = "0801", client: int = HOST) -> TrackingReply:
        reply = self.reply(f"BX {options}", client)
        assert isinstance(reply, BinaryReply), reply
        return decode_bx(reply.body, int(options, 16))

    def reply(self, line: str, client: int = HOST) -> TextReply | BinaryReply:
        reader = ReplyReader()
        reader.push(self.camera.answer(client, line.encode("latin-1")))
        reply = reader.pull()
        assert reply is not None and reader.pull() is None
        return reply

    def load(self, rom: bytes, client: int = HOST) -> str:
        handle = self.order("PHRQ", "*********1****", client)
        for chunk in encode_chunks(int(handle, 16), rom.ljust(1024, b"\0")):
            assert self.order("PVWR", chunk, client) == "OKAY"
        assert self.order("PINIT", handle, client) == "OKAY"
        assert self.order("PENA", f"{handle}D", client) == "OKAY"
        return handle

    def tracking(self, *roms: bytes) -> "Bench":
        assert self.ask("INIT:E3A5") == "OKAY"
        for rom in roms:
            self.load(rom)
        assert self.ask("TSTART:5423") == "OKAY"
        return self
