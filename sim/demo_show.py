"""What the demo shows while it runs: the word, four numbers, reasons, trains, and what the operator does.

On a terminal one picture that changes in place; elsewhere a line for each change. Reads the watcher's and operator's lines alone.
"""

import json
from collections import deque
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

NUMBERS = (
    ("Distance to target", "distance_to_target_mm", "mm"),
    ("Target error", "target_error_mm", "mm"),
    ("Angular error", "angular_error_deg", "°"),
    ("Twist error", "twist_error_deg", "°"),
)
STYLES = {
    "READY": "bold green",
    "FIRING": "bold reverse green",
    "PAUSED": "bold yellow",
    "TRACKING LOST": "bold yellow",
    "STOP": "bold red",
}
REMEMBERED = 12
REASONS = 3


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What changes slowly: a new line is written when any of it does."""

    word: str = "…"
    step: str = ""
    train: str = ""
    reasons: tuple[str, ...] = ()


class Show:
    """`take` a line of telemetry or of the operator; draws what has changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = Shown()
        self._numbers: dict[str, float | None] = {}
        self._told: deque[str] = deque(maxlen=REMEMBERED)
        self._live = Live(console=console, refresh_per_second=8, get_renderable=self._picture) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, text: str) -> None:
        """A sentence about what is being done."""
        self._told.append(text)
        if self._live is None:
            self._print(text)

    def telemetry(self, line: str) -> None:
        """One line of `clients.watch --plain`."""
        update = json.loads(line)
        body, before = update.get("body", {}), self._shown
        match update["topic"]:
            case "v1/coil/error":
                self._numbers = {name: body[name] for _, name, _ in NUMBERS}
            case "v1/gate":
                reasons = tuple(reason["row"] for reason in body["reasons"])
                self._shown = msgspec.structs.replace(before, word=body["word"], reasons=reasons)
            case "v1/session":
                self._shown = msgspec.structs.replace(before, step=body["step"])
            case "v1/train":
                self._shown = msgspec.structs.replace(before, train=_train(body))
        if self._live is None and _coarse(self._shown) != _coarse(before):
            self._print(self._line())

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _line(self) -> str:
        shown = self._shown
        numbers = "  ".join(f"{_number(self._numbers.get(name))}{unit}" for _, name, unit in NUMBERS)
        why = "" if shown.word in ("READY", "FIRING") else ", ".join(shown.reasons[:REASONS])
        return f"  {shown.word:<13} {shown.step:<8} [{numbers}]  {shown.train}  {why}".rstrip()

    def _picture(self) -> Group:
        shown = self._shown
        state = Text.assemble((f" {shown.word} ", STYLES.get(shown.word, "bold")), f"  step {shown.step}  {shown.train}")
        numbers = Table(box=None, expand=True)
        for label, _, _ in NUMBERS:
            numbers.add_column(label, header_style="dim", no_wrap=True)
        numbers.add_row(*(Text(f"{_number(self._numbers.get(name))} {unit}", style="bold") for _, name, unit in NUMBERS))
        reasons = Text(", ".join(shown.reasons[:REASONS]) or "nothing stands against a pulse", style="dim", no_wrap=True)
        return Group(Panel(Group(state, numbers, reasons), title="atmsd, simulated room"), Text("\n".join(self._told)))


def _coarse(shown: Shown) -> tuple[object, ...]:
    """What is worth a line where every line stays: reasons change too often while somebody aims."""
    return (shown.word, shown.step, shown.train)


def _train(body: dict[str, object]) -> str:
    what = f"train {body['train']}/{body['trains']} {body['state']}"
    return f"{what}, {body['pulses_session']}/{body['pulses_planned']} pulses"


def _number(value: float | None) -> str:
    return "--" if value is None else f"{round(value, 1) + 0.0:.1f}".replace("-", "−")  # + 0.0: never a minus before zero
