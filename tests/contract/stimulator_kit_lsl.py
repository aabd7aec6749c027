"""External trigger boxes in the contract: their driver and the simulated box as a `Unit`, with the words of the bridge between them.

LSL itself is in test_lsl_trigger_contract: here the markers go from hand to hand.
"""

import itertools
import random

from msgspec.structs import replace

from drivers.lsl_bridge_wire import LANGUAGE as BRIDGE
from drivers.lsl_bridge_wire import Ping, Pong, decode_word, encode_word
from drivers.lsl_marker_wire import LineReader
from drivers.lsl_trigger import LslTriggerStimulator
from drivers.values import TrainSettings, WireError
from sim.lsl_box import TriggerBox
from sim.lsl_faults import BoxFaults
from tests.contract.stimulator_kit import MS, START_NS, Act, Cannot, Model, Trouble, Truth

COIL, SERIAL = 60, 7
BEAT_NS = 300 * MS
ANSWER_MS = 2.0  # some way through LSL and back
BYTE_SHARE = 0.0005  # of bytes lost or doubled: markers are long, and one such byte spoils one
THETA = TrainSettings(amplitude_pct_mso=50, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)


class BoxUnit:
    """The box and the bridge to it. `loses`, `doubles`: bytes on the way between driver and bridge."""

    def __init__(self, makes: str, receipts: bool, seed: int) -> None:
        self.truth, self.faults = Truth(), BoxFaults()
        self.box = TriggerBox(self.truth, self.faults, START_NS, makes=makes, serial=SERIAL, coil_type=COIL, answer_ms=ANSWER_MS)
        self._makes, self._receipts = makes, receipts
        self._runs = itertools.count(1)
        self.restart_host()
        self.loses = self.doubles = False
        self._reader = LineReader()
        self._pongs: list[str] = []
        self._rng = random.Random(seed)

    @property
    def next_ns(self) -> int:
        return START_NS if self._pongs else self.box.next_ns

    @property
    def enabled(self) -> bool:
        return self.box.armed

    def hear(self, data: bytes, now_ns: int) -> None:
        for text in self._reader.feed(self._damaged(data)):
            if text.startswith(BRIDGE):
                self._answer(text)
            else:
                self.box.hear(text, now_ns)

    def _answer(self, text: str) -> None:
        try:
            word = decode_word(text)
        except WireError:
            return
        if isinstance(word, Ping):
            self._pongs.append(encode_word(Pong(id=word.id, listened=True, status=True, receipts=self._receipts, rivals=0)))

    def say(self, now_ns: int) -> bytes:
        self.box.advance(now_ns)
        lines = [*self._pongs, *(marker for _, marker in self.box.take(now_ns))]
        self._pongs = []
        return self._damaged("".join(f"{line}\n" for line in lines).encode("ascii"))

    def _damaged(self, data: bytes) -> bytes:
        if not self.loses and not self.doubles:
            return data
        out = bytearray()
        for byte in data:
            if self.loses and self._rng.random() < BYTE_SHARE:
                continue
            out.append(byte)
            if self.doubles and self._rng.random() < BYTE_SHARE:
                out.append(byte)
        return bytes(out)

    def restart_host(self) -> None:
        self.driver = LslTriggerStimulator(
            self._makes,
            COIL,
            box_serial=SERIAL,
            max_amplitude_pct_mso=80,
            receipt_stream="receipts" if self._receipts else None,
            unconfirmed_signed_by=None if self._receipts else "the site's physician",
            new_run=lambda: f"{next(self._runs):016x}",
        )

    def keep_alive(self, now_ns: int) -> None:
        self.driver.may_keep_alive(now_ns + BEAT_NS)

    def ignore_stop(self, ms: int) -> None:
        self.faults.ignores_stop_ms = ms

    def heal(self) -> None:
        self.box.faults = self.faults = BoxFaults()
        self.loses = self.doubles = False


def switch(name: str, value: object) -> Act:
    return lambda unit, _now_ns: setattr(unit.faults, name, value)


def warm(unit: BoxUnit, now_ns: int) -> None:
    unit.box.act(lambda box: box.warm_to(39.0), now_ns)
    unit.faults.heating_c_per_s = 1.5


TROUBLES: dict[Trouble, Act | Cannot] = {
    Trouble.SILENT: switch("silent", True),
    Trouble.DEAF: switch("deaf", True),
    Trouble.WRONG_CHECKSUM: switch("wrong_check", True),
    Trouble.LOST_BYTES: lambda unit, _now_ns: setattr(unit, "loses", True),
    Trouble.DOUBLED_BYTES: lambda unit, _now_ns: setattr(unit, "doubles", True),
    Trouble.SLOW: switch("late_ms", 3000.0),
    Trouble.STUCK_ARMED: switch("stuck_armed", True),
    Trouble.IGNORES_STOP: lambda unit, _now_ns: unit.ignore_stop(120),
    Trouble.NEVER_READY: switch("never_ready", True),
    Trouble.START_IGNORED: switch("ignores_fire", True),
    Trouble.SETTING_REFUSED: switch("ignores_set", True),
    Trouble.SETTING_DIFFERS: lambda unit, now_ns: unit.box.turn_rate("7.7", now_ns),
    Trouble.WARMING: warm,
    Trouble.BROKEN_SENSOR: switch("reports_c", 0),
    Trouble.COIL_REMOVED: lambda unit, now_ns: unit.box.swap_coil(0, now_ns),
    Trouble.PANEL_ENABLE: lambda unit, now_ns: unit.box.press_arm(now_ns),
    Trouble.PANEL_DISABLE: lambda unit, now_ns: unit.box.press_stop(now_ns),
    Trouble.PANEL_DIAL: lambda unit, now_ns: unit.box.turn_dial(60, now_ns),
    Trouble.PANEL_FIRE: lambda unit, now_ns: unit.box.foot_switch(now_ns),
    Trouble.POWER_CYCLE: lambda unit, now_ns: unit.box.restart(now_ns),
    Trouble.LEFT_ENABLED: lambda _unit, _now_ns: None,
    Trouble.DAEMON_SILENT: lambda _unit, _now_ns: None,
    Trouble.PACED_BY_HOST: Cannot("markers follow each other at half a second or more: no host paces bursts at 5 Hz here"),
    Trouble.LATE_ANSWER: lambda _unit, _now_ns: None,
    Trouble.MID_TRAIN: lambda _unit, _now_ns: None,
}
UNCONFIRMED: dict[Trouble, Act | Cannot] = TROUBLES | {
    Trouble.PANEL_FIRE: Cannot("without a receipt stream nothing tells of a pulse that nobody asked for"),
}


def model_of(name: str, receipts: bool, troubles: dict[Trouble, Act | Cannot]) -> Model:
    return Model(
        name=name,
        make=lambda seed: BoxUnit("train", receipts, seed),
        settings=THETA,
        impossible=replace(THETA, burst_hz="18"),  # one burst would run into the next
        disarm_bytes=b"\n",  # only a stop begins with the end of whatever line was left half written
        alarm_ms=300,
        retry_ms=100,
        tells_pulses=receipts,
        forgets_host_ms=1000,
        troubles=troubles,
        stride=61,
    )


MODELS = (
    model_of("lsl trigger box", True, TROUBLES),
    model_of("lsl trigger box, unconfirmed", False, UNCONFIRMED),
)
