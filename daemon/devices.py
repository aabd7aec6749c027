"""Which driver, which line and which clock stand for which entry of the chair file. Nothing here opens a port."""

from daemon.config import Config, TrackerSection
from daemon.dating import CameraDating, Dating, ExchangeDating, StampDating
from daemon.hot_links import TrackerLink
from daemon.reader_door import ReaderDoor
from daemon.stimulator_section import MagstimSection, TriggerBoxSection
from daemon.tracker_doors import door_to
from daemon.tracker_sections import LslTracker as LslSection
from drivers import magstim, magventure
from drivers.igtl import IgtlTracker
from drivers.lsl_tracker import LslTracker
from drivers.lsl_trigger import LslTriggerStimulator
from drivers.lsl_trigger_line import LslLine
from drivers.magstim import MagstimStimulator
from drivers.magstim_unlock import read_unlock_code
from drivers.magventure import MagVentureStimulator
from drivers.ndi import NdiTracker
from drivers.ndi_line import SerialWish
from drivers.ndi_ways import Way
from drivers.protocols import Line, Stimulator, Tracker
from drivers.transport import SerialLine


def make_tracker(config: Config) -> Tracker:
    section = config.tracker
    if isinstance(section, TrackerSection):
        tools = {name: tool.rom.read_bytes() for name, tool in config.tools.by_name().items() if tool.rom is not None}
        return NdiTracker(
            tools,
            section.frame_hz,
            section.endpoint,
            way=None if section.mode == "auto" else Way(section.mode),
            serial=SerialWish(baud=section.baud, handshake=section.handshake) if section.endpoint.startswith("serial:") else None,
        )
    if isinstance(section, LslSection):
        return LslTracker(
            section.stream,
            section.names,
            stated_rms_mm=section.stated_rms_mm,
            least_confidence=section.least_confidence,
            frame_hz=section.frame_hz,
        )
    return IgtlTracker(section.names, frame_hz=section.frame_hz or 0.0, stated_rms_mm=section.stated_rms_mm, where=section.endpoint)


def make_tracker_link(config: Config) -> TrackerLink:
    """The wire to the tracker, not open yet."""
    section = config.tracker
    if isinstance(section, LslSection):
        return TrackerLink(make_tracker(config), ReaderDoor())
    return TrackerLink(make_tracker(config), door_to(section.endpoint))


def make_dating(config: Config) -> Dating:
    """How its frames are dated."""
    section = config.tracker
    if isinstance(section, TrackerSection):
        return CameraDating(round(section.latency_ms * 1e6))
    worst_latency_ns = round(section.worst_latency_ms * 1e6)
    return ExchangeDating(worst_latency_ns) if isinstance(section, LslSection) else StampDating(worst_latency_ns)


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
    if isinstance(unit, TriggerBoxSection):
        return LslTriggerStimulator(
            unit.model,
            unit.coil_type,
            box_serial=unit.box_serial,
            max_amplitude_pct_mso=unit.max_amplitude_pct_mso,
            receipt_stream=unit.receipt_stream,
            unconfirmed_signed_by=unit.unconfirmed_signed_by,
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
    if isinstance(unit, TriggerBoxSection):
        return LslLine(unit.trigger_stream, unit.status_stream, unit.receipt_stream)
    return SerialLine(unit.port, magventure.BAUD)
