"""One TOML file per chair: read whole, checked whole, every fault in one report with file and key.

Paths are relative to the file. Safety limits come from here alone, never from flags or the environment.
"""

import re
import tomllib
import zoneinfo
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from daemon.config_tools import CalibrationSection, QualitySection, ToolsSection, bench_faults, tool_faults
from daemon.limits import Layer, LimitFault, merge, product_layer
from daemon.lsl_section import LslSection
from daemon.on_target import TargetLimits, loosened
from daemon.sections import Section
from daemon.stimulator_section import StimulatorSection, absolute_stimulator, stimulator_faults
from daemon.tracker_doors import is_local
from daemon.tracker_sections import IgtlTracker, LslTracker, Tracker, stream_faults
from drivers.ndi_line import BAUD_CODES


class ConfigError(Exception):
    """Every fault of one file, a line each: key, what is wrong, what to write."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__(f"{path}: " + "; ".join(faults))
        self.path, self.faults = path, faults


class ChairSection(Section, frozen=True, kw_only=True):
    name: str


class NetworkSection(Section, frozen=True, kw_only=True):
    commands: str = "tcp://127.0.0.1:5570"
    telemetry: str = "tcp://127.0.0.1:5571"


class LedgerSection(Section, frozen=True, kw_only=True):
    """`state`: the folder of the chair's own small files: lock, witness, journal, memory. Beside a SQLite file unless it is named."""

    url: str = "sqlite:///ledger.sqlite"
    state: Path | None = None


class SiteSection(Section, frozen=True, kw_only=True):
    """`basis` says what the figures below rest on and who answers for them; `simulation only` is refused on real devices.

    `folder` holds the files that the site signs: limits, protocols, courses, tables, constants, patients, overrides; those that
    `required` names must be there.
    """

    timezone: str
    basis: str
    signed_by: str
    folder: Path | None = None
    required: tuple[str, ...] = ()


class TrackerSection(Tracker, frozen=True, kw_only=True, tag="ndi"):
    """An NDI camera. `latency_ms`: exposure to the first moment its pose can be read; taken off every arrival, as is the time on a serial
    line.

    `mode`: how poses are asked for; `auto` goes by what the camera says of itself. `baud` and `handshake`: of a serial endpoint.
    """

    endpoint: str
    mode: Literal["auto", "stream", "bx2", "bx", "tx"] = "auto"
    baud: int = 115200
    handshake: bool = False
    latency_ms: float
    frame_hz: float | None = None


class EmgSection(Section, frozen=True, kw_only=True):
    """The muscle's signal, a stream of LSL: its name, the channel counted from 0, the unit of its values.

    An answer is `threshold_uv` peak to peak, 50 by the rule for the resting threshold (Rossini 2015). `shows_pulse`: the amplifier
    passes the stimulator's artefact, by which the pulse is placed; false for one that blanks it.
    """

    stream: str
    channel: int = 0
    unit: Literal["uV", "mV", "V"] = "uV"
    threshold_uv: float = 50.0
    shows_pulse: bool = True


class LimitsSection(Section, frozen=True, kw_only=True):
    """Site limits on dose; each may only tighten the product's, and a protocol that asks for more than the site allows is refused."""

    allowed_protocols: list[str] | None = None
    max_intensity_pct_rmt: float | None = None
    max_sessions_per_day: int | None = None
    max_pulses_per_day: int | None = None
    min_gap_s: float | None = None
    rolling_window_h: float | None = None
    max_sessions_rolling: int | None = None
    max_pulses_rolling: int | None = None
    max_course_sessions: int | None = None
    max_treatment_days: int | None = None
    max_mt_pulses_per_day: int | None = None
    min_mt_pulse_interval_s: float | None = None
    mt_max_age_h: float | None = None
    max_set_point_mso: int | None = None
    session_resume_window_s: float | None = None
    max_position_error_mm: float | None = None
    max_angle_error_deg: float | None = None
    off_target_ms: int | None = None
    clock_tolerance_s: float | None = None


class RegistrationSection(Section, frozen=True, kw_only=True):
    """How well the head must be registered, and how long that holds: each value may only tighten what the product has.

    `check_*`: of landmarks touched again, against their places at registration. `quick_*`: of a later session's quick registration
    against the day's first, at the target and as a turn.
    """

    valid_h: float = 12.0
    check_valid_min: float = 20.0
    check_warn_mm: float = 2.0
    check_block_mm: float = 3.0
    quick_at_target_mm: float = 3.0
    quick_turn_deg: float = 3.0
    surface_rms_mm: float = 2.5
    later_sessions: Literal["quick", "check"] = "quick"


