"""What the hot process reported, held against what the device truly did."""

from daemon import ipc
from drivers.values import TrainSettings
from tests.loop.hot_rig import HotRig

MS = 1_000_000
DAEMON_LOST_MS, PROCESS_LOST_MS = 500, 1000  # from a daemon's, and from any other process's end to a disabled stimulator


def assert_off(rig: HotRig, since_ns: int, within_ms: int) -> None:
    """The device was disabled so soon, and nothing left it afterwards."""
    off_ns = rig.room.disabled_ns(since_ns)
    assert (off_ns - since_ns) / MS <= within_ms
    assert not rig.room.truth.charges[-1].enabled
    assert rig.room.pulses_since(off_ns + 1) == []


def assert_confirmed_off(rig: HotRig, since_ns: int, within_ms: int = PROCESS_LOST_MS) -> None:
    """And the hot process has heard it from the device."""
    assert_off(rig, since_ns, within_ms)
    rig.wait_for(ipc.Safe, where=lambda safe: safe.confirmed)
    rig.wait_for(ipc.StimNews, where=lambda news: news.report.enabled is False and news.report.received_ns > since_ns)


def assert_whole(receipt: ipc.Receipt, settings: TrainSettings) -> None:
    """The train was given as granted, and the device confirmed every pulse of it."""
    assert (receipt.why, receipt.pulses, receipt.broken, receipt.confirmed) == ((), settings.pulses, False, True), receipt


def assert_accounted(rig: HotRig, *, exact: bool, strays: bool = False) -> None:
    """Every train has its receipt, no receipt says less than the truth, and no pulse left without a grant.

    `exact`: the counts are equal. `strays`: pulses were fired at the panel, and each is told as ungranted.
    """
    given = rig.truth()
    assert all(pulse.enabled for pulse in given)
    outside = set(range(len(given)))
    for started in rig.all(ipc.TrainStarted):
        receipt = rig.wait_for(ipc.Receipt, where=lambda one, number=started.grant_no: one.grant_no == number)  # type: ignore[misc]
        last_ns = started.at_ns if receipt.last_ns is None else receipt.last_ns
        mine = {index for index in outside if started.at_ns <= given[index].at_ns <= last_ns}
        assert receipt.pulses >= len(mine)
        outside -= mine
    told_outside = sum(stray.pulses for stray in rig.all(ipc.Ungranted))
    assert len(outside) <= told_outside if strays else not outside, "pulses left the device outside every granted train"
    assert rig.counted() == rig.given() if exact else rig.counted() >= rig.given()
