"""Values of the dose ledger: what is asked of it, what it answers, and the rows that it keeps.

Folding rows into doses is `daemon.ledger_fold`; the disk is `daemon.ledger_store`.
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from daemon.day import DoseReason, Segment
from daemon.limits import Limits, LimitValue
from daemon.mt_values import MotorThresholdRecord
from daemon.people import are_named, are_two
from daemon.purpose import Purpose

GENESIS_HASH = "0" * 64


class LedgerError(Exception):
    """The ledger cannot be used: what is wrong, where, and what to do. Nothing was promised that is not on disk."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


class LedgerUnavailable(LedgerError):
    """It cannot be opened, read or written."""


class LedgerDamaged(LedgerError):
    """A row cannot be understood."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Moment(Value, frozen=True, kw_only=True):
    """One instant on both clocks; the monotonic one starts anew with each boot."""

    utc_us: int
    mono_ns: int
    boot_id: str

    def utc_us_at(self, mono_ns: int) -> int:
        """UTC of a monotonic reading of the same boot, rounded up."""
        return self.utc_us - (self.mono_ns - mono_ns) // 1000


# ---- what is asked ----------------------------------------------------------------------------------------------------


class OpenRequest(Value, frozen=True, kw_only=True, tag="open_request.v1"):
    """A whole session, to be reserved before its first train. `train_gap_ns`: last pulse of a train to the next at least.

    `rmt_mso` is None only where the motor threshold is what the session is to find.
    """

    patient: str
    chair: str
    protocol: str
    protocol_sha256: str
    plan_sha256: str
    target_token: str
    planned_pulses: int
    planned_trains: int
    train_gap_ns: int
    set_point_mso: int
    rmt_mso: int | float | None
    operator: str
    limits: Limits
    purpose: Purpose = Purpose.TREATMENT
    device_id: str | None = None
    device_serial: str | None = None
    coil_serial: str | None = None

    def __post_init__(self) -> None:
        _require(self.planned_pulses >= 1 and self.planned_trains >= 1, "a session plans at least one train of one pulse")
        _require(self.train_gap_ns >= 0, "train_gap_ns is negative")
        _require(self.set_point_mso >= 1, "set point and motor threshold are positive")
        if self.rmt_mso is None:
            _require(self.purpose is Purpose.MT, "a treatment names the motor threshold")
        else:
            _require(self.rmt_mso > 0, "set point and motor threshold are positive")
        _require(all((self.patient, self.chair, self.protocol, self.operator)), "patient, chair, protocol and operator are named")


class Intent(Value, frozen=True, kw_only=True, tag="train.v1"):
    """One train, before it is granted. Monotonic times; `length_ns`: first to last pulse."""

    session_id: str
    lease_token: int
    run_id: str
    grant_no: int
    train_no: int
    pulses: int
    amplitude_pct: int
    not_before_ns: int
    expires_ns: int
    length_ns: int

    def __post_init__(self) -> None:
        _require(self.pulses >= 1, "a train has at least one pulse")
        _require(self.length_ns >= 0, "length_ns is negative")


class Receipt(Value, frozen=True, kw_only=True):
    """What became of one grant; of a final one nothing more is to come. `pulse_mono_ns`: events as the device reported them."""

    session_id: str
    run_id: str
    grant_no: int
    pulses: int
    confirmed: bool
    first_mono_ns: int | None
    last_mono_ns: int | None
    final: bool
    reason: str | None = None
    pulse_mono_ns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require(self.pulses >= 0, "pulses are not negative")


class CloseState(StrEnum):
    COMPLETE = "COMPLETE"
    PARTIAL = "PARTIAL"
    ABORTED = "ABORTED"


class External(Value, frozen=True, kw_only=True, tag="external.v1"):
    """A session given elsewhere, as two people entered it. `site`: where; `account`: the login under which it was entered."""

    pulses: int
    first_pulse_utc_us: int
    last_pulse_utc_us: int
    site: str
    by: tuple[str, ...]
    reason: str
    account: str | None = None

    def __post_init__(self) -> None:
        _require(self.pulses >= 1, "a session given elsewhere has at least one pulse")
        _require(0 < self.first_pulse_utc_us <= self.last_pulse_utc_us, "its first pulse is not after its last")
        _require(bool(self.site.strip()) and bool(self.reason.strip()), "a session given elsewhere states where and why it is entered")
        _require(are_two(self.by), "two different people enter a session given elsewhere")


class ExternalWithdrawn(Value, frozen=True, kw_only=True, tag="external_withdrawn.v1"):
    """Two people take back a session given elsewhere that was entered in error; the entry itself stays legible."""

    entry: int
    by: tuple[str, ...]
    reason: str
    account: str | None = None

    def __post_init__(self) -> None:
        _require(bool(self.reason.strip()), "a withdrawal states its reason")
        _require(are_two(self.by), "two different people withdraw an entry")


class ClockConfirmed(Value, frozen=True, kw_only=True, tag="clock_confirmed.v1"):
    """Two people looked at this chair's clock and say that it is right. It holds in this boot, for the clock as it then stood."""

    chair: str
    boot_id: str
    wall_minus_mono_us: int
    by: tuple[str, ...]
    reason: str
    account: str | None = None

    def __post_init__(self) -> None:
        _require(bool(self.reason.strip()), "a confirmation states how the time was checked")
        _require(are_two(self.by), "two different people confirm a clock")


