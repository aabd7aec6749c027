"""Opening the network face: who may connect, and what is said when it cannot be opened."""

import os
import socket as unix_socket
import stat
from pathlib import Path

import pytest

from daemon.bus_sockets import BusUnavailable, open_sockets
from daemon.config import NetworkSection


def ipc(folder: Path, commands: str = "c", telemetry: str = "t") -> NetworkSection:
    return NetworkSection(commands=f"ipc://{folder / commands}", telemetry=f"ipc://{folder / telemetry}")


def test_it_says_which_ports_it_was_given() -> None:
    sockets = open_sockets(NetworkSection(commands="tcp://127.0.0.1:0", telemetry="tcp://127.0.0.1:0"))
    try:
        assert sockets.commands_endpoint.startswith("tcp://127.0.0.1:")
        assert not sockets.commands_endpoint.endswith(":0")
        assert sockets.telemetry_endpoint != sockets.commands_endpoint
    finally:
        sockets.close()


def test_ipc_files_are_their_owners_alone(tmp_path: Path) -> None:
    sockets = open_sockets(ipc(tmp_path))
    try:
        assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ct"] == [0o600, 0o600]
    finally:
        sockets.close()


def test_files_made_afterwards_have_their_usual_modes(tmp_path: Path) -> None:
    usual = os.umask(0o027)
    try:
        open_sockets(ipc(tmp_path)).close()
    finally:
        after = os.umask(usual)
    assert after == 0o027


def test_a_port_in_use_is_named_with_its_remedy() -> None:
    first = open_sockets(NetworkSection(commands="tcp://127.0.0.1:0", telemetry="tcp://127.0.0.1:0"))
    try:
        taken = first.telemetry_endpoint
        with pytest.raises(BusUnavailable) as caught:
            open_sockets(NetworkSection(commands="tcp://127.0.0.1:0", telemetry=taken))
        assert caught.value.endpoint == taken
        assert "in use" in str(caught.value) and "[network]" in caught.value.remedy
    finally:
        first.close()


def test_when_the_second_cannot_be_opened_the_first_is_closed_again(tmp_path: Path) -> None:
    with pytest.raises(BusUnavailable):
        open_sockets(ipc(tmp_path, telemetry="no/such/folder"))
    open_sockets(ipc(tmp_path)).close()


def test_a_living_daemons_ipc_endpoint_is_not_taken_over(tmp_path: Path) -> None:
    first = open_sockets(ipc(tmp_path))
    try:
        with pytest.raises(BusUnavailable, match="somebody listens there"):
            open_sockets(ipc(tmp_path, telemetry="other"))
    finally:
        first.close()


def test_a_dead_daemons_ipc_file_is_replaced(tmp_path: Path) -> None:
    with unix_socket.socket(unix_socket.AF_UNIX, unix_socket.SOCK_STREAM) as left_over:
        left_over.bind(str(tmp_path / "c"))
    open_sockets(ipc(tmp_path)).close()


def test_a_file_that_is_no_socket_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("the ledger")
    with pytest.raises(BusUnavailable, match="no socket"):
        open_sockets(ipc(tmp_path))
    assert (tmp_path / "c").read_text() == "the ledger"


@pytest.mark.parametrize("endpoint", ["ipc://@abstract", "nonsense", "tcp://127.0.0.1:notaport", "ipc:///" + "x" * 200])
def test_an_endpoint_that_cannot_be_used_is_one_clear_error(endpoint: str) -> None:
    with pytest.raises(BusUnavailable) as caught:
        open_sockets(NetworkSection(commands=endpoint, telemetry="tcp://127.0.0.1:0"))
    assert caught.value.endpoint == endpoint and caught.value.remedy
