"""A quality check put together: what was measured, what was not, one verdict, and the text for people. Pure."""

from collections.abc import Mapping

from daemon.calibration_messages import QaItem, QaReport, ToolCalibration

TITLES = {
    "jitter": "static jitter, RMS about the mean",
    "seen": "share of frames in which it was seen",
    "spread": "pointer turned about a divot, 95 % of deviations from the mean point",
    "repeatability": "single-point repeatability, 95 % of deviations from the mean point",
    "distance": "distance accuracy, 95 % of |measured - known|",
}
UNITS = {"seen": ""}


def compose(
    measured: Mapping[str, tuple[QaItem, ...]],
    *,
    has_block: bool,
    utc: str,
    by: str,
    chair: str,
    tracker: str,
    calibrations: tuple[ToolCalibration, ...],
    rom_sha256: Mapping[str, str],
) -> QaReport:
    """`measured`: items by task. Failed, as soon as one item is beyond its limit; incomplete, where a measurement is missing."""
    wanted = ("jitter", "spread", "block") if has_block else ("jitter", "spread")
    missing = tuple(task for task in wanted if task not in measured)
    items = tuple(item for task in measured for item in measured[task])
    has_failed = any(item.passed is False for item in items)
    return QaReport(
        utc=utc,
        by=by,
        chair=chair,
        tracker=tracker,
        verdict="failed" if has_failed else "incomplete" if missing or not has_block else "passed",
        items=items,
        missing=missing if has_block else (*missing, "block"),
        calibrations=calibrations,
        rom_sha256=dict(rom_sha256),
    )


def text_of(report: QaReport) -> str:
    """The report for people, in the terms of ASTM F2554."""
    lines = [
        f"Quality check of chair {report.chair}, {report.utc}, by {report.by}",
        f"Tracker: {report.tracker}",
        *(_calibration_line(each) for each in report.calibrations),
        "",
        f"VERDICT: {report.verdict.upper()}",
        *(f"  not measured: {task}" for task in report.missing),
        "",
    ]
    for item in report.items:
        unit = UNITS.get(item.name, " mm")
        limit = "" if item.limit is None else f"   limit {item.limit:.2f}{unit}"
        word = {True: "good", False: "BEYOND THE LIMIT", None: ""}[item.passed]
        lines.append(f"{item.subject}: {TITLES.get(item.name, item.name)}: {item.value:.3f}{unit}{limit}   {word}".rstrip())
        lines.append("    " + "   ".join(f"{name} {value:.3f}" for name, value in item.numbers.items()))
    lines += ["", "Positional accuracy of points as in ASTM F2554; orientation of objects is outside of it."]
    return "\n".join(lines) + "\n"


def _calibration_line(each: ToolCalibration) -> str:
    if each.refused:
        return f"Calibration of the {each.tool}: NONE IN USE ({each.why})"
    source = "from the chair's file" if each.version is None else f"version {each.version} of the history"
    until = "" if each.valid_until_utc is None else f", valid until {each.valid_until_utc}"
    return f"Calibration of the {each.tool}: {source}{until}"
