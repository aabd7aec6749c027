"""A MagPro at its serial line: hears commands, answers each in its turn, and is the machine behind it.

Owns no port and no thread: `hear` and `advance` are given the time, `take_frames` holds what it says.
"""

from collections import deque
from collections.abc import Iterator

from drivers.magventure_command_wire import (
    AskCounters,
    AskDelays,
    AskLongStatus,
    AskStatus,
    AskTrain,
    AskWaveform,
    Command,
    SelectPage,
    SetAmplitude,
    SetDelays,
    SetEnabled,
    SetTrain,
    SetWaveform,
    StartTrain,
    Trigger,
    WriteDelays,
    WriteTrain,
    decode_command,
)
from drivers.values import WireError
from sim.magventure_faults import MagVentureFaults
from sim.magventure_machine import NS_PER_MS, Due, MagVentureMachine
from sim.magventure_settings import DEFAULT_MODEL, SETTABLE_PAGES
from sim.truth import TruthLog


class MagVentureDevice(MagVentureMachine):
    """One unit with its line. `reply_delay_ms` passes before each answer, and before what was asked is done."""

    def __init__(
        self,
        truth: TruthLog,
        faults: MagVentureFaults,
        now_ns: int,
        *,
        model: str = DEFAULT_MODEL,
        reply_delay_ms: float = 20,
        events_per_burst: int = 1,
    ) -> None:
        super().__init__(truth, faults, now_ns, model=model, events_per_burst=events_per_burst)
        self._reply_delay_ms = reply_delay_ms
        self._commands: deque[tuple[int, Command]] = deque()
        self._last_due_ns = now_ns
        self._stop_ignored_until_ns: int | None = None

    # ---- the line ---------------------------------------------------------------------------------------------------

    def hear(self, body: bytes, now_ns: int) -> None:
        """A body with a right checksum; what is no command is ignored."""
        if self.faults.deaf:
            return
        try:
            command = decode_command(body)
        except WireError:
            return
        delay_ms = self._reply_delay_ms if self.faults.reply_delay_ms is None else self.faults.reply_delay_ms
        self._last_due_ns = max(now_ns, self._last_due_ns) + round(delay_ms * NS_PER_MS)
        self._commands.append((self._last_due_ns, command))

    # ---- time -------------------------------------------------------------------------------------------------------

    @property
    def next_ns(self) -> int:
        """When `advance` has something to do at the earliest."""
        return min(at_ns for at_ns, _ in self._due())

    def advance(self, now_ns: int) -> None:
        """Do all that is due up to `now_ns`, each thing at its own time."""
        while True:
            at_ns, act = min(self._due(), key=lambda due: due[0])
            if at_ns > now_ns:
                return
            act(at_ns)

    def _due(self) -> Iterator[Due]:
        yield from super()._due()
        if self._commands and not self._disable_waits:
            yield self._commands[0][0], self._obey

    def reset(self, now_ns: int) -> None:
        super().reset(now_ns)
        self._commands.clear()

    # ---- commands ---------------------------------------------------------------------------------------------------

    def _obey(self, now_ns: int) -> None:
        _, command = self._commands.popleft()
        match command:
            case AskStatus():
                self._say(self._short_status())
            case AskLongStatus():
                self._say(self._long_status())
            case AskWaveform():
                self._say(self.settings.waveform_report())
            case AskTrain():
                self._say(self.settings.train_report())
            case AskDelays():
                self._say(self.settings.delays)
            case AskCounters():
                self._say(self._counters())
            case Trigger():
                self.trigger(now_ns)
            case StartTrain():
                self.start_train(now_ns)
            case SetEnabled():
                self._obey_enable(command.on, now_ns)
            case _:
                self._obey_setting(command)

    def _obey_setting(self, command: Command) -> None:
        match command:
            case SetAmplitude():
                self.set_amplitude(command.a_pct, command.b_pct)
            case SelectPage() if command.page in SETTABLE_PAGES:
                self.show_page(command.page)
            case SetWaveform():
                self.settings.set_waveform(command)
                self._say(self.settings.waveform_report())
            case SetTrain():
                self._set_train(command)
                self._say(self._page_report())
            case WriteTrain():
                self._set_train(command)
                self._say(self.settings.train_report())
            case SetDelays():  # clients wait for eight bytes, as after every other setting
                self.settings.set_delays(command)
                self._say(self._page_report())
            case WriteDelays():
                self.settings.set_delays(command)
                self._say(self.settings.delays)

    def _set_train(self, command: SetTrain | WriteTrain) -> None:
        if not self.running:
            self.settings.set_train(command)

    def _obey_enable(self, on: bool, now_ns: int) -> None:
        if on:
            if not self.faults.ignores_enable:
                self.enable(now_ns)
            return
        if self._stop_ignored_until_ns is None:
            self._stop_ignored_until_ns = now_ns + round(self.faults.ignores_stop_ms * NS_PER_MS)
        if now_ns >= self._stop_ignored_until_ns:
            self._stop_ignored_until_ns = None
            self.faults.ignores_stop_ms = 0.0
            self.disable(now_ns)
