"""A serial port looked at from outside: what the system tells of it, and what follows."""

import fcntl
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.doctor import Check, Status
from daemon.doctor_port import PortFacts, Process, Roots, look_at_port, port_checks
from drivers.transport import open_serial

USB = PortFacts(
    path=Path("/dev/ttyUSB-magpro"),
    device=Path("/dev/ttyUSB0"),
    exists=True,
    is_character_device=True,
    may_use=True,
    group="dialout",
    known_to_udev=True,
    latency_ms=1,
)
MODEM_MANAGER = Process(pid=77, name="ModemManager")
SOMEBODY = Process(pid=78, name="minicom")


def told(facts: PortFacts) -> dict[str, Check]:
    return {check.topic: check for check in port_checks(facts)}


def test_port_as_it_should_be_has_nothing_to_be_done() -> None:
    assert [(check.status, check.remedy) for check in port_checks(USB)] == [(Status.OK, "")] * 5


def test_port_that_is_not_there_fails_and_nothing_else_is_said_of_it() -> None:
    (only,) = port_checks(replace(USB, exists=False))
    assert only.failed
    assert "/dev/ttyUSB-magpro" in only.what


def test_link_that_leads_nowhere_says_where_it_leads(tmp_path: Path) -> None:
    link = tmp_path / "stimulator"
    link.symlink_to(tmp_path / "ttyUSB9")
    (only,) = port_checks(look_at_port(link, Roots(), None))
    assert only.failed
    assert "ttyUSB9" in only.what


def test_file_is_no_serial_port(tmp_path: Path) -> None:
    file = tmp_path / "stimulator"
    file.touch()
    assert any(check.failed and "no serial port" in check.what for check in port_checks(look_at_port(file, Roots(), None)))


def test_port_of_a_group_that_the_user_is_not_in_names_the_group() -> None:
    check = told(replace(USB, may_use=False))["permissions"]
    assert check.failed
    assert "usermod -aG dialout" in check.remedy


def test_port_with_another_owner_fails_and_names_its_process() -> None:
    check = told(replace(USB, owners=(SOMEBODY,)))["owner"]
    assert check.failed
    assert "process 78 (minicom)" in check.what


def test_port_of_this_chairs_own_atmsd_is_well() -> None:
    assert told(replace(USB, owners=(SOMEBODY,), chair_owner=78))["owner"].status is Status.OK
    assert told(replace(USB, owners=(SOMEBODY,), chair_owner=79))["owner"].failed


def test_program_that_takes_no_lock_is_warned_of() -> None:
    check = told(replace(USB, others=(SOMEBODY,)))["owner"]
    assert check.status is Status.WARN
    assert "minicom" in check.what


@pytest.mark.parametrize(("known", "ignored", "status"), [(True, False, Status.WARN), (True, True, Status.OK), (False, False, Status.OK)])
def test_running_modem_manager_matters_for_a_port_that_udev_does_not_shield(known: bool, ignored: bool, status: Status) -> None:
    facts = replace(USB, modem_manager=MODEM_MANAGER, known_to_udev=known, ignored_by_modem_manager=ignored)
    check = told(facts)["ModemManager"]
    assert check.status is status
    assert ("ID_MM_DEVICE_IGNORE" in check.remedy) is (status is Status.WARN)


@pytest.mark.parametrize(("latency_ms", "status"), [(None, Status.OK), (1, Status.OK), (2, Status.WARN), (16, Status.WARN)])
def test_latency_timer_above_1_ms_is_warned_of_with_its_file(latency_ms: int | None, status: Status) -> None:
    check = told(replace(USB, latency_ms=latency_ms))["latency timer"]
    assert check.status is status
    assert ("devices/ttyUSB0/latency_timer" in check.remedy) is (status is Status.WARN)


@pytest.mark.parametrize(
    ("name", "is_warned"), [("/dev/ttyUSB0", True), ("/dev/ttyACM12", True), ("/dev/ttyUSB-magpro", False), ("/dev/ttyS0", False)]
)
def test_name_that_the_kernel_counts_is_warned_of(name: str, is_warned: bool) -> None:
    assert ("port name" in told(replace(USB, path=Path(name)))) is is_warned


# ---- what the system tells ------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[Path]:
    """A pseudo terminal of ours."""
    ours, theirs = os.openpty()
    yield Path(os.ttyname(theirs))
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """A system where nothing runs."""
    places = Roots(proc=tmp_path / "proc", sys=tmp_path / "sys", udev=tmp_path / "udev")
    for place in (places.proc, places.sys, places.udev):
        place.mkdir()
    return places


def run(roots: Roots, pid: int, name: str) -> Path:
    folder = roots.proc / str(pid)
    for inner in ("fd", "fdinfo"):
        (folder / inner).mkdir(parents=True)
    (folder / "comm").write_text(f"{name}\n")
    return folder


def holds(process: Path, device: Path | str, info: str = "") -> None:
    number = str(len(list((process / "fd").iterdir())))
    (process / "fd" / number).symlink_to(device)
    (process / "fdinfo" / number).write_text(f"pos:\t0\n{info}")


