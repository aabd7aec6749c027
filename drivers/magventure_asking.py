"""Questions and settings that a MagPro answers, in the order in which they are put. One at a time; no traffic of its own.

Not the disable and the start: those never wait in a line.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from drivers.magventure_command_wire import (
    AskLongStatus,
    AskTrain,
    AskWaveform,
    Command,
    SelectPage,
    SetEnabled,
    encode_command,
)
from drivers.magventure_models import Capability, amplitude_command, train_command, waveform_command
from drivers.magventure_wire import AmplitudeReport, Event, LongStatus, Page, PageReport, TrainReport, WaveformReport
from drivers.values import TrainSettings

ANSWER_LIMIT_NS = 1_000_000_000  # answers take 20 to 80 ms; every public client gives up after a second
SETTING_LIMIT_NS = 500_000_000  # some settings have no documented answer: then go on, the read-back decides


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One command, the kind of event that answers it, and whether its answer may be missing."""

    command: Command
    answer: type[Event]
    must_answer: bool = True

    @property
    def limit_ns(self) -> int:
        return ANSWER_LIMIT_NS if self.must_answer else SETTING_LIMIT_NS


STATUS = Ask(command=AskLongStatus(), answer=LongStatus)
WAVEFORM = Ask(command=AskWaveform(), answer=WaveformReport)
TRAIN = Ask(command=AskTrain(), answer=TrainReport)
ENABLE = Ask(command=SetEnabled(on=True), answer=AmplitudeReport, must_answer=False)
READ_BACK = (WAVEFORM, TRAIN, STATUS)


def writing(settings: TrainSettings, model: Capability) -> tuple[Ask, ...]:
    """The commands that set one train. The Timing page comes first: train settings are taken only while it is shown."""
    return (
        Ask(command=SelectPage(page=Page.TIMING), answer=PageReport, must_answer=False),
        Ask(command=waveform_command(settings, model), answer=WaveformReport, must_answer=False),
        Ask(command=amplitude_command(settings, model), answer=AmplitudeReport, must_answer=False),
        Ask(command=train_command(settings), answer=PageReport, must_answer=False),
    )


class Line:
    """Asks waiting their turn, and the one that is out."""

    def __init__(self) -> None:
        self._waiting: deque[Ask] = deque()
        self._out: Ask | None = None
        self._sent_ns = 0
        self.missed = 0  # answers in a row that did not come

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    @property
    def expires_ns(self) -> int | None:
        """When the ask that is out is given up; None when none is."""
        return None if self._out is None else self._sent_ns + self._out.limit_ns

    def put(self, asks: Sequence[Ask]) -> None:
        self._waiting.extend(asks)

    def clear(self) -> None:
        self._waiting.clear()
        self._out = None

    def next_bytes(self, now_ns: int) -> bytes:
        """The next command, unless one is out or none waits."""
        if self._out is not None or not self._waiting:
            return b""
        self._out, self._sent_ns = self._waiting[0], now_ns
        return encode_command(self._out.command)

    def is_answered_by(self, event: Event) -> bool:
        """Whether the event answers what is out; if so the next may go."""
        if self._out is None or not isinstance(event, self._out.answer):
            return False
        self._waiting.popleft()
        self._out, self.missed = None, 0
        return True

    def ask_again(self) -> None:
        """The answer came broken: put the same question once more."""
        self._out = None

    def expire(self, now_ns: int) -> None:
        """Give up the ask that is out once its time has passed: a setting is skipped, a question counted and put again."""
        if self._out is None or now_ns < self._sent_ns + self._out.limit_ns:
            return
        if self._out.must_answer:
            self.missed += 1
        else:
            self._waiting.popleft()
        self._out = None
