"""The serial port of a chair, before it is opened: is it there, may we use it, who else does, what disturbs it.

`look_at_port` gathers, the functions in `PORT_CHECKS` judge. Nothing here opens a port.
"""

import contextlib
import grp
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.doctor import Check, fail, ok, warn

LATENCY_WANTED_MS = 1  # the FTDI driver's default is 16: answers wait for so long in the adapter
IGNORED_BY_MODEM_MANAGER = ("ID_MM_DEVICE_IGNORE", "ID_MM_PORT_IGNORE")
COUNTED_NAME = re.compile(r"/dev/tty(USB|ACM)\d+")  # numbered by the kernel in the order of plugging


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Where the system tells of itself."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    udev: Path = Path("/run/udev/data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    pid: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFacts:
    """One port. `device` is what its name leads to; the rest says nothing while `exists` is false.

    `owners` share its lock, `others` have it open without. `known_to_udev`: a port that udev does not know is probed by nobody.
    `chair_owner`: the process that holds this chair's own lock.
    """

    path: Path
    device: Path
    exists: bool
    is_character_device: bool = False
    may_use: bool = False
    group: str = ""
    owners: tuple[Process, ...] = ()
    others: tuple[Process, ...] = ()
    chair_owner: int | None = None
    modem_manager: Process | None = None
    known_to_udev: bool = False
    ignored_by_modem_manager: bool = False
    latency_ms: int | None = None


# ---- gathering ------------------------------------------------------------------------------------------------------


def look_at_port(path: Path, roots: Roots, chair_owner: int | None) -> PortFacts:
    """What the system tells of the port named `path`, without opening it."""
    device = Path(os.path.realpath(path))
    try:
        found = device.stat()
    except OSError:
        return PortFacts(path=path, device=device, exists=False)
    properties = _udev_properties(roots.udev / f"c{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}")
    inherited = _udev_properties_of_adapter(device.name, roots)
    owners, others = _users(device, found, roots.proc)
    return PortFacts(
        path=path,
        device=device,
        exists=True,
        is_character_device=stat.S_ISCHR(found.st_mode),
        may_use=os.access(device, os.R_OK | os.W_OK),
        group=_group(found.st_gid),
        owners=owners,
        others=others,
        chair_owner=chair_owner,
        modem_manager=next((each for each in _processes(roots.proc) if each.name == "ModemManager"), None),
        known_to_udev=properties is not None,
        ignored_by_modem_manager=any((inherited | (properties or {})).get(name) == "1" for name in IGNORED_BY_MODEM_MANAGER),
        latency_ms=_latency_ms(roots.sys / "bus/usb-serial/devices" / device.name / "latency_timer"),
    )


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _latency_ms(file: Path) -> int | None:
    """None where the adapter has no such timer."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _udev_properties(file: Path) -> dict[str, str] | None:
    """None for a device that udev does not know."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    pairs = (line.removeprefix("E:").partition("=") for line in lines if line.startswith("E:"))
    return {name: value for name, _, value in pairs}


def _udev_properties_of_adapter(name: str, roots: Roots) -> dict[str, str]:
    """A rule may name the USB device that the port is a part of, instead of the port."""
    here = Path(os.path.realpath(roots.sys / "class/tty" / name / "device"))
    properties: dict[str, str] = {}
    for part in (here, *here.parents):
        with contextlib.suppress(OSError):
            number = (part / "dev").read_text(encoding="ascii").strip()
            properties |= _udev_properties(roots.udev / f"c{number}") or {}
    return properties


def _processes(proc: Path) -> Iterator[Process]:
    for folder in proc.iterdir():
        if folder.name.isdigit():
            yield _process(proc, int(folder.name))


