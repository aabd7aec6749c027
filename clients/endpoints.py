"""Where a chair's daemon listens: the usual endpoints, or those of the chair's file. Of that file nothing else is read."""

import tomllib
from pathlib import Path

COMMANDS, TELEMETRY = "tcp://127.0.0.1:5570", "tcp://127.0.0.1:5571"


class BadChairFile(Exception):
    """A chair's file does not say where its daemon is."""


class BadEndpoint(Exception):
    """Not the address of anything that could be connected to."""


def read_endpoints(path: Path) -> tuple[str, str]:
    """Where the daemon of a chair's file listens: commands, telemetry. Raises `BadChairFile`."""
    try:
        network = tomllib.loads(path.read_text(encoding="utf-8")).get("network", {})
    except OSError as error:
        raise BadChairFile(f"{path}: cannot be read ({error.strerror}). Name an existing chair file.") from error
    except ValueError as error:
        raise BadChairFile(f"{path}: is not TOML ({error}). Correct it or name another file.") from error
    endpoints = (network.get("commands", COMMANDS), network.get("telemetry", TELEMETRY)) if isinstance(network, dict) else (None, None)
    match endpoints:
        case (str(commands), str(telemetry)):
            return commands, telemetry
    raise BadChairFile(f"{path}: [network] must have commands and telemetry as text. Correct them or leave them out.")
