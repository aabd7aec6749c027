"""What every writer of a target file gets and gives, and the names that no format can carry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from calibration.frames import FloatArray
from calibration.target_files_image import SourceImage
from calibration.target_files_values import FileTarget, Landmark, Matrix, Skipped, TargetFileError, TargetGroup

LONGEST_NAME: Final = 200
RESERVED_NAMES: Final = frozenset({"n/a", "(null)", "None", "N/A"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Targets to write. `in_lps`: for a program whose session is in LPS, None for the format's custom; `image` is the T1's."""

    targets: Sequence[FileTarget]
    landmarks: Sequence[Landmark] = ()
    image: SourceImage | None = None
    image_name: str | None = None
    in_lps: bool | None = None

    def parted(self, fits: Callable[[FileTarget], bool]) -> tuple[list[FileTarget], tuple[Skipped, ...]]:
        """The targets that fit the format, and the others."""
        left_out = [
            Skipped(name=each.name, index=index, reason="not_in_format") for index, each in enumerate(self.targets) if not fits(each)
        ]
        return [target for target in self.targets if fits(target)], tuple(left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file's bytes, and those of files that belong beside it by the end of their names; what was left out, or is lost in the format."""

    content: bytes
    beside: Mapping[str, bytes] = field(default_factory=dict)
    left_out: tuple[Skipped, ...] = ()
    lost: tuple[str, ...] = ()


def refuse_bad_names(writing: Writing) -> None:
    """Raises TargetFileError `bad_name` for a name that would not come back as it is."""
    names = [word for target in writing.targets for word in (target.name, target.associated_target) if word is not None]
    for name in (*names, *(landmark.name for landmark in writing.landmarks)):
        if name != name.strip() or not all(letter.isprintable() for letter in name) or len(name) > LONGEST_NAME or name in RESERVED_NAMES:
            what = "it holds tabs, line ends or blanks at its ends, is too long, or means 'nothing' in a file"
            raise TargetFileError("bad_name", what, f"the name {name[:LONGEST_NAME]!r}", "Rename the target.")


def is_sample(target: FileTarget) -> bool:
    """Recorded with a pulse."""
    return target.group is TargetGroup.SAMPLE


def array_of(matrix: Matrix) -> FloatArray:
    """Four rows as a 4x4."""
    return np.array(matrix)


def plain(value: float) -> str:
    """The shortest decimal that reads back as the same number."""
    return repr(float(value) + 0.0)
