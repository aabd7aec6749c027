"""A Magstim at its serial line: hears commands, answers each in its turn, and is the machine behind it.

Owns no port and no thread: `hear` and `advance` are given the time, `take_frames` holds what it says.
"""

from collections import deque
from collections.abc import Callable, Iterator

from drivers.magstim_command_wire import CommandReader, Heard
from drivers.magstim_wire import Reply, encode_reply
from sim.magstim_machine import NS_PER_MS, MagstimMachine
from sim.magstim_obeying import answer

BYTE_NS = 1_041_667  # 9600 baud, ten bits a byte
COMMAND_NS = 3 * BYTE_NS


class MagstimDevice(MagstimMachine):
    """One unit with its line."""

    def _power_on(self, now_ns: int) -> None:
        super()._power_on(now_ns)
        self._reader = CommandReader(self.dialect)
        self._orders: deque[tuple[int, Heard]] = deque()
        self._frames: deque[tuple[int, bytes]] = deque()
        self._free_ns = now_ns  # the line, for the next byte
        self._last_due_ns = now_ns

    # ---- the line ---------------------------------------------------------------------------------------------------

    def hear(self, data: bytes, now_ns: int) -> None:
        """Bytes from the host."""
        if self.faults.deaf:
            return
        for heard in self._reader.feed(data, now_ns):
            self._free_ns = max(now_ns, self._free_ns) + COMMAND_NS
            due_ns = self._free_ns + round(self.faults.reply_delay_ms * NS_PER_MS)
            self._last_due_ns = max(self._last_due_ns, due_ns)  # answers keep their order
            self._orders.append((self._last_due_ns, heard))

    def say(self, reply: Reply, now_ns: int) -> None:
        frame = encode_reply(reply, self.dialect)
        self._free_ns = max(self._free_ns, now_ns + len(frame) * BYTE_NS)
        self._frames.append((now_ns + len(frame) * BYTE_NS, frame))

    def take_frames(self, now_ns: int) -> list[bytes]:
        """What has been said by then and was not yet taken, in order."""
        frames = []
        while self._frames and self._frames[0][0] <= now_ns:
            frames.append(self._frames.popleft()[1])
        return frames

    # ---- time -------------------------------------------------------------------------------------------------------

    @property
    def next_ns(self) -> int:
        """When `advance` has something to do, or a frame is to be taken, at the earliest."""
        times = [at_ns for at_ns, _ in self._due()]
        return min([*times, self._frames[0][0]] if self._frames else times)

    def advance(self, now_ns: int) -> None:
        """Do all that is due up to `now_ns`, each thing at its own time."""
        while True:
            at_ns, act = min(self._due(), key=lambda due: due[0])
            if at_ns > now_ns:
                return
            act(at_ns)

    def _due(self) -> Iterator[tuple[int, Callable[[int], None]]]:
        yield from self.due()
        if self._orders:
            yield self._orders[0][0], self._obey

    def _obey(self, now_ns: int) -> None:
        _, heard = self._orders.popleft()
        self.say(answer(self, heard, now_ns), now_ns)
