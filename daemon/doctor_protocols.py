"""Which protocols the chair's unit can deliver, up to which amplitude, and why not the others. What supports them is not asked here.

Judged as when a session starts, and by what the unit itself said of its software.
"""

from collections.abc import Callable, Iterable, Mapping

from daemon.config import Config
from daemon.doctor import EX_CONFIG, Check, Status, fail, ok
from daemon.limit_files import site_limits
from daemon.limits import LimitsInvalid, merge, product_layer
from daemon.protocol import BadProtocol, load_protocol, protocol_files
from daemon.protocol_device import device_reasons, train_settings
from daemon.protocol_timing import Timing
from drivers.protocols import Stimulator

TOPIC = "protocols"
WHY_NOT = "`atmsd protocol list` says what else speaks for or against each."


def protocol_checks(config: Config, unit: Stimulator) -> tuple[Check, ...]:
    """A line for each amplitude up to which some can be delivered, and for each reason why some cannot."""
    try:
        files = protocol_files(config.site.folder)
        named = _named_by_the_site(config)
        wanted = [name for name in sorted(files) if named is None or name in named]
        timings = {name: load_protocol(name, config.site.folder).timing for name in wanted}
    except (BadProtocol, LimitsInvalid) as error:
        return (fail(TOPIC, str(error).removesuffix("."), exit_code=EX_CONFIG),)
    ceiling = config.stimulator.max_amplitude_pct_mso
    return judged(timings, lambda timing, pct: _reasons(timing, pct, config, unit), ceiling, are_named=named is not None)


def judged(
    timings: Mapping[str, Timing], reasons: Callable[[Timing, int], tuple[str, ...]], max_pct_mso: int, *, are_named: bool
) -> tuple[Check, ...]:
    """`are_named`: a limit of the chair or its site names these, so that one which cannot be delivered is worth a warning."""
    groups: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for name, timing in timings.items():
        highest = highest_amplitude_pct(lambda pct, timing=timing: not reasons(timing, pct), max_pct_mso)  # type: ignore[misc]  # bound now
        against = reasons(timing, highest + 1) if highest < max_pct_mso else ()
        groups.setdefault((highest, against), []).append(name)
    status = Status.WARN if are_named or all(highest == 0 for highest, _ in groups) else Status.OK
    ordered = sorted(groups.items(), key=lambda group: (-group[0][0], group[1]))
    return tuple(_line(names, highest, against, status) for (highest, against), names in ordered)


def highest_amplitude_pct(is_possible: Callable[[int], bool], max_pct_mso: int) -> int:
    """The highest amplitude that is possible where every lower one is too; 0 where not even 1 % is."""
    lowest_not, highest_known = max_pct_mso + 1, 0
    while lowest_not - highest_known > 1:
        middle = (lowest_not + highest_known) // 2
        if is_possible(middle):
            highest_known = middle
        else:
            lowest_not = middle
    return highest_known


def _line(names: Iterable[str], highest: int, against: tuple[str, ...], status_if_not: Status) -> Check:
    listed, why = ", ".join(names), "; ".join(against)
    if not against:
        return ok(TOPIC, f"deliverable up to {highest} %: {listed}", WHY_NOT)
    if highest:
        return ok(TOPIC, f"deliverable up to {highest} % alone: {listed} ({why})")
    return Check(topic=TOPIC, status=status_if_not, what=f"not deliverable here: {listed} ({why})")


def _reasons(timing: Timing, pct_mso: int, config: Config, unit: Stimulator) -> tuple[str, ...]:
    settings = train_settings(timing, pct_mso)
    return tuple(dict.fromkeys((*unit.can(settings), *device_reasons(timing, settings, config))))


def _named_by_the_site(config: Config) -> tuple[str, ...] | None:
    """The protocols that limits allow; None where no limit names any."""
    effective = merge((product_layer(), *site_limits(config, "").site)).effective or {}
    named = effective.get("allowed_protocols")
    return tuple(named) if isinstance(named, list | tuple) else None
