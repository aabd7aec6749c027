"""The chair's calibration history as files: one for each calibration, never changed, and one list of who accepted which.

Writes and reads; what may be used is `calibration.store`'s rule. Only the daemon that controls the chair writes here.
"""

import re
from pathlib import Path

import msgspec

from calibration.store import Acceptance, Altered, Book, Record, open_book, open_record, seal
from daemon.durable import sync_folder, write_whole

ACCEPTED = "accepted.json"
_RECORD = re.compile(r"(pointer|coil)-(\d{4,})\.json")
_REPORT = re.compile(r"qa-(\d{4,})\.(?:json|txt)")


class HistoryFault(Exception):
    """The history cannot be read or written: what, where, what to do. `is_missing`: a file that should be there is not."""

    def __init__(self, what: str, where: Path, remedy: str, *, is_missing: bool = False) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.is_missing = what, is_missing


class History:
    """One chair's folder; made when first something is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def versions(self, tool: str) -> tuple[int, ...]:
        """Numbers in use, also of files that were altered, rising. Raises HistoryFault."""
        return tuple(sorted(int(found[2]) for found in self._named(_RECORD) if found[1] == tool))

    def add(self, record: Record) -> Record:
        """Keep a new calibration under the next number, chained to the one before. Raises HistoryFault."""
        before = self.versions(record.tool)
        version = 1 + max(before, default=0)
        previous = self.read(record.tool, before[-1]).sha256 if before and self._is_sound(record.tool, before[-1]) else None
        kept = msgspec.structs.replace(record, version=version, previous_sha256=previous)
        try:
            content = seal(kept)
        except Altered as error:
            raise HistoryFault(str(error), self._path(record.tool, version), "Calibrate again.") from error
        self._create(self._path(record.tool, version), content)
        return kept

    def read(self, tool: str, version: int) -> Record:
        """Raises HistoryFault for a file that is missing, altered or another's."""
        path = self._path(tool, version)
        try:
            record = open_record(path.read_bytes())
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise HistoryFault(what, path, "Calibrate again.", is_missing=isinstance(error, FileNotFoundError)) from error
        except Altered as error:
            raise HistoryFault(str(error), path, "Calibrate again.") from error
        if (record.tool, record.version) != (tool, version):
            raise HistoryFault(f"it holds version {record.version} of the {record.tool}", path, "Calibrate again.")
        return record

    def book(self) -> Book:
        """Who accepted what; empty where nobody has. Raises HistoryFault."""
        path = self.folder / ACCEPTED
        try:
            return open_book(path.read_bytes())
        except FileNotFoundError:
            return Book()
        except OSError as error:
            raise HistoryFault(f"cannot be read ({error.strerror})", path, "Check the folder's rights.") from error
        except Altered as error:
            raise HistoryFault(str(error), path, "Put it aside, then accept the calibrations anew.") from error

    def accept(self, acceptance: Acceptance) -> None:
        """Raises HistoryFault; the list then stands as it was."""
        book = Book(acceptances=(*self.book().acceptances, acceptance))
        try:
            write_whole(self.folder / ACCEPTED, seal(book))
        except OSError as error:
            raise HistoryFault(f"cannot be written ({error.strerror})", self.folder / ACCEPTED, "Check disk and rights.") from error

    def add_report(self, report: bytes, text: str) -> Path:
        """Keep a quality report, for programs and for people; returns the former's path. Raises HistoryFault."""
        number = 1 + max((int(found[1]) for found in self._named(_REPORT)), default=0)
        path = self.folder / f"qa-{number:04d}.json"
        self._create(path.with_suffix(".txt"), text.encode())
        self._create(path, report)
        return path

    def _path(self, tool: str, version: int) -> Path:
        return self.folder / f"{tool}-{version:04d}.json"

    def _named(self, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        try:
            return [found for path in self.folder.iterdir() if (found := pattern.fullmatch(path.name)) is not None]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise HistoryFault(f"cannot be written or read ({error.strerror})", self.folder, "Check the folder and its rights.") from error

    def _is_sound(self, tool: str, version: int) -> bool:
        try:
            self.read(tool, version)
        except HistoryFault:
            return False
        return True

    def _create(self, path: Path, content: bytes) -> None:
        """A name that is there already is never written over."""
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            if path.exists():
                raise FileExistsError(17, "it is there already")
            write_whole(path, content)
            sync_folder(self.folder.parent)
        except OSError as error:
            raise HistoryFault(f"cannot be written ({error.strerror})", path, "Check the disk and the folder's rights.") from error
