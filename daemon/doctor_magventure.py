"""What a MagVenture unit said, against its chair file. Pure; the asking is `doctor_unit`."""

from daemon.doctor import Check, fail, ok
from daemon.stimulator_section import MagVentureSection
from drivers.magventure_picture import temperature_reason
from drivers.values import StimReport

NO_COIL_TOLD = 0  # no coil, or one too old to tell its type


def magventure_checks(report: StimReport, unit: MagVentureSection) -> tuple[Check, ...]:
    return (model_is_as_configured(report, unit), coil_is_as_configured(report, unit), coil_is_cool(report, unit), events_per_burst(unit))


def model_is_as_configured(report: StimReport, unit: MagVentureSection) -> Check:
    named = f"{report.model}, serial number {report.serial}"
    if report.model == unit.model:
        return ok("model", named)
    remedy = "Correct [stimulator].model, or find out which unit this is."
    return fail("model", f"the unit says {named}; the chair file says {unit.model}", remedy)


def coil_is_as_configured(report: StimReport, unit: MagVentureSection) -> Check:
    if report.coil_type == unit.coil_type:
        return ok("coil", f"type {report.coil_type}, as in the chair file")
    found = "no coil, or one that tells no type" if report.coil_type in (None, NO_COIL_TOLD) else f"a coil of type {report.coil_type}"
    remedy = "Plug the right coil in, or correct [stimulator].coil_type."
    return fail("coil", f"the unit sees {found}; the chair file says {unit.coil_type}", remedy)


def coil_is_cool(report: StimReport, unit: MagVentureSection) -> Check:
    reason = temperature_reason(report.temperature_c, unit.start_temp_c)
    if reason is None:
        return ok("temperature", f"{report.temperature_c} °C; no train starts from {unit.start_temp_c} °C on")
    return fail("temperature", reason, "Let the coil cool; check its cooling and its plug.")


def events_per_burst(unit: MagVentureSection) -> Check:
    """No question to the unit tells it; the driver checks it on each whole train."""
    what = f"{unit.events_per_burst} by the chair file: the unit cannot be asked, each whole train is checked against it"
    return ok("events per burst", what, "Count them once on this unit (docs/magventure.md).")
