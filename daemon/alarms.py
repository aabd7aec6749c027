"""Alarms: raised by a cause, cleared when it is gone or when somebody has read it, kept visible until then."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import structlog

from daemon.messages import AlarmBody, Priority

_log = structlog.get_logger()


def utc_text(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Alarms:
    """Active and past alarms by id. `publish` is told of every change."""

    def __init__(self, publish: Callable[[AlarmBody], None]) -> None:
        self._publish = publish
        self._alarms: dict[str, AlarmBody] = {}

    def raise_(self, code: str, priority: Priority, text: str, do: str) -> None:
        """The same cause again while it is active and unchanged says nothing new."""
        known = self._alarms.get(code)
        if known is not None and known.active and known.text == text and known.acknowledged_by is None:
            return
        _log.warning("alarm", code=code, priority=str(priority), text=text)
        self._set(AlarmBody(id=code, priority=priority, text=text, do=do, raised_utc=utc_text(time.time()), active=True))

    def clear(self, code: str) -> None:
        known = self._alarms.get(code)
        if known is not None and known.active:
            self._set(msgspec.structs.replace(known, active=False))

    def acknowledge(self, code: str, who: str) -> bool:
        """False: there is no such alarm."""
        known = self._alarms.get(code)
        if known is None:
            return False
        self._set(msgspec.structs.replace(known, acknowledged_by=who))
        return True

    def _set(self, alarm: AlarmBody) -> None:
        self._alarms[alarm.id] = alarm
        self._publish(alarm)
