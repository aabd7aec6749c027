"""The channels between the processes: whole packets, of every size that is in use."""

import socket

from daemon.ipc import Channel, FromHotOrder, Hello, PulsePose, Receipt

LONGEST = 1200  # pulses of the longest train in use, at 1 Hz


def receipt(bursts: int) -> Receipt:
    poses = tuple(
        PulsePose(at_ns=10**15 + number, didt_a_per_us=150, distance_mm=1.2345678901234567, exposed_ns=10**15 + number)
        for number in range(bursts)
    )
    return Receipt(
        run_id="0" * 32,
        grant_no=2**40,
        train=1,
        pulses=bursts,
        confirmed=True,
        broken=False,
        why=(),
        first_ns=10**15,
        last_ns=10**15 + bursts,
        bursts=poses,
    )


def test_the_receipt_of_the_longest_train_passes_whole_and_so_does_what_follows() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sender: Channel[FromHotOrder] = Channel(ours, FromHotOrder)
    receiver: Channel[FromHotOrder] = Channel(theirs, FromHotOrder)
    longest, hello = receipt(LONGEST), Hello(run_id="1")
    assert sender.send(longest)
    assert sender.send(hello)
    assert receiver.drain() == [longest, hello]
    assert not receiver.closed
    ours.close()
    assert receiver.receive() is None
    assert receiver.closed
    theirs.close()
