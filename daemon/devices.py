"""Which driver stands for which entry of the chair file. Nothing here opens a port."""

from daemon.config import Config
from drivers.magventure import MagVentureStimulator
from drivers.ndi import NdiTracker
from drivers.protocols import Stimulator, Tracker


def make_tracker(config: Config) -> Tracker:
    tools = {
        "head": config.tools.head.rom.read_bytes(),
        "pointer": config.tools.pointer.rom.read_bytes(),
        "coil": config.tools.coil.rom.read_bytes(),
    }
    return NdiTracker(tools, frame_hz=config.tracker.frame_hz, where=config.tracker.endpoint)


def make_stimulator(config: Config) -> Stimulator:
    unit = config.stimulator
    return MagVentureStimulator(
        unit.model,
        unit.coil_type,
        events_per_burst=unit.events_per_burst,
        max_amplitude_pct_mso=unit.max_amplitude_pct_mso,
        start_temp_c=unit.start_temp_c,
        stop_temp_c=unit.stop_temp_c,
        where=str(unit.port),
    )
