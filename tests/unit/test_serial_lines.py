"""Opening a serial port with its RTS line low, as far as a test can go without a real port; and the file of the unlock code."""

import errno
import fcntl
import os
import termios
from pathlib import Path

import pytest
import serial

from drivers.magstim_command_wire import UnlockCode
from drivers.magstim_unlock import read_unlock_code
from drivers.transport import SerialLine, open_serial, rts_is_low
from drivers.values import NotThere, Owned, Refused


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What RTS is set to, in order."""
    told: list[bool] = []
    monkeypatch.setattr(serial.Serial, "_update_dtr_state", lambda _: None)
    monkeypatch.setattr(serial.Serial, "_update_rts_state", lambda port: told.append(port.rts))
    return told


@pytest.mark.parametrize(("rts_low", "told"), [(True, [False]), (False, [True])])
def test_rts_is_set_once_and_never_raised_where_it_must_be_low(lines: list[bool], rts_low: bool, told: list[bool]) -> None:
    ours, theirs = os.openpty()
    fd = open_serial(Path(os.ttyname(theirs)), 9600, rts_low=rts_low)
    for each in (fd, ours, theirs):
        os.close(each)
    assert lines == told


def test_pty_has_no_modem_lines_and_is_opened_all_the_same() -> None:
    ours, theirs = os.openpty()
    fd = open_serial(Path(os.ttyname(theirs)), 9600, rts_low=True)
    with pytest.raises(Owned):
        open_serial(Path(os.ttyname(theirs)), 9600, rts_low=True)
    assert rts_is_low(fd) is None
    for each in (fd, ours, theirs):
        os.close(each)


@pytest.mark.parametrize(("bits", "low"), [(termios.TIOCM_DTR, True), (termios.TIOCM_DTR | termios.TIOCM_RTS, False)])
def test_rts_is_read_back_where_the_port_tells(monkeypatch: pytest.MonkeyPatch, bits: int, low: bool) -> None:
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: bits.to_bytes(4, "little"))
    assert rts_is_low(0) is low


def test_only_a_port_without_modem_lines_is_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(fcntl, "ioctl", broken)
    with pytest.raises(OSError, match="input/output"):
        rts_is_low(0)


@pytest.mark.parametrize("answer", [termios.TIOCM_RTS, None])
def test_a_line_whose_rts_is_not_seen_low_is_not_opened(monkeypatch: pytest.MonkeyPatch, answer: int | None) -> None:
    def told(_fd: int, request: int, *_: object) -> bytes:
        if request != termios.TIOCMGET:
            return b""
        if answer is None:
            raise OSError(errno.EIO, "input/output error")
        return answer.to_bytes(4, "little")

    ours, theirs = os.openpty()
    line = SerialLine(Path(os.ttyname(theirs)), 9600, rts_low=True)
    os.close(line.open())
    monkeypatch.setattr(fcntl, "ioctl", told)
    with pytest.raises(NotThere, match="RTS"):
        line.open()
    monkeypatch.undo()
    os.close(line.open())  # nobody holds it
    for each in (ours, theirs):
        os.close(each)


def code_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "unlock"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_code_is_read_from_a_file_of_its_owner(tmp_path: Path) -> None:
    assert read_unlock_code(code_file(tmp_path, b"aaaa-bbbbbbbb-\xfd\x91\n")) == UnlockCode(b"aaaa-bbbbbbbb-\xfd\x91")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_code_that_others_can_read_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    with pytest.raises(Refused, match="chmod 600"):
        read_unlock_code(code_file(tmp_path, b"aaaa-bbbbbbbb-00\n", mode))


def test_file_without_a_code_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        read_unlock_code(code_file(tmp_path, b"aaaa-bbbbbbb-00\n"))
    assert "bbbb" not in str(caught.value)


def test_missing_code_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match="unlock"):
        read_unlock_code(tmp_path / "unlock")
