"""One chair examined: its file, its stimulator's port, the unit behind it, and what the chair remembers. Puts the checks in order.

Holds the chair's lock while it talks, so that nobody else starts meanwhile. Other kinds of checks are added to `examine`.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from daemon.chair_memory import ChairMemory
from daemon.config import Config, ConfigError, chair_file, load_config
from daemon.devices import make_stimulator, stimulator_line
from daemon.doctor import EX_CONFIG, Check, fail, ok, warn
from daemon.doctor_magstim import Listener, magstim_checks, unlock_file_is_private
from daemon.doctor_magventure import magventure_checks
from daemon.doctor_port import Roots, look_at_port, port_checks
from daemon.doctor_protocols import protocol_checks
from daemon.doctor_unit import (
    UnitFacts,
    amplitude_is_told,
    disarm_is_confirmed,
    figures_fit_the_unit,
    interview,
    nothing_went_wrong,
    rts_is_as_wanted,
    unit_is_left_off,
)
from daemon.stimulator_section import MagstimSection, MagVentureSection, StimulatorSection
from daemon.supervise import ChairTaken, take_chair
from drivers.protocols import Stimulator
from drivers.transport import SerialLine
from drivers.values import DeviceError


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the examination reads besides the chair's file: the system's own word, the monotonic clock in ns, the wall clock in s."""

    roots: Roots = field(default_factory=Roots)
    clock: Callable[[], int] = time.monotonic_ns
    utc_s: Callable[[], float] = time.time


def examine(path: Path, world: World) -> tuple[Check, ...]:
    """Every check that can be made of the chair in `path`. A faulty file ends it: one line for each fault."""
    try:
        config = load_config(path)
    except ConfigError as error:
        return tuple(fail("chair file", f"{path}: {fault}", exit_code=EX_CONFIG) for fault in error.faults)
    stimulator = config.stimulator
    readable = ok("chair file", f"{path}: chair {config.chair.name}, {stimulator.kind} {stimulator.model}")
    return (readable, *_stimulator_checks(config, world), hardware_stop_is_tested(config, world.utc_s()))


def hardware_stop_is_tested(config: Config, utc_s: float) -> Check:
    """By the operator, once on each calendar day of the site; what the chair remembers of it lies beside its ledger."""
    memory = ChairMemory(chair_file(config, "state.json"), config.site.timezone)
    if memory.hardware_stop_tested(utc_s):
        return ok("hardware stop", f"verified today, {memory.today(utc_s)}")
    remedy = "The operator tests it at the start of the day (`test_hardware_stop`)."
    return warn("hardware stop", f"not verified today, {memory.today(utc_s)}: nothing arms before", remedy)


# ---- the stimulator -------------------------------------------------------------------------------------------------


def _stimulator_checks(config: Config, world: World) -> tuple[Check, ...]:
    """All of them; what the unit can deliver is judged by the chair's file alone where it could not be asked."""
    unit = config.stimulator
    unlock = unlock_file_is_private(unit) if isinstance(unit, MagstimSection) else None
    before = () if unlock is None else (unlock,)
    lock = chair_file(config, "lock")
    try:
        lock_fd = take_chair(lock)
    except ChairTaken:
        return (*before, *_taken_chair_checks(config, world, _chair_owner(lock)), *protocol_checks(config, make_stimulator(config)))
    except OSError as error:
        return (*before, fail("chair lock", f"{lock} cannot be taken ({error.strerror})", "Give this user the chair's folder."))
    try:
        checks, stimulator = _free_chair_checks(config, world)
    finally:
        os.close(lock_fd)
    return (*before, *checks, *protocol_checks(config, stimulator or make_stimulator(config)))


def _taken_chair_checks(config: Config, world: World, owner: int | None) -> tuple[Check, ...]:
    who = "another program" if owner is None else f"process {owner}"
    why = f"not asked: {who} controls this chair, and two writers on one line break each other's frames"
    return (*_port_checks(config, world, owner), warn("unit", why, "Stop it and ask again, or see `atmsd watch`."))


def _chair_owner(lock: Path) -> int | None:
    try:
        return int(lock.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _port_checks(config: Config, world: World, chair_owner: int | None) -> tuple[Check, ...]:
    """None for a line that is no serial port."""
    line = stimulator_line(config)
    return port_checks(look_at_port(line.path, world.roots, chair_owner)) if isinstance(line, SerialLine) else ()


def _free_chair_checks(config: Config, world: World) -> tuple[tuple[Check, ...], Stimulator | None]:
    """The chair is ours for the moment. Returns the driver that has heard the unit, where it could be asked."""
    before = _port_checks(config, world, None)
    if any(check.failed for check in before):
        return (*before, warn("unit", "not asked: its port cannot be used", "See above.")), None
    try:
        fd = stimulator_line(config).open()
    except DeviceError as error:
        return (*before, fail("unit", f"not asked: {error.what}", error.remedy)), None
    listener = Listener(config.stimulator.model) if isinstance(config.stimulator, MagstimSection) else None
    try:
        facts, stimulator = interview(fd, lambda: make_stimulator(config), world.clock, _deaf if listener is None else listener.overhear)
    finally:
        os.close(fd)
    return (*before, *unit_checks(config, facts, listener)), stimulator


def unit_checks(config: Config, facts: UnitFacts, listener: Listener | None) -> tuple[Check, ...]:
    """What was said on the open port, judged: alike for all, then by family."""
    unit = config.stimulator
    candidates = (
        rts_is_as_wanted(facts) if listener is not None else None,
        disarm_is_confirmed(facts, answer_tells_before=isinstance(unit, MagstimSection)),
        figures_fit_the_unit(facts, config.site.basis),
        *_family_checks(unit, facts, listener),
        amplitude_is_told(facts, unit.max_amplitude_pct_mso),
        *nothing_went_wrong(facts),
        unit_is_left_off(facts),
    )
    return tuple(check for check in candidates if check is not None)


def _family_checks(unit: StimulatorSection, facts: UnitFacts, listener: Listener | None) -> tuple[Check, ...]:
    if facts.report is None:
        return ()
    if isinstance(unit, MagVentureSection):
        return magventure_checks(facts.report, unit)
    if isinstance(unit, MagstimSection) and listener is not None:
        return magstim_checks(listener, unit)
    return ()


def _deaf(_data: bytes, _now_ns: int) -> None:
    """Nobody reads along."""