class ReconciledTrain(Value, frozen=True, kw_only=True):
    """What a person found that a train without a final receipt really gave."""

    run_id: str
    grant_no: int
    pulses: int

    def __post_init__(self) -> None:
        _require(self.pulses >= 0, "pulses are not negative")


class Reconciliation(Value, frozen=True, kw_only=True):
    """A person's word on trains that count in full. Never below what a receipt has said."""

    session_id: str
    trains: tuple[ReconciledTrain, ...]
    reason: str
    by: tuple[str, ...]

    def __post_init__(self) -> None:
        _require(bool(self.reason.strip()), "a reconciliation states its reason")
        _require(are_named(self.by), "a reconciliation names who made it")


# ---- what is answered -------------------------------------------------------------------------------------------------


class Refused(Value, frozen=True, kw_only=True):
    """Every reason at once. `earliest_utc_us` is None where time alone does not help."""

    reasons: tuple[DoseReason, ...]
    earliest_utc_us: int | None


class Opened(Value, frozen=True, kw_only=True):
    session_id: str
    lease_token: int


class Intended(Value, frozen=True, kw_only=True):
    """The intent is on disk: the train may be granted."""

    seq: int


class Settled(Value, frozen=True, kw_only=True):
    """The intent is closed. `excess_pulses`: given beyond what was intended, which is an alarm."""

    counted_pulses: int
    excess_pulses: int


class Duplicate(Value, frozen=True, kw_only=True):
    """Said before, word for word: nothing changed."""

    counted_pulses: int


class Differs(Value, frozen=True, kw_only=True):
    """Contradicts what was said before: the larger counts, and it is an alarm."""

    counted_pulses: int
    said_pulses: int


class Standing(StrEnum):
    """What a receipt is to the ledger at the moment it comes."""

    SETTLES = "settles"
    PROGRESS = "progress"
    DUPLICATE = "duplicate"
    DIFFERS = "differs"
    EARLIER_RUN = "earlier run"
    UNKNOWN_GRANT = "unknown grant"
    UNKNOWN_SESSION = "unknown session"
    SESSION_CLOSED = "session closed"


class Recorded(Value, frozen=True, kw_only=True):
    """Kept, but it closes nothing and lowers nothing. `counted_pulses` is None where it counts for nobody known."""

    standing: Standing
    counted_pulses: int | None


class Entered(Value, frozen=True, kw_only=True):
    """A person's entry is on disk."""

    seq: int


class NotEntered(Value, frozen=True, kw_only=True):
    """A person's entry that contradicts what is known: nothing was written."""

    why: str
    remedy: str


class Closed(Value, frozen=True, kw_only=True):
    """A session's end. `trains_in_full`: intents without a final receipt."""

    session_id: str
    patient: str
    state: CloseState
    counted_pulses: int
    trains_in_full: int
    last_pulse_utc_us: int | None


# ---- what is kept -----------------------------------------------------------------------------------------------------


class SessionOpened(Value, frozen=True, kw_only=True, tag="session_opened.v1"):
    request: OpenRequest
    lease_token: int


class IntentMade(Value, frozen=True, kw_only=True, tag="intent.v1"):
    intent: Intent
    limits_sha256: str


class ReceiptTaken(Value, frozen=True, kw_only=True, tag="receipt.v1"):
    receipt: Receipt
    lease_token: int | None


class UngrantedSeen(Value, frozen=True, kw_only=True, tag="ungranted.v1"):
    """Pulses that the device gave without a grant: panel, foot switch, trigger input."""

    pulses: int
    mono_ns: int | None
    how: str

    def __post_init__(self) -> None:
        _require(self.pulses >= 1, "ungranted pulses are at least one")