class Config(Section, frozen=True, kw_only=True):
    chair: ChairSection
    site: SiteSection
    tracker: TrackerSection | LslTracker | IgtlTracker
    tools: ToolsSection
    stimulator: StimulatorSection
    network: NetworkSection = NetworkSection()
    ledger: LedgerSection = LedgerSection()
    emg: EmgSection | None = None
    lsl: LslSection = LslSection()
    calibration: CalibrationSection = CalibrationSection()
    qa: QualitySection = QualitySection()
    limits: LimitsSection = LimitsSection()
    on_target: TargetLimits = TargetLimits()
    registration: RegistrationSection = RegistrationSection()


Kind = TypeVar("Kind")
SIMULATION_ONLY = "simulation only"
CHAIR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # it becomes part of file names
TRACKER_ENDPOINT = re.compile(r"tcp://([^:/\s]+|\[[0-9a-fA-F:]+\]):\d+|serial:.+")
LOOPBACK = re.compile(r"tcp://(127\.\d+\.\d+\.\d+|\[::1\]|localhost):\d+|ipc://.+")


def load_config(path: Path) -> Config:
    """The chair's file as values, with absolute paths. Raises `ConfigError` with every fault found."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(path, [f"cannot be read ({error.strerror}); name an existing chair file"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, [f"is not TOML: {error}"]) from error
    if faults := _section_faults(table):
        raise ConfigError(path, faults)
    config = _absolute(_convert(table, Config), path.parent.resolve())
    faults = [*_site_faults(config), *_limit_faults(config), *_device_faults(config), *_network_faults(config)]
    if faults:
        raise ConfigError(path, faults)
    return config


def chair_file(config: Config, suffix: str) -> Path:
    """One of the chair's own small files, in the state folder or beside the SQLite file; a site's chairs may share either."""
    if config.ledger.state is not None:
        return config.ledger.state / f"{config.chair.name}.{suffix}"
    file = Path(config.ledger.url.removeprefix("sqlite:///"))
    return file.with_name(f"{file.name}.{config.chair.name}.{suffix}")


def tracker_is_here(config: Config) -> bool:
    """Whether the chair's file names a tracker on this very machine. Of a stream, its reader says so in the sender's serial."""
    tracker = config.tracker
    return isinstance(tracker, LslTracker) or is_local(tracker.endpoint)


def _section_faults(table: dict[str, object]) -> list[str]:
    """Each section is tried by itself, so that one fault does not hide the next."""
    fields = {field.name: field for field in msgspec.structs.fields(Config)}
    faults = [f"[{name}]: unknown section; known are {', '.join(fields)}" for name in table if name not in fields]
    for name, field in fields.items():
        if name not in table:
            if field.required:
                faults.append(f"[{name}]: missing section")
            continue
        faults += _unknown_keys(name, table[name], field.type)
        try:
            _convert(table[name], field.type)
        except msgspec.ValidationError as error:
            faults.append(f"[{name}]: {error}")
    return faults


def _convert(value: object, kind: type[Kind]) -> Kind:
    return msgspec.convert(value, kind, dec_hook=lambda wanted, given: Path(given) if wanted is Path else given)


def _unknown_keys(name: str, given: object, kind: object) -> list[str]:
    """TargetLimits is shared with plans and does not forbid unknown fields itself: a typo in it must be a fault too."""
    if kind is not TargetLimits or not isinstance(given, dict):
        return []
    return [f"[{name}].{key}: unknown key" for key in given if key not in TargetLimits.__struct_fields__]


def _absolute(config: Config, folder: Path) -> Config:
    def here(path: Path) -> Path:
        return path if path.is_absolute() else folder / path

    replace = msgspec.structs.replace
    coil, plate, block = config.tools.coil, config.tools.plate, config.qa.block

    def rom_here(rom: Path | None) -> Path | None:
        return None if rom is None else here(rom)

    tools = ToolsSection(
        head=replace(config.tools.head, rom=rom_here(config.tools.head.rom)),
        pointer=replace(config.tools.pointer, rom=rom_here(config.tools.pointer.rom)),
        coil=replace(coil, rom=rom_here(coil.rom), drawing=None if coil.drawing is None else here(coil.drawing)),
        plate=None if plate is None else replace(plate, rom=rom_here(plate.rom)),
    )
    url = config.ledger.url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).is_absolute():
        url = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
    tracker = config.tracker
    if isinstance(tracker, TrackerSection) and tracker.endpoint.removeprefix("serial:") not in ("", tracker.endpoint):
        tracker = replace(tracker, endpoint=f"serial:{here(Path(tracker.endpoint.removeprefix('serial:')))}")
    site = config.site if config.site.folder is None else replace(config.site, folder=here(config.site.folder))
    state = None if config.ledger.state is None else here(config.ledger.state)
    return replace(
        config,
        site=site,
        tracker=tracker,
        tools=tools,
        stimulator=absolute_stimulator(config.stimulator, folder),
        ledger=replace(config.ledger, url=url, state=state),
        qa=replace(config.qa, block=None if block is None else here(block)),
        network=NetworkSection(
            commands=_absolute_ipc(config.network.commands, folder), telemetry=_absolute_ipc(config.network.telemetry, folder)
        ),
    )


def _absolute_ipc(endpoint: str, folder: Path) -> str:
    path = endpoint.removeprefix("ipc://")
    return endpoint if path == endpoint or path.startswith("/") else f"ipc://{folder / path}"


def _site_faults(config: Config) -> list[str]:
    faults = []
    if not CHAIR_NAME.fullmatch(config.chair.name):
        faults.append(f"[chair].name: {config.chair.name!r} must be letters, digits, - and _ only")
    try:
        zoneinfo.ZoneInfo(config.site.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        faults.append(f"[site].timezone: {config.site.timezone!r} is no IANA zone name; write one such as Europe/Berlin")
    if config.site.folder is not None and not config.site.folder.is_dir():
        faults.append(f"[site].folder: {config.site.folder} is no folder; make it, or leave the key out")
    if config.site.required and config.site.folder is None:
        faults.append("[site].required: names files of a folder that is not given; write [site].folder")
    if not config.site.signed_by.strip():
        faults.append("[site].signed_by: empty; name who answers for these figures")
    faults += _ledger_faults(config.ledger)
    faults += [f"[on_target].{name}: looser than the product's limit; only tighten" for name in loosened(config.on_target)]
    faults += _registration_faults(config.registration)
    return faults


def _registration_faults(given: RegistrationSection) -> list[str]:
    built_in = msgspec.structs.asdict(RegistrationSection())
    values = {name: value for name, value in msgspec.structs.asdict(given).items() if name != "later_sessions"}
    faults = [
        f"[registration].{name}: above 0, at most {built_in[name]:g}; only tighten"
        for name, value in values.items()
        if not 0.0 < value <= built_in[name]
    ]
    if not faults and given.check_warn_mm > given.check_block_mm:
        faults.append("[registration].check_warn_mm: above check_block_mm")
    return faults


def _ledger_faults(ledger: LedgerSection) -> list[str]:
    faults = []
    if not ledger.url.startswith(("sqlite:///", "postgresql+psycopg://")):  # what it says is not repeated: it may hold a password
        faults.append("[ledger].url: write sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE")
    elif ledger.state is None and not ledger.url.startswith("sqlite:///"):
        faults.append("[ledger].state: missing; name a folder on this machine's disk for the chair's witness and journal")
    if ledger.state is not None and not ledger.state.is_dir():
        faults.append(f"[ledger].state: {ledger.state} is no folder; make it, or leave the key out")
    return faults


def _limit_faults(config: Config) -> list[str]:
    """What the chair's own limits are in any case refused for; layers that come before them may be stricter still."""
    given = {name: value for name, value in msgspec.structs.asdict(config.limits).items() if value is not None}
    texts = {
        LimitFault.LOOSENS: "looser than the product allows; only tighten",
        LimitFault.BAD_VALUE: "no plain number, finite and not negative",
    }
    refused = merge((product_layer(), Layer(name="site", limits=given, sha256=""))).refused
    return [f"[limits].{each.key}: {texts.get(each.code, str(each.code))}" for each in refused]