def _process(proc: Path, pid: int) -> Process:
    try:
        name = (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        name = "name unknown"
    return Process(pid=pid, name=name)


def _users(device: Path, found: os.stat_result, proc: Path) -> tuple[tuple[Process, ...], tuple[Process, ...]]:
    """Who shares the lock of the device, and who has it open without; of other people's processes only the taker of the lock is seen."""
    owners, others = set(_lock_takers(found, proc)), set()
    for process in _processes(proc):
        files = _open_files(proc / str(process.pid))
        ours = [info for target, info in files if target == str(device)]
        if any("FLOCK" in info for info in ours):
            owners.add(process.pid)
        elif ours and not any(_is_far_end(target, info, device) for target, info in files):
            others.add(process.pid)
    return tuple(_process(proc, pid) for pid in sorted(owners)), tuple(_process(proc, pid) for pid in sorted(others - owners))


def _open_files(process: Path) -> list[tuple[str, str]]:
    """What each descriptor leads to and what the kernel tells of it; a process may end, or be another user's, at any moment."""
    files = []
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith("/dev/"):
                    files.append((target, (process / "fdinfo" / descriptor.name).read_text(encoding="ascii", errors="replace")))
    return files


def _is_far_end(target: str, info: str, device: Path) -> bool:
    """Whoever holds a pseudo terminal's other side is no second writer: it is the one that is written to."""
    is_master = target.endswith("ptmx") and device.parent == Path("/dev/pts")
    return is_master and f"tty-index:\t{device.name}\n" in info


def _lock_takers(found: os.stat_result, proc: Path) -> list[int]:
    """The system-wide list of locks names who took each, also of other users; nobody who has ended since."""
    where = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        rows = [line.split() for line in (proc / "locks").read_text(encoding="ascii").splitlines()]
    except OSError:
        return []
    takers = [int(row[4]) for row in rows if "FLOCK" in row and "->" not in row and where in row]
    return [pid for pid in takers if (proc / str(pid)).exists()]


# ---- judging --------------------------------------------------------------------------------------------------------


def port_exists(facts: PortFacts) -> Check:
    if facts.exists:
        leads = "" if facts.path == facts.device else f", which is {facts.device}"
        return ok("port", f"{facts.path}{leads}")
    if facts.path.is_symlink():
        return fail("port", f"{facts.path} leads to {facts.device}, which is not there", "Plug the unit's adapter in.")
    remedy = "Check the adapter and [stimulator].port; `ls -l /dev/serial/by-id` shows what is plugged in."
    return fail("port", f"{facts.path} is not there", remedy)


def port_is_serial(facts: PortFacts) -> Check | None:
    if not facts.exists or facts.is_character_device:
        return None
    return fail("port", f"{facts.device} is no serial port", "Name the stimulator's port in [stimulator].port.")


def port_name_is_stable(facts: PortFacts) -> Check | None:
    if not facts.exists or not COUNTED_NAME.fullmatch(str(facts.path)):
        return None
    remedy = "Use a name that stays: /dev/serial/by-id/... or a udev rule (docs/devices.md)."
    return warn("port name", f"{facts.path} names another device when adapters are plugged in in another order", remedy)


def port_may_be_used(facts: PortFacts) -> Check | None:
    if not facts.exists:
        return None
    if facts.may_use:
        return ok("permissions", "this user may read and write the port")
    remedy = f"Run `sudo usermod -aG {facts.group} USER`, then log in anew."
    return fail("permissions", f"this user may not read and write {facts.device}; its group is {facts.group}", remedy)


def port_has_no_other_owner(facts: PortFacts) -> Check | None:
    """The lock of this chair's own atmsd is as it should be."""
    if not facts.exists:
        return None
    named = ", ".join(map(str, facts.owners))
    if facts.chair_owner is not None and facts.chair_owner in {owner.pid for owner in facts.owners}:
        return ok("owner", f"this chair's atmsd owns the port: {named}")
    if facts.owners:
        return fail("owner", f"another program owns the port: {named}", "Stop it: two writers on one line break each other's frames.")
    if facts.others:
        named = ", ".join(map(str, facts.others))
        return warn("owner", f"open in another program, which takes no lock: {named}", "Stop it before atmsd runs.")
    return ok("owner", "nobody else has the port open")


def modem_manager_keeps_off(facts: PortFacts) -> Check | None:
    if not facts.exists:
        return None
    if facts.modem_manager is None:
        return ok("ModemManager", "not running")
    if not facts.known_to_udev:
        return ok("ModemManager", "runs, and does not see this port: udev does not know it")
    if facts.ignored_by_modem_manager:
        return ok("ModemManager", "runs, and is told to leave this port alone")
    remedy = 'Set ENV{ID_MM_DEVICE_IGNORE}="1" in a udev rule (docs/devices.md), then plug the adapter in anew.'
    return warn("ModemManager", f"{facts.modem_manager} may write to this port to see whether it is a modem", remedy)


def latency_is_low(facts: PortFacts) -> Check | None:
    if not facts.exists:
        return None
    if facts.latency_ms is None:
        return ok("latency timer", "this port has none")
    if facts.latency_ms <= LATENCY_WANTED_MS:
        return ok("latency timer", f"{facts.latency_ms} ms")
    file = f"/sys/bus/usb-serial/devices/{facts.device.name}/latency_timer"
    remedy = f"Run `echo {LATENCY_WANTED_MS} | sudo tee {file}`, or set it by a udev rule (docs/devices.md)."
    what = f"{facts.latency_ms} ms: each answer waits that long in the adapter, {LATENCY_WANTED_MS} ms is wanted"
    return warn("latency timer", what, remedy)


PORT_CHECKS: tuple[Callable[[PortFacts], Check | None], ...] = (
    port_exists,
    port_is_serial,
    port_name_is_stable,
    port_may_be_used,
    port_has_no_other_owner,
    modem_manager_keeps_off,
    latency_is_low,
)


def port_checks(facts: PortFacts) -> tuple[Check, ...]:
    """Every judgement that applies to such a port."""
    return tuple(check for judge in PORT_CHECKS if (check := judge(facts)) is not None)
