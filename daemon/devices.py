"""Which driver and which line stand for which entry of the chair file. Nothing here opens a port."""

from daemon.config import Config
from daemon.stimulator_section import MagstimSection
from drivers import magstim, magventure
from drivers.magstim import MagstimStimulator
from drivers.magstim_unlock import read_unlock_code
from drivers.magventure import MagVentureStimulator
from drivers.ndi import NdiTracker
from drivers.ndi_line import SerialWish
from drivers.ndi_ways import Way
from drivers.protocols import Line, Stimulator, Tracker
from drivers.transport import SerialLine


def make_tracker(config: Config) -> Tracker:
    tools = {name: tool.rom.read_bytes() for name, tool in config.tools.by_name().items()}
    unit = config.tracker
    return NdiTracker(
        tools,
        unit.frame_hz,
        unit.endpoint,
        way=None if unit.mode == "auto" else Way(unit.mode),
        serial=SerialWish(baud=unit.baud, handshake=unit.handshake) if unit.endpoint.startswith("serial:") else None,
    )


def make_stimulator(config: Config) -> Stimulator:
    """The driver of the chair's unit. Raises NotThere or Refused for an unlock code that cannot be used."""
    unit = config.stimulator
    if isinstance(unit, MagstimSection):
        return MagstimStimulator(
            unit.model,
            unit.coil_type,
            max_amplitude_pct_mso=unit.max_amplitude_pct_mso,
            mains_v=unit.mains_v,
            software=unit.software,
            unlock=None if unit.unlock is None else read_unlock_code(unit.unlock),
            ignore_coil_switch=unit.ignore_coil_switch,
            start_temp_c=unit.start_temp_c,
            stop_temp_c=unit.stop_temp_c,
            where=str(unit.port),
        )
    return MagVentureStimulator(
        unit.model,
        unit.coil_type,
        events_per_burst=unit.events_per_burst,
        max_amplitude_pct_mso=unit.max_amplitude_pct_mso,
        start_temp_c=unit.start_temp_c,
        stop_temp_c=unit.stop_temp_c,
        where=str(unit.port),
    )


def stimulator_line(config: Config) -> Line:
    """The wire to the chair's unit. A Magstim's RTS stays low: with some trigger cables it fires."""
    unit = config.stimulator
    if isinstance(unit, MagstimSection):
        return SerialLine(unit.port, magstim.BAUD, rts_low=True)
    return SerialLine(unit.port, magventure.BAUD)