def test_pseudo_terminal_of_nobody_is_well_everywhere(port: Path, roots: Roots) -> None:
    facts = look_at_port(port, roots, None)
    assert facts.exists
    assert facts.is_character_device
    assert facts.may_use
    assert {check.status for check in port_checks(facts)} == {Status.OK}


def test_lock_that_this_very_process_holds_is_found_in_the_real_system(port: Path) -> None:
    assert look_at_port(port, Roots(), None).owners == ()
    fd = open_serial(port, 9600)
    owners = look_at_port(port, Roots(), None).owners
    os.close(fd)
    assert [owner.pid for owner in owners] == [os.getpid()]


def test_lock_that_a_process_inherited_makes_it_an_owner(port: Path, roots: Roots) -> None:
    holds(run(roots, 41, "child"), port, "lock:\t1: FLOCK  ADVISORY  WRITE 40 00:1a:6 0 EOF\n")
    assert look_at_port(port, roots, None).owners == (Process(pid=41, name="child"),)


def test_taker_of_a_lock_is_found_where_its_descriptors_are_hidden(port: Path, roots: Roots) -> None:
    found = port.stat()
    where = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    (roots.proc / "42").mkdir()
    lines = (
        f"1: FLOCK  ADVISORY  WRITE 42 {where} 0 EOF",
        f"2: FLOCK  ADVISORY  WRITE 43 {where} 0 EOF",
        f"3: POSIX  ADVISORY  WRITE 42 {where}0 0 EOF",
    )
    (roots.proc / "locks").write_text("\n".join(lines))
    assert look_at_port(port, roots, None).owners == (Process(pid=42, name="name unknown"),)


def test_waiting_for_a_lock_is_no_owning(port: Path, roots: Roots) -> None:
    found = port.stat()
    where = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    (roots.proc / "42").mkdir()
    (roots.proc / "locks").write_text(f"1: -> FLOCK  ADVISORY  WRITE 42 {where} 0 EOF\n")
    assert look_at_port(port, roots, None).owners == ()


def test_open_port_without_a_lock_is_another_program_but_not_the_far_end(port: Path, roots: Roots) -> None:
    holds(run(roots, 50, "minicom"), port)
    simulator = run(roots, 51, "python")
    holds(simulator, port)
    holds(simulator, "/dev/ptmx", f"tty-index:\t{port.name}\n")
    facts = look_at_port(port, roots, None)
    assert facts.owners == ()
    assert facts.others == (Process(pid=50, name="minicom"),)


def test_far_end_of_another_pseudo_terminal_is_a_second_writer_here(port: Path, roots: Roots) -> None:
    terminal = run(roots, 52, "terminal")
    holds(terminal, port)
    holds(terminal, "/dev/ptmx", f"tty-index:\t{port.name}1\n")
    assert look_at_port(port, roots, None).others == (Process(pid=52, name="terminal"),)


def test_modem_manager_and_what_udev_tells_it_are_found(port: Path, roots: Roots) -> None:
    run(roots, 60, "ModemManager")
    number = port.stat().st_rdev
    file = roots.udev / f"c{os.major(number)}:{os.minor(number)}"
    file.write_text("S:ttyUSB-magpro\nE:ID_VENDOR=FTDI\n")
    assert told(look_at_port(port, roots, None))["ModemManager"].status is Status.WARN
    file.write_text("E:ID_VENDOR=FTDI\nE:ID_MM_DEVICE_IGNORE=1\n")
    assert told(look_at_port(port, roots, None))["ModemManager"].status is Status.OK


def test_rule_for_the_adapter_shields_its_port_too(port: Path, roots: Roots) -> None:
    run(roots, 60, "ModemManager")
    number = port.stat().st_rdev
    (roots.udev / f"c{os.major(number)}:{os.minor(number)}").write_text("E:ID_VENDOR=FTDI\n")
    adapter, tty = roots.sys / "devices/usb1/1-2", roots.sys / "class/tty" / port.name
    (adapter / "1-2:1.0/ttyUSB0").mkdir(parents=True)
    (adapter / "dev").write_text("189:4\n")
    tty.mkdir(parents=True)
    (tty / "device").symlink_to(adapter / "1-2:1.0/ttyUSB0")
    assert told(look_at_port(port, roots, None))["ModemManager"].status is Status.WARN
    (roots.udev / "c189:4").write_text("E:ID_MM_DEVICE_IGNORE=1\n")
    assert told(look_at_port(port, roots, None))["ModemManager"].status is Status.OK


@pytest.mark.parametrize(("content", "latency_ms"), [("16\n", 16), ("1\n", 1), ("", None), ("soon\n", None)])
def test_latency_timer_is_read_under_the_name_of_the_device(port: Path, roots: Roots, content: str, latency_ms: int | None) -> None:
    folder = roots.sys / "bus/usb-serial/devices" / port.name
    folder.mkdir(parents=True)
    (folder / "latency_timer").write_text(content)
    assert look_at_port(port, roots, None).latency_ms == latency_ms


def test_lock_on_another_file_is_not_mistaken_for_one_on_the_port(port: Path, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert look_at_port(port, Roots(), None).owners == ()


def test_socket_in_the_ports_place_is_no_serial_port(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "stimulator"))
        facts = look_at_port(tmp_path / "stimulator", Roots(), None)
    assert any("no serial port" in check.what for check in port_checks(facts))