class SessionClosed(Value, frozen=True, kw_only=True, tag="session_closed.v1"):
    """The end of a session. `given`: what it had given by then, so that its trains need not be read again to count the day.

    None in rows of a version that did not sum up; what comes after this row is not in it.
    """

    state: CloseState
    reason: str
    recovered: bool
    counted_pulses: int
    lease_token: int
    given: tuple[Segment, ...] | None = None


class Reconciled(Value, frozen=True, kw_only=True, tag="reconciled.v1"):
    reconciliation: Reconciliation


class Refusal(Value, frozen=True, kw_only=True, tag="refused.v1"):
    """A start or a train that was not allowed, with all that it was judged by."""

    asked: OpenRequest | Intent
    reasons: tuple[DoseReason, ...]
    limits: Limits
    earliest_utc_us: int | None


class Note(Value, frozen=True, kw_only=True, tag="note.v1"):
    """Audit: who did what, and why."""

    by: tuple[str, ...]
    what: str
    reason: str | None = None

    def __post_init__(self) -> None:
        _require(are_named(self.by) and bool(self.what.strip()), "a note says who and what")


class OverrideUsed(Value, frozen=True, kw_only=True, tag="override_used.v1"):
    """A session was opened under values that two people re-issued for one patient in the place of a layer's own."""

    override: str
    sha256: str
    layer: str
    limits: Mapping[str, LimitValue]
    reason: str
    by: tuple[str, ...]
    until_utc: str


class ThresholdSaved(Value, frozen=True, kw_only=True, tag="threshold.v1"):
    record: MotorThresholdRecord


class JournalSettled(Value, frozen=True, kw_only=True, tag="journal_settled.v1"):
    """A chair's journal up to `last_no` is in the ledger, the rows before this one. `journal`: hash of its first row."""

    chair: str
    journal: str
    last_no: int
    last_hash: str


Body = (
    SessionOpened
    | IntentMade
    | ReceiptTaken
    | UngrantedSeen
    | SessionClosed
    | Reconciled
    | Refusal
    | Note
    | External
    | ExternalWithdrawn
    | ClockConfirmed
    | OverrideUsed
    | ThresholdSaved
    | JournalSettled
)


class Row(Value, frozen=True, kw_only=True):
    """One row as it is stored; `body` is canonical JSON."""

    seq: int
    prev_hash: str
    hash: str
    kind: str
    utc_us: int
    mono_ns: int
    boot_id: str
    patient: str | None
    session_id: str | None
    body: str

    @property
    def moment(self) -> Moment:
        return Moment(utc_us=self.utc_us, mono_ns=self.mono_ns, boot_id=self.boot_id)

    def content(self) -> Body:
        """The body as a value. Raises LedgerDamaged."""
        try:
            return _BODY.decode(self.body)
        except (msgspec.DecodeError, ValueError) as error:
            raise LedgerDamaged(f"row {self.seq} cannot be understood ({error})", "ledger", "Run `atmsd ledger verify`.") from error


_BODY: msgspec.json.Decoder[Body] = msgspec.json.Decoder(Body)


def make_row(*, seq: int, prev_hash: str, patient: str | None, session_id: str | None, body: Body, moment: Moment) -> Row:
    """The next row of the chain."""
    text = canonical_json(body)
    kind = str(body.__struct_config__.tag).partition(".")[0]
    row = Row(
        seq=seq,
        prev_hash=prev_hash,
        hash="",
        kind=kind,
        utc_us=moment.utc_us,
        mono_ns=moment.mono_ns,
        boot_id=moment.boot_id,
        patient=patient,
        session_id=session_id,
        body=text,
    )
    return msgspec.structs.replace(row, hash=row_hash(row))


def row_hash(row: Row) -> str:
    """SHA-256, hex, over the previous row's hash (64 hex characters) followed by this row without its hashes as canonical JSON."""
    entry = _Hashed(msgspec.Raw(row.body), row.boot_id, row.kind, row.mono_ns, row.patient, row.seq, row.session_id, row.utc_us)
    return hashlib.sha256(row.prev_hash.encode() + _ENCODER.encode(entry)).hexdigest()


class _Hashed(msgspec.Struct, frozen=True, gc=False):
    """What a row's hash covers; fields stand in alphabetical order, as canonical JSON has them."""

    body: msgspec.Raw
    boot_id: str
    kind: str
    mono_ns: int
    patient: str | None
    seq: int
    session_id: str | None
    utc_us: int


_ENCODER = msgspec.json.Encoder()


def canonical_json(value: object) -> str:
    """UTF-8 JSON with sorted keys and no white space."""
    return msgspec.json.encode(value, order="sorted").decode()


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
