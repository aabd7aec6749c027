"""A calibration of the history as clients see it, whole or damaged. Decides nothing."""

from calibration.store import Record, Tool, Unfit
from daemon.calibration_files import HistoryFault
from daemon.calibration_messages import CalibrationEntry
from daemon.calibrations import Calibrations


def entry_of(calibrations: Calibrations, tool: Tool, version: int) -> CalibrationEntry:
    """One entry; of a file that cannot be read, only what is wrong with it. Reads files."""
    in_use = calibrations.in_use(tool)
    is_in_use = in_use.version == version and not in_use.unfit
    try:
        record = calibrations.history.read(tool, version)
        acceptance = calibrations.history.book().of(tool, version)
    except HistoryFault as fault:
        return CalibrationEntry(tool=tool, version=version, against=(str(Unfit.ALTERED),), in_use=is_in_use, damaged=str(fault))
    against = tuple(str(unfit) for unfit in calibrations.against(record, acceptance))
    return CalibrationEntry(
        tool=tool,
        version=version,
        against=against,
        in_use=is_in_use,
        accepted_by=None if acceptance is None else acceptance.by,
        accepted_utc=None if acceptance is None else acceptance.utc,
        **_figures(record),  # type: ignore[arg-type]  # the fields of one name are of one type
    )


def _figures(record: Record) -> dict[str, object]:
    same = (
        "method",
        "taken_utc",
        "taken_by",
        "valid_until_utc",
        "rom_sha256",
        "sha256",
        "tip_in_pointer_mm",
        "coiltool_from_coil",
        "numbers",
        "residuals_mm",
        "refusals",
        "rests_on",
    )
    return {name: getattr(record, name) for name in same}
