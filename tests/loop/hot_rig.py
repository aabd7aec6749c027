"""A real hot process over a live room, with the test in the place of the daemon and of the supervisor.

The rig knows the truth, so that it can aim without a registration: a train runs two seconds after `start`. A thread beats and
listens, as the daemon's loop does; everything that was heard is kept until `rest`.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from daemon import ipc
from daemon.config import load_config
from daemon.devices import stimulator_line
from daemon.lifeline import Lifeline
from daemon.on_target import DEFAULT_LIMITS, TargetLimits
from daemon.purpose import Pacing
from drivers.values import TrainSettings
from sim.magventure_settings import DEFAULT_MODEL
from sim.room_tracker import CAMERA
from sim.world_geometry import to_matrix
from tests.loop.live_room import LiveRoom, TruePulse, be_punctual

BEAT_NS = 50_000_000
NS = 1_000_000_000
HOUR_NS = 3600 * NS
GRANT_WINDOW_NS = 2 * NS
START_S, LEAVE_S = 20.0, 5.0
DEEP_MM = 20.0  # the cortical point under the coil
ALL_CHANNELS = frozenset({"beats", "orders", "news"})
THETA = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)
SHORT = msgspec.structs.replace(THETA, bursts=5)

Kind = TypeVar("Kind")


def wall_minus_mono_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


class HotRig:
    """One hot process and the channels to it.

    `heard` holds every packet of the orders and news channels since the last `rest`, each with its arrival. `room.changed` is
    notified at every packet too, so that `room.wait` may look at both.
    """

    def __init__(
        self, folder: Path, *, rate_hz: int = 60, seed: int = 1, model: str = DEFAULT_MODEL, tracker: str = CAMERA
    ) -> None:
        self.room = LiveRoom(folder, rate_hz=rate_hz, seed=seed, model=model, tracker=tracker)
        self.heard: list[tuple[int, ipc.FromHotOrder | ipc.FromHotNews]] = []
        self.run_id = ""
        self.arm_no = self.grant_no = 0
        self.operator_present = self.stop_tested = self.stop_inputs_clear = True
        self.last_beat_ns = 0
        self._beats_on = self._life_on = True
        self._heeded: frozenset[str] = ALL_CHANNELS
        self._ending = False
        self._playing = threading.Lock()
        self.truth_since_ns = 0
        self._is_aimed = False
        self._is_open = False

    # ---- life -------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Room and process up; the device is secured, the camera tracks, the coil's error is known and on target."""
        self.room.__enter__()
        self._is_open = True
        self.port_fd = stimulator_line(load_config(self.room.config)).open()
        self._spawn()
        self._player = threading.Thread(target=self._play, name="rig")
        self._player.start()
        be_punctual(True)
        self.run_id = self.wait_for(ipc.Hello, timeout_s=START_S).run_id
        self.wait_for(ipc.Safe, where=lambda safe: safe.opening and safe.confirmed)
        self.wait_for(ipc.FrameNews, where=lambda frame: frame.exposed_ns is not None)
        self.aim()
        self.wait_on_target()

    def _spawn(self) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
        names = ("beats", "orders", "news", "life")
        fds = [theirs.fileno() for _, theirs in pairs]
        arguments = [text for name, fd in zip(names, fds, strict=True) for text in (f"--{name}-fd", str(fd))]
        command = [sys.executable, "-m", "daemon.hot", "--config", str(self.room.config), *arguments, "--port-fd", str(self.port_fd)]
        with (self.room.folder / "hot.err").open("wb") as errors:
            self.process = subprocess.Popen(command, pass_fds=[*fds, self.port_fd], stdin=subprocess.DEVNULL, stderr=errors)
        for _, theirs in pairs:
            theirs.close()
        (beats, _), (orders, _), (news, _), (life, _) = pairs
        self.beats: ipc.Channel[ipc.HotBeat] = ipc.Channel(beats, ipc.HotBeat)
        self.orders: ipc.Channel[ipc.FromHotOrder] = ipc.Channel(orders, ipc.FromHotOrder)
        self.news: ipc.Channel[ipc.FromHotNews] = ipc.Channel(news, ipc.FromHotNews)
        self.life = Lifeline(life.detach())

    def kill(self, number: signal.Signals) -> int:
        """Send a signal to the hot process. Returns when, ns."""
        now_ns = time.monotonic_ns()
        os.kill(self.process.pid, number)
        return now_ns

    def exit_code(self) -> int:
        return self.process.wait(LEAVE_S)

    @property
    def complaints(self) -> str:
        """What the process wrote to its standard error."""
        return (self.room.folder / "hot.err").read_text()

    def close(self) -> None:
        """Let it leave as the supervisor would, kill it if it does not; then the room goes."""
        if not self._is_open:
            return
        self._is_open = False
        self._ending = True
        self._player.join()
        for end in (self.beats.end, self.orders.end, self.news.end, self.life):
            end.close()
        try:
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            os.close(self.port_fd)
            self.room.__exit__(None, None, None)

    # ---- the daemon's and the supervisor's loop ---------------------------------------------------------------------

    def _play(self) -> None:
        next_ns = 0
        while not self._ending:
            with self._playing:
                now_ns = time.monotonic_ns()
                if now_ns >= next_ns:
                    next_ns = now_ns + BEAT_NS
                    self._beat(now_ns)
                ends = [getattr(self, name) for name in self._heeded]
                ends = [channel for channel in ends if not channel.closed]
            ready = select.select(ends, [], [], max(0, next_ns - time.monotonic_ns()) / 1e9)[0]
            with self._playing:
                if ready:
                    self._listen()

    def _beat(self, now_ns: int) -> None:
        if self._life_on:
            self.life.beat(now_ns)
            self.life.listen()
        if self._beats_on:
            self.last_beat_ns = now_ns
            self.beats.send(
                ipc.DaemonBeat(
                    made_ns=now_ns,
                    operator_present=self.operator_present,
                    hardware_stop_tested=self.stop_tested,
                    stop_inputs_clear=self.stop_inputs_clear,
                )
            )

    def _listen(self) -> None:
        packets: list[ipc.FromHotOrder | ipc.FromHotNews] = []
        if "beats" in self._heeded:
            self.beats.drain()
        if "orders" in self._heeded:
            packets += self.orders.drain()
        if "news" in self._heeded:
            packets += self.news.drain()
        with self.room.changed:
            now_ns = time.monotonic_ns()
            self.heard += [(now_ns, packet) for packet in packets]
            self.room.changed.notify_all()

    def stop_beating(self) -> int:
        """The daemon falls silent but listens on. Returns when the last beat was made, ns."""
        with self._playing:
            self._beats_on = False
            return self.last_beat_ns

    def freeze(self) -> int:
        """As a daemon stopped in a debugger: no beats, nothing read, the channels open. Returns when the last beat was made."""
        with self._playing:
            self._beats_on, self._heeded = False, frozenset()
            return self.last_beat_ns

    def leave_unread(self, *channels: str) -> None:
        """What comes there stays there, until it is full."""
        with self._playing:
            self._heeded = ALL_CHANNELS - set(channels)

    def stop_supervising(self) -> int:
        with self._playing:
            self._life_on = False
            return time.monotonic_ns()

    def go_on(self) -> None:
        """Beat and listen again."""
        with self._playing:
            self._beats_on = self._life_on = True
            self._heeded = ALL_CHANNELS

    def close_channels(self) -> int:
        """As when the daemon is killed. Returns when, ns."""
        with self._playing:
            now_ns = time.monotonic_ns()
            self._beats_on, self._heeded = False, frozenset()
            for channel in (self.beats, self.orders, self.news):
                channel.end.close()
                channel.closed = True
            return now_ns

    def cut_life(self) -> int:
        """As when the supervisor is killed. Returns when, ns."""
        with self._playing:
            now_ns = time.monotonic_ns()
            self._life_on = False
            self.life.close()
            return now_ns

    # ---- orders -----------------------------------------------------------------------------------------------------

    def send(self, order: ipc.ToHotOrder) -> None:
        assert self.orders.send(order), "the orders channel is full or closed"

    def stop(self, why: str = "operator") -> int:
        assert self.beats.send(ipc.StopNow(why=why))
        return time.monotonic_ns()

    def hold(self, why: str = "operator") -> int:
        assert self.beats.send(ipc.HoldNow(why=why, grant_no=0))
        return time.monotonic_ns()

    def aim(self, limits: TargetLimits = DEFAULT_LIMITS, valid_ns: int = HOUR_NS) -> None:
        """Tell the registration and the target as they truly are."""
        now_ns = time.monotonic_ns()
        self._is_aimed = True
        head, target = self.room.world.mri_from_head(now_ns), self.room.target
        self.send(
            ipc.Aim(
                mri_from_head=tuple(tuple(row) for row in to_matrix(head)),
                mri_from_target=tuple(tuple(row) for row in to_matrix(target)),
                target_in_mri_mm=target.carry((0.0, 0.0, DEEP_MM)),
                limits=limits,
                registration_expires_ns=now_ns + valid_ns,
                check_expires_ns=now_ns + valid_ns,
                reference_holds=True,
            )
        )

    def clear_aim(self) -> int:
        self._is_aimed = False
        self.send(ipc.ClearAim())
        return time.monotonic_ns()

    def ask_arm(self, settings: TrainSettings = THETA, pacing: Pacing = Pacing.TRAIN) -> ipc.ArmState:
        """Arm and hear what became of it."""
        self.arm_no += 1
        number = self.arm_no
        self.settings, self.pacing = settings, pacing
        self.send(ipc.Arm(arm_no=number, settings=settings, pacing=pacing))
        return self.wait_for(ipc.ArmState, where=lambda state: state.arm_no == number)

    def arm(self, settings: TrainSettings = THETA, pacing: Pacing = Pacing.TRAIN) -> None:
        """Arm; fails unless the device confirms."""
        state = self.ask_arm(settings, pacing)
        if state.why == "daemon_late":  # this machine stalled and our own beats with it: made safe, as it should; once more
            self.wait_for(ipc.Safe, where=lambda safe: safe.confirmed)
            state = self.ask_arm(settings, pacing)
        assert state.armed, state.why

    def next_grant(self, **changes: object) -> ipc.Grant:
        """A good grant for now, but for the fields in `changes`; not sent."""
        self.grant_no += 1
        now_ns = time.monotonic_ns()
        fields: dict[str, object] = {
            "run_id": self.run_id,
            "grant_no": self.grant_no,
            "arm_no": self.arm_no,
            "train": self.grant_no,
            "settings": self.settings,
            "not_before_ns": now_ns,
            "expires_ns": now_ns + GRANT_WINDOW_NS,
            "gap_ns": 0,
            "wall_minus_mono_ns": wall_minus_mono_ns(),
            "pacing": self.pacing,
        }
        return ipc.Grant(**(fields | changes))  # type: ignore[arg-type]  # a wrong field fails at once

    def grant(self, **changes: object) -> ipc.Grant:
        grant = self.next_grant(**changes)
        self.send(grant)
        return grant

    def fire(self, bursts: int = 1, settings: TrainSettings = THETA, pacing: Pacing = Pacing.TRAIN) -> ipc.Grant:
        """Arm, grant, and wait until the train has given so many whole bursts."""
        self.arm(settings, pacing)
        grant = self.grant()
        self.wait_for_bursts(bursts)
        return grant

    # ---- hearing ----------------------------------------------------------------------------------------------------

    def wait_for(self, kind: type[Kind], timeout_s: float = 10.0, *, where: Callable[[Kind], bool] = lambda _: True) -> Kind:
        """The first packet of that kind, heard since the last `rest`, for which `where` holds."""

        def found() -> list[Kind]:
            return [packet for packet in self.all(kind) if where(packet)]

        self.room.wait(kind.__name__, lambda: bool(found()), timeout_s)
        return found()[0]

    def all(self, kind: type[Kind]) -> list[Kind]:
        return [packet for _, packet in self.heard if isinstance(packet, kind)]

    def heard_ns(self, wanted: object) -> int:
        """When that very packet arrived."""
        return next(at_ns for at_ns, packet in self.heard if packet is wanted)

    def receipt(self, grant: ipc.Grant, timeout_s: float = 10.0) -> ipc.Receipt:
        return self.wait_for(ipc.Receipt, timeout_s, where=lambda receipt: receipt.grant_no == grant.grant_no)

    def wait_vetoed(self, veto: str, timeout_s: float = 10.0) -> ipc.GateNews:
        return self.wait_for(ipc.GateNews, timeout_s, where=lambda gate: veto in gate.vetoes)

    def wait_on_target(self) -> None:
        """The newest word of the gate: nothing against the coil's place or the pose's age."""
        against = {"off_target", "pose_stale", "tracker_silent", "head_unseen", "coil_unseen", "not_registered"}
        asked_ns = time.monotonic_ns()

        def on_target() -> bool:
            gates = self.all(ipc.GateNews)
            return bool(gates) and gates[-1].at_ns > asked_ns and not against & set(gates[-1].vetoes)

        self.room.wait("the gate's word that the coil is on target", on_target, START_S)

    def wait_for_bursts(self, bursts: int) -> None:
        self.room.wait(f"{bursts} bursts", lambda: len(self.truth()) >= 3 * bursts)

    # ---- the truth --------------------------------------------------------------------------------------------------

    def truth(self) -> list[TruePulse]:
        """Every physical pulse since the last `rest`."""
        return self.room.pulses_since(self.truth_since_ns)

    def given(self) -> int:
        return len(self.truth())

    def counted(self) -> int:
        """Pulses of all receipts, and those reported without a grant."""
        return sum(receipt.pulses for receipt in self.all(ipc.Receipt)) + sum(stray.pulses for stray in self.all(ipc.Ungranted))

    # ---- between tests ----------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """As after `start`: nothing armed, no fault, the coil on target, everything heard so far forgotten."""
        self.go_on()
        self.operator_present = self.stop_tested = self.stop_inputs_clear = True
        self.room.mend()
        with self.room.changed:
            self.heard.clear()
        self._at_rest()
        if not self._is_aimed:
            self.aim()
        self.wait_on_target()
        with self.room.changed:
            self.heard.clear()
            self.truth_since_ns = time.monotonic_ns()

    def _at_rest(self) -> None:
        """Stop, and wait for a device that confirms, with nothing left to account for."""
        self.stop("between tests")
        self.wait_for(ipc.Safe, START_S, where=lambda safe: safe.confirmed)
        asked_ns = time.monotonic_ns()
        self.wait_for(ipc.GateNews, START_S, where=lambda gate: gate.at_ns > asked_ns and not gate.firing)
