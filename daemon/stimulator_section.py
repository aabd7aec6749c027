"""The stimulator's entry in a chair's file: one form for each family, told apart by `kind`."""

from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from daemon.purpose import Pacing
from daemon.sections import Section
from drivers.magstim_unlock import read_unlock_code
from drivers.values import DeviceError

RAPID_MODELS = ("rapid", "superrapid", "plus1")
MAX_LONGEST_TRAIN_S = 1200  # the longest in use, 1200 pulses at 1 Hz
MAX_TEMP_START_C, MAX_TEMP_STOP_C = 40, 41  # host limits for a coil that cuts out at about 43 degrees by itself


class StimulatorUnit(Section, frozen=True, kw_only=True):
    """What every unit's entry says, of whatever family.

    `coil_type` is the number that the unit reports for its coil, or where it reports none the site's own.
    `coil_class` is what protocols are cleared for; without it none that names a class is used. A train longer than `longest_train_s` is
    not handed to the device, for it would run on when the host dies.
    """

    coil_type: int
    max_amplitude_pct_mso: int = 100
    start_temp_c: int = 40  # the host's own limits, configurable downward only
    stop_temp_c: int = 41
    coil_class: Literal["figure-8", "circular", "double-cone", "h1", "h7"] | None = None
    longest_train_s: float = 10.0
    coil_serial: str | None = None  # as written on the coil: the device does not tell it


class SerialUnit(StimulatorUnit, frozen=True, kw_only=True):
    """A unit on a serial line of its own."""

    port: Path


class MagVentureSection(SerialUnit, frozen=True, kw_only=True, tag_field="kind", tag="magventure"):
    """`events_per_burst` differs between device versions: read off the unit, signed with the site.

    `pacing`: `train` hands whole trains to the unit, `burst` one trigger for each burst, five a second, timed by this host.
    """

    model: Literal["r30", "r30-option", "x100", "x100-option"]
    events_per_burst: int
    pacing: Pacing = Pacing.TRAIN
    kind: ClassVar[str] = "magventure"


class MagstimSection(SerialUnit, frozen=True, kw_only=True, tag_field="kind", tag="magstim"):
    """`software` is the first number of a Rapid²'s version, as its maker's screen shows it. `unlock` names the file with the unit's own
    code, which its owner alone can read; software 9 and later asks for it.
    """

    model: Literal["200", "bistim", "rapid", "superrapid", "plus1"]
    mains_v: Literal[115, 240]
    software: int | None = None
    unlock: Path | None = None
    ignore_coil_switch: bool = False
    pacing: ClassVar[Pacing] = Pacing.TRAIN
    kind: ClassVar[str] = "magstim"


class TriggerBoxSection(StimulatorUnit, frozen=True, kw_only=True, tag_field="kind", tag="lsl"):
    """An external box that turns markers of LSL into trigger pulses. `model`: what it makes of one marker.

    `box_serial`: the box's own number, as it reports it. `receipt_stream` may be the status stream's name. Without one nothing confirms a
    pulse, and `unconfirmed_signed_by` names who answers for counts that are estimated.
    """

    model: Literal["train", "burst", "pulse"]
    box_serial: int
    status_stream: str
    receipt_stream: str | None = None
    trigger_stream: str = "atmsd.trigger"
    unconfirmed_signed_by: str | None = None
    kind: ClassVar[str] = "lsl"

    @property
    def pacing(self) -> Pacing:
        """A box that does not time trains is asked for each burst or pulse."""
        return Pacing.TRAIN if self.model == "train" else Pacing.BURST

    @property
    def port(self) -> Path:
        """What its line is called; no file is there."""
        return Path("lsl:") / self.trigger_stream


StimulatorSection = MagVentureSection | MagstimSection | TriggerBoxSection


def absolute_stimulator(unit: StimulatorSection, folder: Path) -> StimulatorSection:
    """Joining an absolute path gives that path."""
    if isinstance(unit, TriggerBoxSection):
        return unit
    here = msgspec.structs.replace(unit, port=folder / unit.port)
    if isinstance(here, MagstimSection) and here.unlock is not None:
        return msgspec.structs.replace(here, unlock=folder / here.unlock)
    return here


def stimulator_faults(unit: StimulatorSection) -> list[str]:
    """A line for each figure that cannot stand."""
    faults = []
    if not 0 < unit.max_amplitude_pct_mso <= 100:
        faults.append("[stimulator].max_amplitude_pct_mso: must be 1 to 100")
    if not 0 < unit.start_temp_c <= MAX_TEMP_START_C or not unit.start_temp_c <= unit.stop_temp_c <= MAX_TEMP_STOP_C:
        faults.append(f"[stimulator].start_temp_c, stop_temp_c: at most {MAX_TEMP_START_C} and {MAX_TEMP_STOP_C}, start not above stop")
    if not 0 < unit.longest_train_s <= MAX_LONGEST_TRAIN_S:
        faults.append(f"[stimulator].longest_train_s: above 0, at most {MAX_LONGEST_TRAIN_S}")
    if isinstance(unit, MagVentureSection) and unit.events_per_burst not in range(1, 6):
        faults.append("[stimulator].events_per_burst: 1 to 5, as seen on this unit")
    if isinstance(unit, MagstimSection) and unit.model in RAPID_MODELS and unit.software is None:
        faults.append("[stimulator].software: missing; write the first number of the unit's version, such as 9")
    if isinstance(unit, TriggerBoxSection) and unit.receipt_stream is None and not (unit.unconfirmed_signed_by or "").strip():
        signed = "or have the site sign in unconfirmed_signed_by for pulses that nothing confirms"
        faults.append(f"[stimulator].receipt_stream: missing; name it, {signed}")
    if isinstance(unit, MagstimSection) and unit.unlock is not None:
        faults += _unlock_faults(unit.unlock)
    return faults


def _unlock_faults(file: Path) -> list[str]:
    try:
        read_unlock_code(file)
    except DeviceError as error:
        return [f"[stimulator].unlock: {error}"]
    return []
