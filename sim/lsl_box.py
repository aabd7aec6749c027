"""An external trigger box with a stimulator behind it: what it does with each marker, what it says of it. Owns no stream, no clock.

Written after the rules that docs/lsl.md gives to a box's maker. Markers in, markers out; time is told with every call.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from drivers.lsl_trigger_wire import (
    AnyCommand,
    Arm,
    Fire,
    Pattern,
    PulseGiven,
    Set,
    Status,
    Stop,
    decode_command,
    encode,
)
from drivers.values import WireError
from sim.lsl_faults import BoxFaults
from sim.truth import TruthLog

MS = 1_000_000
CHARGE_NS = 300 * MS
HEARTBEAT_NS = 1_000 * MS
FAR_NS = 1 << 62
AMBIENT_C, HEAT_C_PER_PULSE = 22.0, 0.002
COOLING_NS = 120_000 * MS  # time constant
STATUSES_REMEMBERED = 64


@dataclass(slots=True)
class Running:
    """A train under way: pulses left, each as (burst, pulse, when)."""

    run: str
    id: int
    left: deque[tuple[int, int, int]]


class TriggerBox:
    """`makes`: what it makes of one fire marker: train, burst or pulse. `follows`: whether it sets the stimulator's amplitude itself.
    `answer_ms`: how long all that it says takes.

    `take(now_ns)` gives what it says by then, each with the stream it belongs to: status or receipt.
    """

    def __init__(
        self,
        truth: TruthLog,
        faults: BoxFaults,
        now_ns: int,
        *,
        makes: str = "train",
        serial: int = 1,
        coil_type: int = 60,
        follows: bool = True,
        amplitude_pct: int = 0,
        answer_ms: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._truth, self.faults = truth, faults
        self._makes, self._serial, self._follows = makes, serial, follows
        self.coil_type, self.amplitude_pct = coil_type, amplitude_pct
        self._answer_ms = answer_ms
        self._rng = random.Random(seed)
        self._celsius, self._felt_ns = AMBIENT_C, now_ns
        self._trains = 0
        self._said: deque[tuple[int, str, str]] = deque()
        self._start(now_ns)

    def warm_to(self, celsius: float) -> None:
        """The coil was used before."""
        self._celsius = celsius

    def _start(self, now_ns: int) -> None:
        """As after the mains were switched on."""
        self._name = f"{self._rng.getrandbits(64):016x}"
        self._run: str | None = None
        self._past_runs: set[str] = set()
        self._heard = 0
        self._refused: str | None = None
        self._found = (False, False)
        self.armed, self._ready_ns, self._alive_ns = False, FAR_NS, FAR_NS
        self._told_ready = False
        self._alive_ms = 0
        self._pattern: Pattern | None = None
        self._running: Running | None = None
        self._status_number = self._receipt_number = 0
        self._sent_ns: dict[int, int] = {}
        self._stop_ns: int | None = None  # of a stop that is obeyed late
        self._heartbeat_ns = now_ns

    # ---- what there is ------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._running is not None

    def _is_ready(self, now_ns: int) -> bool:
        return self.armed and now_ns >= self._ready_ns and not self.faults.never_ready

    @property
    def next_ns(self) -> int:
        """When something happens by itself, at the latest."""
        times = [self._heartbeat_ns]
        if self._stop_ns is not None:
            times.append(self._stop_ns)
        if self._running is not None:
            times.append(self._running.left[0][2])
        if self.armed and not self.faults.stuck_armed:
            times.append(self._alive_ns)
        if self.armed and not self._told_ready and not self.faults.never_ready:
            times.append(self._ready_ns)
        if self._said:
            times.append(self._said[0][0])
        return min(times)

    # ---- markers ------------------------------------------------------------------------------------------------------------

    def hear(self, marker: str, now_ns: int) -> None:
        """One marker from the trigger stream."""
        self.advance(now_ns)
        if self.faults.deaf:
            return
        try:
            command = decode_command(marker)
        except WireError:
            return
        if isinstance(command, Stop):
            self._take_stop(command, now_ns)
        elif command.run == self._run and command.id > self._heard:
            self._heard, self._alive_ns = command.id, now_ns + self._alive_ms * MS
            self._refused = self._do(command, now_ns)
        self._tell_status(now_ns)

    def _take_stop(self, command: Stop, now_ns: int) -> None:
        if command.run != self._run and command.run not in self._past_runs:
            if self._run is not None:
                self._past_runs.add(self._run)
            self._run, self._heard, self._found = command.run, 0, (self.armed, self.running)
        if command.run == self._run:
            self._heard, self._refused = max(self._heard, command.id), None
        if not self.faults.ignores_stop_ms:
            self.disarm(now_ns)
        elif self._stop_ns is None:
            self._stop_ns = now_ns + round(self.faults.ignores_stop_ms * MS)

    def _do(self, command: AnyCommand, now_ns: int) -> str | None:
        """Carry it out; why not, where it is not."""
        match command:
            case Set(pattern=pattern):
                return self._set(pattern)
            case Arm():
                return self._void(command, now_ns) or self._arm(command, now_ns)
            case Fire():
                return self._void(command, now_ns) or self._fire(command, now_ns)
            case _:
                return None

    def _void(self, command: Arm | Fire, now_ns: int) -> str | None:
        sent_ns = self._sent_ns.get(command.after)
        is_young = sent_ns is not None and now_ns - sent_ns <= command.within_ms * MS
        return None if is_young else "too late"

    def _set(self, pattern: Pattern) -> str | None:
        if self.armed:
            return "armed"
        if self._makes == "pulse" and pattern.pulses_per_burst != 1:
            return "no bursts"
        if self.faults.ignores_set:
            return None
        self._pattern = pattern
        if self._follows:
            self.amplitude_pct = pattern.amplitude_pct_mso
        return None

    def _arm(self, command: Arm, now_ns: int) -> str | None:
        if self._pattern is None:
            return "no pattern"
        if self.faults.ignores_arm:
            return None
        self._alive_ms, self._alive_ns = command.alive_ms, now_ns + command.alive_ms * MS
        self._charge(now_ns)
        return None

    def _charge(self, now_ns: int) -> None:
        if not self.armed:
            self.armed, self._ready_ns, self._told_ready = True, now_ns + CHARGE_NS, False
            self._truth.charged(now_ns, enabled=True)

    def _fire(self, command: Fire, now_ns: int) -> str | None:
        pattern = self._pattern
        if pattern is None or not self._is_ready(now_ns):
            return "not ready"
        if self._running is not None:
            return "a train is running"
        if self._makes != "train" and command.bursts != 1:
            return "one at a time"
        if not self.faults.ignores_fire:
            self._begin(pattern, command.run, command.id, command.first, command.bursts, now_ns)
        return None

    def _begin(self, pattern: Pattern, run: str, command_id: int, first: int, bursts: int, now_ns: int) -> None:
        period_ns = round(1e9 / (float(pattern.burst_hz) * self.faults.rate_factor))
        self._trains += 1
        pulses = [
            (first + burst, pulse + 1, now_ns + burst * period_ns + pulse * pattern.intra_burst_interval_us * 1000)
            for burst in range(max(1, bursts + self.faults.extra_pulses))
            for pulse in range(pattern.pulses_per_burst)
        ]
        self._running = Running(run, command_id, deque(pulses))
        self._give_due(now_ns)

    # ---- time ---------------------------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Everything that is due by now."""
        self._give_due(now_ns)
        if self._stop_ns is not None and now_ns >= self._stop_ns:
            self._stop_ns = None
            self.disarm(now_ns)
            self._tell_status(now_ns)
        if self.armed and now_ns >= self._alive_ns and not self.faults.stuck_armed:
            self.disarm(now_ns)
            self._tell_status(now_ns)
        if self._is_ready(now_ns) and not self._told_ready:
            self._told_ready = True
            self._tell_status(now_ns)
        if now_ns >= self._heartbeat_ns:
            self._tell_status(now_ns)

    def _give_due(self, now_ns: int) -> None:
        running = self._running
        while running is not None and running.left and running.left[0][2] <= now_ns:
            burst, pulse, at_ns = running.left.popleft()
            self._give(at_ns, running.run, running.id, burst, pulse)
        if running is not None and not running.left:
            self._running = None
            self._tell_status(now_ns)

    def _give(self, at_ns: int, run: str | None, command_id: int | None, burst: int, pulse: int) -> None:
        self._cool(at_ns)
        self._celsius += HEAT_C_PER_PULSE
        self._truth.pulse(at_ns, self.amplitude_pct, enabled=self.armed, train=self._trains if run else None)
        self._receipt_number += 1
        if self.faults.drop_receipts and self._receipt_number % self.faults.drop_receipts == 0:
            return
        receipt = PulseGiven(box=self._name, number=self._receipt_number, run=run, id=command_id, burst=burst, pulse=pulse)
        self._say("receipt", encode(receipt), at_ns, twice=self.faults.double_receipts)

    def _cool(self, now_ns: int) -> None:
        passed_ns, self._felt_ns = max(0, now_ns - self._felt_ns), now_ns
        self._celsius += (AMBIENT_C - self._celsius) * min(1.0, passed_ns / COOLING_NS) + self.faults.heating_c_per_s * passed_ns / 1e9

    # ---- telling ------------------------------------------------------------------------------------------------------------

    def _tell_status(self, now_ns: int) -> None:
        faults = self.faults
        self._cool(now_ns)
        self._heartbeat_ns = now_ns + HEARTBEAT_NS
        self._status_number += 1
        self._sent_ns[self._status_number] = now_ns
        self._sent_ns.pop(self._status_number - STATUSES_REMEMBERED, None)
        celsius = round(self._celsius) if faults.reports_c is None else faults.reports_c
        status = Status(
            box=self._name,
            number=self._status_number,
            run=self._run,
            heard=self._heard,
            armed=self.armed,
            ready=self._is_ready(now_ns),
            running=self.running,
            found_armed=self._found[0],
            found_running=self._found[1],
            pattern=self._pattern,
            amplitude_pct_mso=None if faults.no_amplitude else self.amplitude_pct,
            coil_type=None if faults.no_coil else self.coil_type,
            temperature_c=None if faults.no_temperature else celsius,
            given=None if faults.no_count else self._receipt_number,
            model=f"simulated box, {self._makes}",
            serial=faults.answers_as or self._serial,
            refused=self._refused,
            fault=faults.fault or None,
            simulated=True,
        )
        self._say("status", encode(status), now_ns, twice=faults.double_statuses)

    def _say(self, stream: str, marker: str, now_ns: int, *, twice: bool) -> None:
        if self.faults.silent:
            return
        text = marker[:-2] + "?}" if self.faults.wrong_check else marker
        for _ in range(1 + twice):
            self._said.append((now_ns + round((self._answer_ms + self.faults.late_ms) * MS), stream, text))

    def take(self, now_ns: int) -> list[tuple[str, str]]:
        """What it says by now, in order: (stream, marker)."""
        said = []
        while self._said and self._said[0][0] <= now_ns:
            _, stream, marker = self._said.popleft()
            said.append((stream, marker))
        return said

    # ---- hands at the box, the stimulator and the coil ------------------------------------------------------------------------

    def disarm(self, now_ns: int) -> None:
        """The box's or the stimulator's own stop, a stop marker, or the box's time-out."""
        if self.faults.stuck_armed:
            return
        self._running = None
        if self.armed:
            self.armed, self._ready_ns = False, FAR_NS
            self._truth.charged(now_ns, enabled=False)

    def act(self, act: Callable[["TriggerBox"], None], now_ns: int) -> None:
        """Something that a hand does: the box says what it sees of it."""
        self.advance(now_ns)
        act(self)
        self._tell_status(now_ns)

    def press_stop(self, now_ns: int) -> None:
        self.act(lambda box: box.disarm(now_ns), now_ns)

    def press_arm(self, now_ns: int) -> None:
        self._alive_ns = FAR_NS
        self.act(lambda box: box._charge(now_ns), now_ns)

    def foot_switch(self, now_ns: int) -> None:
        """A trigger from elsewhere, which the box sees at the stimulator's output; one that is not charged gives nothing."""
        if self._is_ready(now_ns):
            self.act(lambda box: box._give(now_ns, None, None, 1, 1), now_ns)

    def turn_dial(self, pct: int, now_ns: int) -> None:
        self.act(lambda box: setattr(box, "amplitude_pct", pct), now_ns)

    def turn_rate(self, burst_hz: str, now_ns: int) -> None:
        """At the box's own panel, where it has one."""
        if self._pattern is not None and self._pattern.burst_hz != burst_hz:
            self._pattern = msgspec.structs.replace(self._pattern, burst_hz=burst_hz)
            self._tell_status(now_ns)

    def swap_coil(self, coil_type: int, now_ns: int) -> None:
        self.act(lambda box: setattr(box, "coil_type", coil_type), now_ns)

    def restart(self, now_ns: int) -> None:
        """The box's program starts anew, whatever it was doing."""
        self.disarm(now_ns)
        self._start(now_ns)
