"""The file that holds the unlock code of one Rapid²: one line, readable by its owner alone. The code is shown nowhere."""

import stat
from pathlib import Path

from drivers.magstim_command_wire import UnlockCode
from drivers.values import NotThere, Refused

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_unlock_code(path: Path) -> UnlockCode:
    """The code in `path`. Raises NotThere for a file that cannot be read, Refused for one that others can read or that holds no code."""
    try:
        mode = path.stat().st_mode
        code = path.read_bytes().removesuffix(b"\n")
    except OSError as error:
        raise NotThere(f"the unlock code cannot be read ({error.strerror})", str(path), "Put the unit's code there.") from error
    if mode & OTHERS:
        raise Refused("the unlock code can be read by others", str(path), f"Run: chmod 600 {path}")
    try:
        return UnlockCode(code)
    except ValueError as error:
        raise Refused(f"no unlock code stands there: {error}", str(path), "Copy the code of this unit exactly, on one line.") from None
