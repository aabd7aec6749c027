"""The operator lease: which one client may arm, start, resume and accept, and until when. Pure; reads no clock.

Nobody is told from here: the session asks for the new state, compares, and holds when the holder is gone.
"""

import msgspec

from daemon.messages import LEASE_TTL_S, ErrorCode

LEASE_TTL_NS = round(LEASE_TTL_S * 1e9)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds it: the connection's id and the name given for the record. Held while now < `until_ns` (host monotonic)."""

    client: str
    name: str
    until_ns: int


class OperatorLease(msgspec.Struct, frozen=True, kw_only=True):
    """Held by one client, or free."""

    holder: Holder | None = None


FREE = OperatorLease()

# event    free            held by this client      held by another
# take     held            held, kept, renamed      LEASE_HELD
# keep     NOT_OPERATOR    held, kept               NOT_OPERATOR
# release  NOT_OPERATOR    free                     NOT_OPERATOR
# Every event first lets a lease lapse whose time is over; a lapsed lease is free, also for its former holder.


def lapse(lease: OperatorLease, now_ns: int) -> OperatorLease:
    """The lease as it stands at `now_ns`: free once its time is over."""
    if lease.holder is not None and now_ns < lease.holder.until_ns:
        return lease
    return FREE


def take(lease: OperatorLease, client: str, name: str, now_ns: int) -> OperatorLease | ErrorCode:
    """Held by `client` for the full time from now; LEASE_HELD while another holds it, BAD_PARAMS for a blank name."""
    holder = lapse(lease, now_ns).holder
    if holder is not None and holder.client != client:
        return ErrorCode.LEASE_HELD
    if not name.strip():
        return ErrorCode.BAD_PARAMS
    return OperatorLease(holder=Holder(client=client, name=name.strip(), until_ns=now_ns + LEASE_TTL_NS))


def keep(lease: OperatorLease, client: str, now_ns: int) -> OperatorLease | ErrorCode:
    """Held for the full time from now; NOT_OPERATOR unless `client` holds it at this moment."""
    holder = lapse(lease, now_ns).holder
    if holder is None or holder.client != client:
        return ErrorCode.NOT_OPERATOR
    return OperatorLease(holder=msgspec.structs.replace(holder, until_ns=now_ns + LEASE_TTL_NS))


def release(lease: OperatorLease, client: str, now_ns: int) -> OperatorLease | ErrorCode:
    """Free; NOT_OPERATOR unless `client` holds it at this moment."""
    return FREE if holds(lease, client, now_ns) else ErrorCode.NOT_OPERATOR


def holds(lease: OperatorLease, client: str, now_ns: int) -> bool:
    """True while `client` may do what only the operator may."""
    holder = lapse(lease, now_ns).holder
    return holder is not None and holder.client == client
