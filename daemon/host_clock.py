"""The host's clocks as they are read: both at one moment, this boot, and whether a time source is in step. The shell of `clock_guard`."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from daemon.clock_guard import Kept, Reading, confirmed, judge
from daemon.durable import write_whole
from daemon.ledger import LedgerUnavailable, Moment

STA_UNSYNC = 0x0040  # adjtimex(2): the kernel does not believe that its clock is in step
TIME_ERROR = 5  # adjtimex(2): what it returns then
MINUTE_NS = 60_000_000_000


def boot_id() -> str:
    """This boot of the host: monotonic times compare within it alone."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def moment(boot: str) -> Moment:
    return Moment(utc_us=time.time_ns() // 1000, mono_ns=time.monotonic_ns(), boot_id=boot)


class _Timex(ctypes.Structure):
    """struct timex of Linux, 64 bit, as far as its status; the rest is room for what the kernel writes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def is_synchronised() -> bool | None:
    """Whether the kernel says that a time source steers its clock; None where it does not answer."""
    answer = _Timex()
    try:
        state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(answer)))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR and not answer.status & STA_UNSYNC


class ClockFile:
    """What is kept of the clock, in one small file. `trusts_itself`: a simulated chair's host need not be synchronised."""

    def __init__(self, path: Path, *, trusts_itself: bool, synchronised: Callable[[], bool | None] = is_synchronised) -> None:
        self._path, self._trusts_itself, self._synchronised = path, trusts_itself, synchronised
        self._written_mono_ns: int | None = None

    def look(self, now: Moment, tolerance_us: int) -> Kept:
        """Judge this moment and keep what follows. Raises LedgerUnavailable where it cannot be kept."""
        before = self._read()
        after = judge(before, self._reading(now), tolerance_us)
        due = self._written_mono_ns is None or now.mono_ns - self._written_mono_ns >= MINUTE_NS
        if before is None or due or after.suspicion is not before.suspicion or after.boot_id != before.boot_id:
            self._write(after)
            self._written_mono_ns = now.mono_ns
        return after

    def confirm(self, now: Moment) -> Kept:
        """Two people said that this is the time. Raises LedgerUnavailable."""
        after = confirmed(self._read(), self._reading(now))
        self._write(after)
        return after

    def _reading(self, now: Moment) -> Reading:
        return Reading(moment=now, is_synchronised=True if self._trusts_itself else self._synchronised())

    def _read(self) -> Kept | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            remedy = "Move it away; two people then confirm the clock with `atmsd ledger confirm-clock`."
            raise LedgerUnavailable(f"what was kept of the clock cannot be read ({error})", str(self._path), remedy) from error

    def _write(self, kept: Kept) -> None:
        try:
            write_whole(self._path, msgspec.json.encode(kept))
        except OSError as error:
            what = f"what is kept of the clock cannot be written ({error.strerror})"
            raise LedgerUnavailable(what, str(self._path), "Check the disk and the folder's rights.") from error
