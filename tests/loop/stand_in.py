"""A stand-in for the daemon process: speaks its channels, needs no registration, and grants trains on the pose that it finds.

The target is wherever the coil is when an arm begins, so that a real supervisor, a real hot process and a real room fire within
two seconds. Every fact is written down as a JSON line. SIGUSR1: arm (again) and grant; SIGUSR2: hold.
"""

import argparse
import json
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from calibration.frames import Transform
from daemon import ipc
from daemon.config import Config, load_config
from daemon.lifeline import Lifeline
from daemon.on_target import DEFAULT_LIMITS
from drivers.values import StimState, TrainSettings

IDENTITY = tuple(tuple(row) for row in np.eye(4).tolist())
SETTINGS = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)
BEAT_NS = 50_000_000
GAP_NS = 300_000_000
WINDOW_NS = 2_000_000_000
FAR_NS = 1 << 62


class StandIn:
    """Beats, arms, grants, notes."""

    def __init__(self, config: Config, args: argparse.Namespace) -> None:
        self.beats: ipc.Channel[ipc.HotBeat] = ipc.channel_from_fd(args.beats_fd, ipc.HotBeat)
        self.orders: ipc.Channel[ipc.FromHotOrder] = ipc.channel_from_fd(args.orders_fd, ipc.FromHotOrder)
        self.news: ipc.Channel[ipc.FromHotNews] = ipc.channel_from_fd(args.news_fd, ipc.FromHotNews)
        self.life = Lifeline(args.life_fd)
        self.coiltool_from_coil = Transform("coiltool", "coil", np.array(config.tools.coil.coiltool_from_coil))
        self.log = (args.config.parent / "stand_in.jsonl").open("a", buffering=1)
        self.run_id = ""
        self.arm_no = self.grant_no = 0
        self.wanted = self.armed = self.holding = False
        self.stim: str | None = None
        self.safe = False
        self.frame: ipc.FrameNews | None = None
        self.vetoes: tuple[str, ...] | None = None
        self.pending = self.leaving = False
        self.next_beat_ns = 0
        self.note("begun", found=args.found)

    def note(self, event: str, **facts: Any) -> None:
        self.log.write(json.dumps({"event": event, "mono_ns": time.monotonic_ns(), **facts}) + "\n")

    def run(self) -> int:
        while not self.leaving:
            select.select([self.beats, self.orders, self.news, self.life], [], [], 0.01)
            now_ns = time.monotonic_ns()
            if self.life.listen() or self.orders.closed or self.beats.closed:
                self.note("channel_closed", life=self.life.cut, told=self.life.note)
                return 70
            self._beat(now_ns)
            self.beats.drain()
            for packet in self.orders.drain():
                self._fact(packet)
            for item in self.news.drain():
                self._news(item)
            self._act(now_ns)
        return 0

    def _beat(self, now_ns: int) -> None:
        if now_ns >= self.next_beat_ns:
            self.next_beat_ns = now_ns + BEAT_NS
            self.life.beat(now_ns)
            self.beats.send(
                ipc.DaemonBeat(made_ns=now_ns, operator_present=True, hardware_stop_tested=True, stop_inputs_clear=True)
            )

    def _fact(self, packet: ipc.FromHotOrder) -> None:
        self.note(packet.__struct_config__.tag, **msgspec.to_builtins(packet))
        match packet:
            case ipc.Hello(run_id=run_id):
                self.run_id = run_id
            case ipc.Safe(confirmed=confirmed):
                self.safe = confirmed
            case ipc.ArmState(armed=armed, arm_no=arm_no) if arm_no == self.arm_no:
                self.armed = armed
                self.wanted = self.wanted and armed
            case ipc.Receipt(broken=broken):
                self.pending = False
                self.holding = self.holding or broken

    def _news(self, item: ipc.FromHotNews) -> None:
        match item:
            case ipc.FrameNews():
                self.frame = item
            case ipc.StimNews(report=report):
                if report.state != self.stim:
                    self.note("stim", state=report.state, fault=report.fault, enabled=report.enabled)
                self.stim = report.state
            case ipc.GateNews(vetoes=vetoes):
                if vetoes != self.vetoes:
                    self.note("gate", vetoes=vetoes)
                self.vetoes = vetoes
            case ipc.TrackerNews(state=state, why=why):
                self.note("tracker", state=state, why=why)

    def _act(self, now_ns: int) -> None:
        if not self.wanted or not self.run_id:
            return
        at_rest = self.stim in (StimState.STANDBY, StimState.FAULT)
        if self.arm_no < 0 and at_rest and self.safe and self._aim():
            self.arm_no = -self.arm_no
            self.orders.send(ipc.Arm(arm_no=self.arm_no, settings=SETTINGS))
        elif self.armed and not self.pending and not self.holding:
            self._grant(now_ns)

    def _aim(self) -> bool:
        """Declare the coil's present pose the target."""
        tools = {} if self.frame is None else {sample.tool: sample for sample in self.frame.tools}
        head, coil = tools.get("head"), tools.get("coil")
        if self.frame is None or self.frame.exposed_ns is None or head is None or coil is None:
            return False
        if head.wxyz is None or coil.wxyz is None or head.in_tracker_mm is None or coil.in_tracker_mm is None:
            return False
        tracker_from_head = Transform.from_quaternion("tracker", "head", head.wxyz, head.in_tracker_mm)
        tracker_from_tool = Transform.from_quaternion("tracker", "coiltool", coil.wxyz, coil.in_tracker_mm)
        head_from_coil = tracker_from_head.inverse() @ tracker_from_tool @ self.coiltool_from_coil
        x, y, z = head_from_coil.apply(np.array([0.0, 0.0, 22.0])).tolist()
        aim = ipc.Aim(
            mri_from_head=IDENTITY,
            mri_from_target=tuple(tuple(row) for row in head_from_coil.matrix.tolist()),
            target_in_mri_mm=(x, y, z),
            limits=DEFAULT_LIMITS,
            registration_expires_ns=FAR_NS,
            check_expires_ns=FAR_NS,
            reference_holds=True,
        )
        return self.orders.send(aim)

    def _grant(self, now_ns: int) -> None:
        self.grant_no += 1
        self.pending = True
        grant = ipc.Grant(
            run_id=self.run_id,
            grant_no=self.grant_no,
            arm_no=self.arm_no,
            train=self.grant_no,
            settings=SETTINGS,
            not_before_ns=now_ns + GAP_NS,
            expires_ns=now_ns + GAP_NS + WINDOW_NS,
            gap_ns=GAP_NS,
            wall_minus_mono_ns=time.time_ns() - time.monotonic_ns(),
        )
        self.orders.send(grant)
        self.note("granted", grant_no=self.grant_no)

    # ---- signals ----

    def again(self, *_: object) -> None:
        """Stop what is, then arm anew on the present pose."""
        self.beats.send(ipc.StopNow(why="once more"))
        self.safe = False
        self.arm_no = -(abs(self.arm_no) + 1)
        self.wanted, self.armed, self.holding, self.pending = True, False, False, False

    def leave(self, *_: object) -> None:
        self.leaving = True

    def resume_or_hold(self, *_: object) -> None:
        """Running: hold. Held: go on."""
        if self.holding:
            self.holding = False
        else:
            self.holding = True
            self.beats.send(ipc.HoldNow(why="operator", grant_no=0))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--found", default="none")
    for name in ("beats", "orders", "news", "life"):
        parser.add_argument(f"--{name}-fd", type=int, required=True)
    args = parser.parse_args()
    stand_in = StandIn(load_config(args.config), args)
    signal.signal(signal.SIGTERM, stand_in.leave)
    signal.signal(signal.SIGUSR1, stand_in.again)
    signal.signal(signal.SIGUSR2, stand_in.resume_or_hold)
    return stand_in.run()


if __name__ == "__main__":
    sys.exit(main())
