"""Holds a chair's dose record against what its stimulator truly did, after each life. Every fault is a sentence; none is the aim.

Reads rows and counts of the ledger, and the simulator's own log; knows nothing of what was done to the chair but when.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daemon.ledger import CloseState, Intent, IntentMade, ReceiptTaken, Row, SessionClosed, SessionOpened
from daemon.ledger_store import Ledger
from daemon.purpose import Pacing
from tests.campaign import chair
from tests.campaign.family import MAGVENTURE, MS, Family

START_LATE_NS = 600 * MS  # from the expiry of a grant to its first pulse: start byte, reply delay, a loaded machine
WALL_TOLERANCE_NS = 2_000 * MS  # of a grant, as the product states it
STEP_RACE_NS = 300 * MS  # a clock stepped so shortly before a pulse came after the decision
BEAT_AGE_NS = 600 * MS  # no train begins on a beat older than 200 ms; the rest is the loaded machine's
EVENT_EARLY_NS = 1 * MS


@dataclass(slots=True)
class Known:
    """What was done to a chair, as far as the record may show it: when its wall clock was stepped, and when its daemon stood still."""

    steps_ns: list[int] = field(default_factory=list)
    silences_ns: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TrueTrain:
    """Pulses that belong together, as the device gave them."""

    number: int | None
    pulses_ns: tuple[int, ...]
    amplitudes_pct: frozenset[int]

    @property
    def first_ns(self) -> int:
        return self.pulses_ns[0]

    @property
    def last_ns(self) -> int:
        return self.pulses_ns[-1]


@dataclass(frozen=True, slots=True)
class Granted:
    """One intent as its row has it, and what was given under it."""

    intent: Intent
    row: Row
    patient: str
    truth: TrueTrain | None = None

    @property
    def wall_offset_ns(self) -> int:
        return self.row.utc_us * 1000 - self.row.mono_ns


@dataclass(frozen=True, slots=True)
class Findings:
    faults: tuple[str, ...]
    given: int
    counted: int


def true_trains(truth: Path, family: Family = MAGVENTURE) -> tuple[list[TrueTrain], bool | None]:
    """Trains in the order in which they were given, and whether the device is enabled now."""
    facts = [json.loads(line) for line in truth.read_text().split("\n")[:-1]] if truth.exists() else []
    pulses = [fact for fact in facts if fact["kind"] == "pulse"]
    charges = [fact["kind"] == "enabled" for fact in facts if fact["kind"] in ("enabled", "disabled")]
    groups: list[list[dict[str, int]]] = []
    for pulse in pulses:
        last = groups[-1][-1] if groups else None
        if last is None or last["train"] != pulse["train"] or pulse["mono_ns"] - last["mono_ns"] > family.same_train_ns:
            groups.append([])
        groups[-1].append(pulse)
    trains = [
        TrueTrain(
            number=group[0]["train"],
            pulses_ns=tuple(pulse["mono_ns"] for pulse in group),
            amplitudes_pct=frozenset(pulse["amplitude_pct"] for pulse in group),
        )
        for group in groups
    ]
    return trains, charges[-1] if charges else None


def joined(first: TrueTrain, then: TrueTrain) -> TrueTrain:
    return TrueTrain(
        number=first.number,
        pulses_ns=(*first.pulses_ns, *then.pulses_ns),
        amplitudes_pct=first.amplitudes_pct | then.amplitudes_pct,
    )


class Audit:
    """One look at a chair's record beside the truth."""

    def __init__(self, ledger: Ledger, truth: Path, known: Known, family: Family = MAGVENTURE) -> None:
        self._family = family
        self._verified = ledger.verify()
        self._rows = ledger.rows()
        self._doses = ledger.doses()
        self._trains, self.is_enabled = true_trains(truth, family)
        self._known = known
        self._granted = self._matched()

    def findings(self, restarted_ns: int | None) -> Findings:
        """`restarted_ns`: when the life began that was the last to come up; what was open then must be closed."""
        parts = (self._chain(), self._counts(), self._moments(), self._receipts(), self._gaps(), self._limits(), self._closed(restarted_ns))
        given = sum(len(train.pulses_ns) for train in self._trains)
        return Findings(faults=tuple(itertools.chain(*parts)), given=given, counted=self._counted())

    def _counted(self) -> int:
        strays = sum(stray.pulses.count for stray in self._doses.strays)
        return strays + sum(session.counted_pulses for session in self._doses.sessions.values())

    def _matched(self) -> list[Granted]:
        """Each true train belongs to the last intent that was on disk when it began; a second one to nobody."""
        granted = [
            Granted(intent=body.intent, row=row, patient=str(row.patient))
            for row in self._rows
            if isinstance(body := row.content(), IntentMade)
        ]
        self._orphans = []
        for train in self._trains:
            before = [index for index, each in enumerate(granted) if each.row.mono_ns <= train.first_ns]
            each = granted[before[-1]] if before else None
            if each is None or (each.truth is not None and self._family.pacing is not Pacing.BURST):
                self._orphans.append(train)
                continue
            whole = train if each.truth is None else joined(each.truth, train)  # a host that was late has left bursts out between
            granted[before[-1]] = Granted(intent=each.intent, row=each.row, patient=each.patient, truth=whole)
        return granted

    # ---- what must hold ---------------------------------------------------------------------------------------------

    def _chain(self) -> Iterator[str]:
        if self._verified is not None:
            yield f"the chain breaks at row {self._verified}"

    def _counts(self) -> Iterator[str]:
        """Train by train and in all, never less than was given; where the device confirmed it, not more either."""
        for orphan in self._orphans:
            yield f"{len(orphan.pulses_ns)} pulses at {orphan.first_ns} under no intent of their own"
        for each in self._granted:
            given = 0 if each.truth is None else len(each.truth.pulses_ns)
            train = self._doses.sessions[each.intent.session_id].train(each.intent.run_id, each.intent.grant_no)
            counted = 0 if train is None else train.counted_pulses
            if given > counted:
                yield f"grant {each.intent.grant_no} of {each.intent.session_id}: {given} pulses given, {counted} counted"
            if given > each.intent.pulses:
                yield f"grant {each.intent.grant_no} of {each.intent.session_id}: {given} pulses given, {each.intent.pulses} intended"
        given = sum(len(train.pulses_ns) for train in self._trains)
        if given > self._counted():
            yield f"{given} pulses given, {self._counted()} counted in all"

    def _moments(self) -> Iterator[str]:
        """Each train within the window of its grant, at its amplitude, and not over a stepped clock."""
        for each in self._granted:
            if each.truth is None:
                continue
            intent, first_ns = each.intent, each.truth.first_ns
            name = f"grant {intent.grant_no} of {intent.session_id}"
            if not intent.not_before_ns <= first_ns <= intent.expires_ns + START_LATE_NS:
                yield f"{name} fired at {first_ns}, its window was {intent.not_before_ns} to {intent.expires_ns}"
            if each.truth.amplitudes_pct != {intent.amplitude_pct}:
                yield f"{name} fired at {sorted(each.truth.amplitudes_pct)} % instead of {intent.amplitude_pct}"
            if any(each.row.mono_ns < step_ns < first_ns - STEP_RACE_NS for step_ns in self._known.steps_ns):
                yield f"{name} fired although the clock was stepped since its intent"
            if any(from_ns + BEAT_AGE_NS < first_ns < until_ns for from_ns, until_ns in self._known.silences_ns):
                yield f"{name} began while the daemon had long stood still"

    def _receipts(self) -> Iterator[str]:
        """Pulse by pulse where there are receipts: as many as the device says, none reported before it was given."""
        taken = [body.receipt for row in self._rows if isinstance(body := row.content(), ReceiptTaken)]
        by_grant = {(each.intent.run_id, each.intent.grant_no): each for each in self._granted}
        for receipt in taken:
            each = by_grant.get((receipt.run_id, receipt.grant_no))
            if each is None or each.intent.session_id != receipt.session_id:
                continue  # one from the past: it settles nothing
            pulses_ns = () if each.truth is None else each.truth.pulses_ns
            name = f"receipt of grant {receipt.grant_no} of {receipt.session_id}"
            if receipt.pulses < len(pulses_ns):
                yield f"{name} says {receipt.pulses}, the device gave {len(pulses_ns)}"
            if receipt.confirmed and receipt.final and receipt.pulses != len(pulses_ns):
                yield f"{name} is confirmed for {receipt.pulses}, the device gave {len(pulses_ns)}"
            onsets_ns = pulses_ns[:: self._family.pulses_per_burst]
            for reported_ns, onset_ns in zip(receipt.pulse_mono_ns, onsets_ns, strict=False):
                if reported_ns < onset_ns - EVENT_EARLY_NS:
                    yield f"{name} has a burst at {reported_ns}, which was given at {onset_ns}"
            if pulses_ns and (receipt.last_mono_ns is None or receipt.last_mono_ns < pulses_ns[-1] - EVENT_EARLY_NS):
                yield f"{name} ends at {receipt.last_mono_ns}, the last pulse was given at {pulses_ns[-1]}"

    def _gaps(self) -> Iterator[str]:
        """Trains of a session, and sessions of a patient, keep apart."""
        fired = [each for each in self._granted if each.truth is not None]
        for earlier, later in itertools.combinations(fired, 2):
            assert earlier.truth is not None
            assert later.truth is not None
            pause_ns = later.truth.first_ns - earlier.truth.last_ns
            same_session = earlier.intent.session_id == later.intent.session_id
            same_patient_ns = round(chair.MIN_GAP_S * 1e9) if earlier.patient == later.patient else 0
            least_ns = self._family.train_gap_ns if same_session else same_patient_ns
            if pause_ns < least_ns:
                names = f"grants {earlier.intent.grant_no} and {later.intent.grant_no} of {later.intent.session_id}"
                yield f"{names} are {pause_ns / 1e6:.1f} ms apart, {least_ns / 1e6:.0f} is the least"

    def _limits(self) -> Iterator[str]:
        """A chair's lives all fall on one day, whatever its wall clock says."""
        for patient in {each.patient for each in self._granted}:
            mine = [each for each in self._granted if each.patient == patient and each.truth is not None]
            pulses = sum(len(each.truth.pulses_ns) for each in mine if each.truth is not None)
            sessions = {each.intent.session_id for each in mine}
            if pulses > self._family.pulses_a_day:
                yield f"{patient} got {pulses} pulses in a day, {self._family.pulses_a_day} are the most"
            if len(sessions) > chair.SESSIONS_A_DAY:
                yield f"{patient} got {len(sessions)} sessions in a day, {chair.SESSIONS_A_DAY} are the most"
            for session in sessions:
                given = sum(len(each.truth.pulses_ns) for each in mine if each.truth is not None and each.intent.session_id == session)
                if given > self._family.session_pulses:
                    yield f"session {session} gave {given} pulses, {self._family.session_pulses} were planned"

    def _closed(self, restarted_ns: int | None) -> Iterator[str]:
        """What was open when a life began was closed by its recovery, as partial."""
        if restarted_ns is None:
            return
        closings = {row.session_id: (row, body) for row in self._rows if isinstance(body := row.content(), SessionClosed)}
        for row in self._rows:
            if not isinstance(row.content(), SessionOpened) or row.mono_ns >= restarted_ns:
                continue
            if row.session_id not in closings:
                yield f"session {row.session_id} is still open after a restart"
                continue
            closing, body = closings[row.session_id]
            left_open = closing.mono_ns >= restarted_ns
            if left_open and not (body.recovered and body.state is CloseState.PARTIAL):
                yield f"session {row.session_id} was found open and closed as {body.state}, recovered {body.recovered}"
