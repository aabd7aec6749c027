"""LSL in tests: streams of this machine alone are found, and only by the names that a test gives."""

import os
from pathlib import Path

CONFIG = "[multicast]\nResolveScope = machine\n"


def this_machine_only(folder: Path) -> dict[str, str]:
    """The environment in which LSL looks no further; it is read once, when LSL is loaded."""
    config = folder / "lsl_api.cfg"
    config.write_text(CONFIG)
    return {**os.environ, "LSLAPICFG": str(config)}
