"""The chair's own memory of the ledger: the last sequence number and hash it saw, in a small file apart from it.

A ledger that is shorter than that, or differs there, is a restored backup, a copy or another database. What follows is not decided here.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from daemon.durable import write_whole
from daemon.ledger import LedgerUnavailable, Value


class Seen(Value, frozen=True, kw_only=True):
    """A row that was once in the ledger."""

    seq: int
    hash: str


class Rewound(Value, frozen=True, kw_only=True):
    """The ledger does not hold what this chair saw in it. `found` is None where it is shorter; `seen` where the file is unreadable."""

    seen: Seen | None
    found: str | None


class Witness:
    """The file that remembers. One chair, one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def seen(self) -> Seen | Rewound | None:
        """What was last seen; None if the chair never saw the ledger; Rewound if its memory cannot be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Seen)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError):
            return Rewound(seen=None, found=None)

    def differs(self, hash_at: Callable[[int], str | None]) -> Rewound | None:
        """Whether the ledger, asked for its hash at a row, holds what was seen."""
        seen = self.seen()
        if not isinstance(seen, Seen) or seen.seq == 0:
            return seen if isinstance(seen, Rewound) else None
        found = hash_at(seen.seq)
        return None if found == seen.hash else Rewound(seen=seen, found=found)

    def remember(self, seen: Seen) -> None:
        """On disk when it returns. Raises LedgerUnavailable."""
        try:
            write_whole(self._path, msgspec.json.encode(seen))
        except OSError as error:
            what = f"the witness cannot be written ({error.strerror})"
            raise LedgerUnavailable(what, str(self._path), "Check the disk and the folder's rights.") from error