def _device_faults(config: Config) -> list[str]:
    faults = _tracker_faults(config) + tool_faults(config.tools) + bench_faults(config.calibration, config.qa)
    faults += stimulator_faults(config.stimulator)
    if config.emg is not None and not (config.emg.channel >= 0 and 10.0 <= config.emg.threshold_uv <= 1000.0):
        faults.append("[emg].channel, threshold_uv: a channel from 0, and 10 to 1000 uV")
    return faults


def _tracker_faults(config: Config) -> list[str]:
    tracker, tools = config.tracker, config.tools
    faults = [] if 0.0 < tracker.max_fit_rms_mm <= 1.0 else ["[tracker].max_fit_rms_mm: above 0, at most 1"]
    if not isinstance(tracker, TrackerSection):
        return faults + stream_faults(tracker)
    if not 0.0 <= tracker.latency_ms <= 100.0:
        faults.append("[tracker].latency_ms: 0 to 100")
    if not TRACKER_ENDPOINT.fullmatch(tracker.endpoint):
        faults.append("[tracker].endpoint: write tcp://HOST:PORT, or serial:/dev/NAME for a camera on a serial line")
    if tracker.baud not in BAUD_CODES:
        faults.append(f"[tracker].baud: one of {', '.join(map(str, BAUD_CODES))}")
    for name, tool in tools.by_name().items():
        if tool.rom is None:
            faults.append(f"[tools.{name}].rom: missing; an NDI camera needs the tool's definition")
        elif not tool.rom.is_file():
            faults.append(f"[tools.{name}].rom: {tool.rom} does not exist; copy the tool definition there")
    return faults


def _network_faults(config: Config) -> list[str]:
    return [
        f"[network].{key}: {endpoint} is not loopback; this version has no keys yet and listens on this machine alone"
        for key, endpoint in (("commands", config.network.commands), ("telemetry", config.network.telemetry))
        if not LOOPBACK.fullmatch(endpoint)
    ]
