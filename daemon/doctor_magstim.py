"""What a Magstim unit said, against its chair file, and the file of its unlock code. Judges; the asking is `doctor_unit`.

The driver's report says less than the unit does, so its replies are read along.
"""

import stat

import msgspec

from daemon.doctor import EX_CONFIG, Check, fail, ok, warn
from daemon.stimulator_section import MagstimSection
from drivers.magstim_conversation import Conversation
from drivers.magstim_frame_wire import Family
from drivers.magstim_models import MODELS, make_unit
from drivers.magstim_picture import Picture, condition_reasons, temperature_reason
from drivers.magstim_table_wire import read_table
from drivers.magstim_unlock import OTHERS


class Listener:
    """Reads along what a unit answers to its driver."""

    def __init__(self, model: str) -> None:
        self._talk = Conversation(MODELS[model].family)

    def overhear(self, data: bytes, now_ns: int) -> None:
        for reply in self._talk.reader.feed(data, now_ns):
            self._talk.note(reply, now_ns)

    @property
    def picture(self) -> Picture:
        return self._talk.picture

    @property
    def needs_unlock(self) -> bool:
        return self._talk.dialect.needs_unlock

    @property
    def knows_language(self) -> bool:
        return self._talk.knows_language


def magstim_checks(heard: Listener, unit: MagstimSection) -> tuple[Check, ...]:
    picture = heard.picture
    return (
        unit_is_as_configured(picture, heard.knows_language, unit),
        control_is_given(picture, heard.needs_unlock, unit),
        coil_is_there(picture, unit),
        coil_is_cool(picture, unit),
        *unit_may_be_charged(picture, unit),
    )


def unlock_file_is_private(unit: MagstimSection) -> Check | None:
    """Its mode; what stands in it is shown nowhere."""
    if unit.unlock is None:
        return None
    mode = stat.S_IMODE(unit.unlock.stat().st_mode)
    if mode & OTHERS:
        return fail("unlock code", f"{unit.unlock} can be read by others (mode {mode:04o})", f"Run `chmod 600 {unit.unlock}`.", EX_CONFIG)
    return ok("unlock code", f"{unit.unlock} can be read by its owner alone (mode {mode:04o})")


def unit_is_as_configured(picture: Picture, knows_language: bool, unit: MagstimSection) -> Check:
    """A unit tells no model: a Rapid² its software and a Plus¹ module, the others only that they speak the other language."""
    told = picture.train if MODELS[unit.model].family is Family.RAPID else picture.pair
    if not knows_language or told is None:
        what = f"the unit does not answer as the {unit.model} of the chair file would"
        return fail("model", what, "Correct [stimulator].model, or find out which unit this is.")
    if picture.version is None:
        return ok("model", f"answers as a {unit.model} does; it tells neither model, serial number nor software")
    module = "" if picture.extended is None else f", {'with' if picture.extended.plus1 else 'without'} Plus¹ module"
    return ok("model", f"a Rapid², software {picture.version.text}{module}; it tells no serial number")


def control_is_given(picture: Picture, needs_unlock: bool, unit: MagstimSection) -> Check:
    """Without remote control nothing can be set."""
    if needs_unlock and unit.unlock is None:
        what = "this software asks for an unlock code and none is configured"
        return fail("remote control", what, "Ask the maker for this unit's code and name its file in [stimulator].unlock.")
    if picture.status is None or not picture.status.remote:
        remedy = "Check the unlock code of this unit, and that its own screen is unplugged."
        return fail("remote control", "the unit does not give it", remedy)
    return ok("remote control", f"given{', the unlock code is accepted' if needs_unlock else ''}; the unit takes it back by itself")


def coil_is_there(picture: Picture, unit: MagstimSection) -> Check:
    if picture.status is None or not picture.status.coil_present:
        return fail("coil", "the unit sees no coil", "Plug the coil in.")
    return ok("coil", f"plugged in; which one it is, no Magstim tells: coil_type {unit.coil_type} is the site's own word")


def coil_is_cool(picture: Picture, unit: MagstimSection) -> Check:
    reason = temperature_reason(picture.hottest_tenth_c, unit.start_temp_c)
    if reason is not None or picture.hottest_tenth_c is None:
        return fail("temperature", reason or "the coil's temperature is unknown", "Let the coil cool; check its plug.")
    return ok("temperature", f"{picture.hottest_tenth_c / 10:.1f} °C in the hotter winding; nothing starts from {unit.start_temp_c} °C on")


def unit_may_be_charged(picture: Picture, unit: MagstimSection) -> tuple[Check, ...]:
    """All that the driver would refuse to arm for, but for the coil and its safety switch, which a hand closes."""
    known = make_unit(unit.model, unit.mains_v, unit.max_amplitude_pct_mso, read_table(), str(unit.port))
    reasons = condition_reasons(_with_coil_in_hand(picture), known)
    checks = [fail("condition", reason, "Look at the unit, and in docs/magstim.md.") for reason in reasons]
    if picture.rapid is not None and not picture.rapid.coil_ready and not unit.ignore_coil_switch:
        remedy = "Hold the coil's safety switch and ask again, or see ignore_coil_switch in docs/configuration.md."
        checks.append(warn("condition", "the coil is not ready", remedy))
    return tuple(checks) or (ok("condition", "nothing that the unit tells speaks against arming it"),)


def _with_coil_in_hand(picture: Picture) -> Picture:
    status, rapid = picture.status, picture.rapid
    return msgspec.structs.replace(
        picture,
        status=None if status is None else msgspec.structs.replace(status, coil_present=True),
        rapid=None if rapid is None else msgspec.structs.replace(rapid, coil_ready=True),
    )
