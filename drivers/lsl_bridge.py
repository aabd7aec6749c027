"""`python -m drivers.lsl_bridge`: a small process between one descriptor and LSL, so that nobody who must not wait hosts LSL's threads.

Lines that are commands go out as markers of the trigger stream; markers of the box's streams come back as lines. Ends when the descriptor
is closed, with one more stop to the box. Decides nothing; keeps nothing back: what nobody listens to is gone.
"""

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, Final

from drivers.lsl_bridge_wire import LANGUAGE, Down, Ping, Pong, decode_word, encode_word
from drivers.lsl_marker_wire import LONGEST, LineReader
from drivers.lsl_markers import FORGET_S, KEPT_HUNDREDS, MarkerInlet
from drivers.lsl_trigger_wire import Command, Stop, decode_command, encode
from drivers.values import WireError

LINGER_S: Final = 0.1  # for the last stop to leave
EX_OK, EX_UNAVAILABLE = 0, 69


class Bridge:
    """One trigger stream out, the box's streams in, everything else over `line`."""

    def __init__(self, line: socket.socket, lsl: Any, trigger: str, names: tuple[str, str | None]) -> None:
        self._line, self._lsl = line, lsl
        self._sending = threading.Lock()
        self._last: Command | None = None
        source = f"{trigger}@{socket.gethostname()}:{os.getpid()}"
        info = lsl.StreamInfo(trigger, "Markers", 1, lsl.IRREGULAR_RATE, "string", source)
        info.desc().append_child_value("language", "atmsd/1")
        self._outlet = lsl.StreamOutlet(info, 0, KEPT_HUNDREDS)  # what waits longer is void at the box
        self._source = source
        self._others = lsl.ContinuousResolver("name", trigger, None, FORGET_S)
        status, receipts = names
        wanted = {status} if receipts is None else {status, receipts}
        self._streams = {name: MarkerInlet(lsl, name, self._bring, synced=False) for name in wanted}
        self._status, self._receipts = status, receipts

    def run(self) -> None:
        """Carry lines until the descriptor's far end is closed everywhere."""
        for stream in self._streams.values():
            stream.start()
        reader = LineReader()
        while data := self._read():
            for text in reader.feed(data):
                self._carry(text)
        self._say_farewell()

    def _read(self) -> bytes:
        try:
            return self._line.recv(65536)
        except OSError:
            return b""

    def _carry(self, text: str) -> None:
        with contextlib.suppress(WireError):  # a dead owner's half line
            if text.startswith(LANGUAGE):
                word = decode_word(text)
                if isinstance(word, Ping):
                    self.send(encode_word(self._pong(word.id)))
            else:
                self._last = decode_command(text)
                self._outlet.push_sample([text])

    def _pong(self, ping_id: int) -> Pong:
        others = sum(info.source_id() != self._source for info in self._others.results())
        status, receipts = self._streams.get(self._status), self._streams.get(self._receipts or "")
        return Pong(
            id=ping_id,
            listened=bool(self._outlet.have_consumers()),
            status=status is not None and status.is_open,
            receipts=receipts is not None and receipts.is_open,
            rivals=others + sum(stream.rivals for stream in self._streams.values()),
        )

    def _bring(self, marker: str, _stamp_s: float) -> None:
        self.send(_one_line(marker))

    def send(self, text: str) -> None:
        """One line to our owner; from any thread. An owner that is gone is found by `run`."""
        with self._sending, contextlib.suppress(OSError):
            self._line.sendall(text.encode("ascii", "replace") + b"\n")

    def _say_farewell(self) -> None:
        """The owner is gone, whatever it was about: the box is not left armed for the second that it takes to notice."""
        if self._last is not None:
            self._outlet.push_sample([encode(Stop(run=self._last.run, id=self._last.id + 1))])
            time.sleep(LINGER_S)


def _one_line(marker: str) -> str:
    """The marker as it came, or a line that its reader counts as damage."""
    return marker if len(marker) <= LONGEST and marker.isascii() and marker.isprintable() else "?"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m drivers.lsl_bridge")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--trigger", required=True)
    parser.add_argument("--status", required=True)
    parser.add_argument("--receipts")
    args = parser.parse_args(argv)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends its owner wants the last disarm to pass: only the descriptor ends us
    line = socket.socket(fileno=args.fd)
    try:
        import pylsl  # noqa: PLC0415  # an extra
    except (ImportError, RuntimeError):
        why = "pylsl cannot be loaded; install atmsd[lsl]"
        with contextlib.suppress(OSError):
            line.sendall(encode_word(Down(why=why)).encode("ascii") + b"\n")
        return EX_UNAVAILABLE
    Bridge(line, pylsl, args.trigger, (args.status, args.receipts)).run()
    return EX_OK


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # LSL's own threads must not hold the line's name once its owner is gone
