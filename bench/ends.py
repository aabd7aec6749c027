"""The far ends of both wires in one process and one thread: the simulated camera on TCP, the simulated stimulator on a pty.

What it sends and hears is stamped where it happens and told only at the end, so that telling disturbs nothing.
Started by `bench.rig`; orders come as lines of JSON on standard input.
"""

import argparse
import json
import os
import select
import socket
import sys
import time
from pathlib import Path

from bench.chair import latency_ms
from bench.place import Place
from bench.sleeper import prefer
from drivers.magventure_command_wire import SetEnabled, StartTrain, decode_command
from drivers.magventure_frame_wire import FrameReader
from drivers.ndi_pose_wire import decode_bx
from drivers.ndi_wire import BINARY_START, CommandReader
from drivers.values import WireError
from sim.magventure_device import MagVentureDevice
from sim.magventure_faults import MagVentureFaults
from sim.ndi_camera import Camera
from sim.ndi_device import Device
from sim.pty_port import PtyPort
from sim.truth import TruthLog
from sim.world_people import People

PRIORITY = 30  # above the hot process: a real device does not wait for this machine's cores
TOLD_NS = 60_000_000  # a slip is looked at for so long after it has ended
STEP_NS = 100_000
LEAVE_MM = 3.0


class CameraEnd:
    """One client's camera. `sent`: frame number, exposure, when its first reply left."""

    def __init__(self, place: Place, rate_hz: int, noise_mm: float, seed: int) -> None:
        device = Device(place.world, rate_hz, time.monotonic_ns, latency_ms=latency_ms(rate_hz), noise_mm=noise_mm, seed=seed)
        self._camera, self._device = Camera(device), device
        self._reader = CommandReader()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.link: socket.socket | None = None
        self.sent: list[tuple[int, int, int]] = []
        self._newest: int | None = None

    @property
    def endpoint(self) -> str:
        return "tcp://{}:{}".format(*self.listener.getsockname())

    def accept(self) -> None:
        self.link, _ = self.listener.accept()
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self) -> None:
        if self.link is None:
            return
        data = self.link.recv(4096)
        if not data:
            self.link.close()
            self.link = None
            return
        for line in self._reader.push(data):
            reply = self._camera.answer(1, line)
            sent_ns = time.monotonic_ns()
            self.link.sendall(reply)
            self._note(reply, sent_ns)

    def _note(self, reply: bytes, sent_ns: int) -> None:
        """The frame clock of the simulated camera is asked for the exposure, which no reply carries."""
        if not reply.startswith(BINARY_START):
            return
        number = decode_bx(reply[6:-2]).tools[0].frame_number
        if number is not None and number != self._newest:
            self._newest = number
            self.sent.append((number, self._device.exposed_ns(number), sent_ns))


class StimulatorEnd:
    """`heard`: what of interest arrived, and when."""

    def __init__(self, pty: PtyPort, truth: TruthLog, reply_delay_ms: float) -> None:
        self._pty = pty
        self._reader = FrameReader()
        self.device = MagVentureDevice(truth, MagVentureFaults(), time.monotonic_ns(), reply_delay_ms=reply_delay_ms)
        self.heard: list[tuple[str, int]] = []

    def hear(self) -> None:
        now_ns = time.monotonic_ns()
        for body in self._reader.feed(self._pty.read(), now_ns):
            self.device.hear(body, now_ns)
            try:
                command = decode_command(body)
            except WireError:
                continue
            if isinstance(command, StartTrain):
                self.heard.append(("start", now_ns))
            elif isinstance(command, SetEnabled) and not command.on:
                self.heard.append(("stop", now_ns))

    def advance(self) -> float:
        """Do what is due; returns seconds until the next thing is."""
        self.device.advance(time.monotonic_ns())
        for frame in self.device.take_frames():
            self._pty.write(frame)
        return max(0.0, (self.device.next_ns - time.monotonic_ns()) / 1e9)
