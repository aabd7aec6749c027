"""The real hot process with a beacon for its tracker, no waiting for relays that a simulator does not have, and traps if there are any."""

import sys
from types import ModuleType

import daemon.devices
import daemon.hot
import drivers.magventure
from drivers.magstim_core import MagstimCore
from tests.campaign.beacon import Beacon
from tests.campaign.board import Board, set_clock_by
from tests.campaign.ordeal import HOT_PLACES, Ordeal
from tests.campaign.traps import Springer, set_in_hot

QUICK_SETTLE_NS = 20_000_000


def put_everywhere(package: str, real: object, name: str, instead: object) -> None:
    """`name` means something else in every loaded module of a package that has it. Raises LookupError if none has."""
    holders = [module for module in _modules(package) if getattr(module, name, None) is real]
    if not holders:
        raise LookupError(f"no module of {package} holds {name}: the campaign must follow the code")
    for module in holders:
        setattr(module, name, instead)


def _modules(package: str) -> list[ModuleType]:
    return [module for key, module in list(sys.modules.items()) if key.partition(".")[0] == package]


def run_hot(argv: list[str], board: Board, ordeal: Ordeal) -> int:
    set_clock_by(board)
    put_everywhere("daemon", daemon.devices.make_tracker, "make_tracker", lambda _config: Beacon())
    for name in ("SETTLE_NS", "SETTLE_WAVEFORM_NS"):
        put_everywhere("drivers", getattr(drivers.magventure, name), name, QUICK_SETTLE_NS)
    # A Magstim's coil rests for a minute after a start of the host, for nobody knows what it bore before: here that is known.
    MagstimCore.__init__.__kwdefaults__["spent_before_joules"] = 0.0
    if ordeal.trap is not None and ordeal.trap.where in HOT_PLACES:
        set_in_hot(Springer(ordeal.trap, board, "daemon_pid"))
    return daemon.hot.main(argv)
