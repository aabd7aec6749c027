"""What a chair remembers from one start to the next besides its doses: the day on which its hardware stop was tested."""

import contextlib
import datetime
import zoneinfo
from pathlib import Path

import msgspec

from daemon.durable import write_whole


class _Remembered(msgspec.Struct, frozen=True, kw_only=True):
    hardware_stop_tested_on: str | None = None


class ChairMemory:
    """One small file beside the ledger. Unreadable or missing: nothing is remembered, and the test is asked for again."""

    def __init__(self, path: Path, timezone: str) -> None:
        self._path, self._zone = path, zoneinfo.ZoneInfo(timezone)
        try:
            self._remembered = msgspec.json.decode(path.read_bytes(), type=_Remembered)
        except (OSError, msgspec.DecodeError):
            self._remembered = _Remembered()

    def today(self, utc_s: float) -> str:
        return datetime.datetime.fromtimestamp(utc_s, self._zone).date().isoformat()

    def hardware_stop_tested(self, utc_s: float) -> bool:
        """Tested on this calendar day of the site."""
        return self._remembered.hardware_stop_tested_on == self.today(utc_s)

    def remember_hardware_stop(self, utc_s: float) -> None:
        """Where it cannot be written it holds until the next start, and is then asked for again."""
        self._remembered = _Remembered(hardware_stop_tested_on=self.today(utc_s))
        with contextlib.suppress(OSError):
            write_whole(self._path, msgspec.json.encode(self._remembered))
