"""The stimulator of a simulated room: any model of either family behind one set of hands, and how a chair's file has to name it."""

from pathlib import Path
from typing import Protocol

from sim import magstim_settings, magventure_settings
from sim.magstim_faults import MagstimFaults
from sim.magstim_sim import MagstimSim
from sim.magventure_faults import MagVentureFaults
from sim.magventure_sim import MagVentureSim
from sim.pty_port import PtyPort
from sim.truth import TruthLog

MODELS = (*sorted(magventure_settings.MODELS), *magstim_settings.MODELS)
UNLOCK_FILE = "unlock.code"
MAGSTIM_COIL = 1  # the site's own number: the unit tells none
EVENTS_PER_BURST = 1


class RoomUnit(Protocol):
    """What hands can do to a stimulator in a room, and what can go wrong with it."""

    @property
    def faults(self) -> MagVentureFaults | MagstimFaults: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def panel_disable(self) -> None: ...

    def panel_enable(self) -> None: ...

    def panel_fire(self) -> None: ...

    def panel_amplitude(self, pct: int) -> None: ...

    def remove_coil(self) -> None: ...

    def plug_coil(self) -> None: ...

    def power_cycle(self) -> None: ...


def make_unit(model: str, pty: PtyPort, truth: TruthLog, seed: int) -> RoomUnit:
    if model in magstim_settings.MODELS:
        return MagstimSim(pty, truth, model=model, unlock=magstim_settings.MADE_UP_UNLOCK, seed=seed)
    return MagVentureSim(pty, truth, model=model, events_per_burst=EVENTS_PER_BURST, seed=seed)


def chair_lines(model: str, folder: Path) -> str:
    """The unit's own lines of a chair's file; its unlock code is put beside it, for its owner alone."""
    if model not in magstim_settings.MODELS:
        return f"""kind = "magventure"
model = "{model}"
coil_type = {magventure_settings.COIL_TYPE}
events_per_burst = {EVENTS_PER_BURST}"""
    code = folder / UNLOCK_FILE
    code.touch(mode=0o600)
    code.chmod(0o600)
    code.write_text(f"{magstim_settings.MADE_UP_UNLOCK}\n", encoding="ascii")
    return f"""kind = "magstim"
model = "{model}"
coil_type = {MAGSTIM_COIL}
mains_v = 240
software = {magstim_settings.DEFAULT_SOFTWARE.partition(".")[0]}
unlock = "{UNLOCK_FILE}\""""
