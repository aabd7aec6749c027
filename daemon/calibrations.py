"""Which calibrations are in use: the chair file's, or the newest accepted of the history, with every reason against it.

Reads the history when asked to; never falls back to an older calibration, for nobody would notice.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime

import msgspec

from calibration.store import UNFIT_TEXT, Acceptance, Record, Tool, Unfit, against
from daemon.calibration_files import History, HistoryFault
from daemon.config import Config, TrackerSection
from daemon.ipc import Calibrated

Point = tuple[float, float, float]
TOOLS: tuple[Tool, ...] = ("pointer", "coil")


class InUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one tool's figures are, or why there are none. `version` and `sha256` are None for the chair file's."""

    tool: Tool
    source: str
    version: int | None = None
    sha256: str | None = None
    tip_in_pointer_mm: Point | None = None
    coiltool_from_coil: tuple[tuple[float, ...], ...] | None = None
    valid_until_utc: str | None = None
    unfit: tuple[Unfit, ...] = ()

    @property
    def why(self) -> str:
        """A sentence for people; empty while it may be used."""
        return "; ".join(UNFIT_TEXT[unfit] for unfit in self.unfit)


def tool_hashes(config: Config) -> dict[str, str]:
    """What a calibration of each tool rests on: its definition, or where the tracker alone knows that, the name it gives the tool."""
    names = {} if isinstance(config.tracker, TrackerSection) else config.tracker.tools
    content = {
        name: f"name:{names.get(name, name)}".encode() if tool.rom is None else tool.rom.read_bytes()
        for name, tool in config.tools.by_name().items()
    }
    return {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


class Calibrations:
    """The calibrations of one chair. `utc_s` is the wall clock: validity is a matter of dates."""

    def __init__(self, config: Config, history: History, utc_s: Callable[[], float]) -> None:
        self.history, self.utc_s = history, utc_s
        self._tools = config.tools
        self.rom_sha256 = tool_hashes(config)
        self._in_use = {tool: self._found(tool) for tool in TOOLS}

    def in_use(self, tool: Tool) -> InUse:
        """As last looked up, with what time has brought since."""
        known = self._in_use[tool]
        if known.source == "chair" or known.unfit or known.valid_until_utc is None:
            return known
        if self.utc_s() < datetime.fromisoformat(known.valid_until_utc).timestamp():
            return known
        return _none(tool, known.version, Unfit.EXPIRED)

    def tip_in_pointer_mm(self) -> Point | None:
        """Where the pointer's tip is; None while no calibration may be used."""
        return self.in_use("pointer").tip_in_pointer_mm

    def look_again(self) -> tuple[Tool, ...]:
        """Read the history anew; the tools whose calibration is no longer what was in use. Reads files."""
        found = {tool: self._found(tool) for tool in TOOLS}
        changed = tuple(tool for tool in TOOLS if found[tool] != self._in_use[tool])
        self._in_use = found
        return changed

    def for_hot(self) -> Calibrated | None:
        """What the hot process is to be told; None where the chair file tells it."""
        coil = self.in_use("coil")
        if coil.source == "chair":
            return None
        if coil.coiltool_from_coil is None or coil.valid_until_utc is None:
            return Calibrated(coiltool_from_coil=None, valid_until_utc_ns=0)
        until_utc_ns = round(datetime.fromisoformat(coil.valid_until_utc).timestamp() * 1e9)
        return Calibrated(coiltool_from_coil=coil.coiltool_from_coil, valid_until_utc_ns=until_utc_ns)

    def against(self, record: Record, acceptance: Acceptance | None) -> tuple[Unfit, ...]:
        """Everything against using that calibration now."""
        return against(record, acceptance, self.rom_sha256[record.tool], self.utc_s())

    def _found(self, tool: Tool) -> InUse:
        if tool == "pointer" and self._tools.pointer.calibration == "chair":
            return InUse(tool=tool, source="chair", tip_in_pointer_mm=self._tools.pointer.tip_in_pointer_mm)
        coil = self._tools.coil
        if tool == "coil" and coil.calibration == "chair":
            return InUse(tool=tool, source="chair", coiltool_from_coil=coil.coiltool_from_coil, valid_until_utc=coil.valid_until_utc)
        return self._accepted(tool)

    def _accepted(self, tool: Tool) -> InUse:
        try:
            acceptance = self.history.book().newest(tool)
        except HistoryFault:
            return _none(tool, None, Unfit.ALTERED)
        if acceptance is None:
            return _none(tool, None, Unfit.NONE_ACCEPTED)
        try:
            record = self.history.read(tool, acceptance.version)
        except HistoryFault as fault:
            return _none(tool, acceptance.version, Unfit.MISSING if fault.is_missing else Unfit.ALTERED)
        if unfit := self.against(record, acceptance):
            return _none(tool, record.version, *unfit)
        pose = record.coil_pose()
        return InUse(
            tool=tool,
            source="store",
            version=record.version,
            sha256=record.sha256,
            tip_in_pointer_mm=record.tip_in_pointer_mm,
            coiltool_from_coil=None if pose is None else tuple(tuple(row) for row in pose.matrix.tolist()),
            valid_until_utc=record.valid_until_utc,
        )


def _none(tool: Tool, version: int | None, *unfit: Unfit) -> InUse:
    return InUse(tool=tool, source="store", version=version, unfit=unfit)
