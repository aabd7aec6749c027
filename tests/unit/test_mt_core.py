"""The search for the motor threshold over its channels and the record: what is written before what is sent, and what when neither works."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import msgspec

from daemon import ipc
from daemon.alarms import Alarms
from daemon.day import DoseReason
from daemon.ledger import CloseState, Intended, Intent, Opened, OpenRequest, Refused
from daemon.limits import Limits, threshold_limits
from daemon.messages import AlarmBody
from daemon.mt_chair import HuntAsked, Step
from daemon.mt_core import ThresholdCore
from daemon.mt_values import Evidence, MotorThresholdRecord
from daemon.mt_words import Answer, Confirm, HotspotFound, Phase, PulseWanted, Seen, Setup, WaitingAnswer
from daemon.purpose import Purpose
from daemon.session_words import ArmAsked, CloseAsked, Tick
from daemon.train_account import zero_receipt
from tests.mt_cases import setup
from tests.muscles import muscle

DEADLINE_S = 10.0
LIMITS: Limits = threshold_limits((), "Etc/UTC")
TICK = Tick(device_ready=True)


class Book:
    """A record that only remembers, in order, what it was asked; `refuses` the intents."""

    chair = "chair"

    def __init__(self) -> None:
        self.entries: list[tuple[str, object]] = []
        self.refuses: Refused | None = None
        self.trouble: str | None = None
        self.last: MotorThresholdRecord | None = None

    async def latest_threshold(self, _patient: str) -> MotorThresholdRecord | None:
        return self.last

    async def verdict(self, _patient: str, _pulses: int, _limits: Limits) -> SimpleNamespace:
        return SimpleNamespace(mt_pulses_today=12)

    async def open_request(self, request: OpenRequest) -> Opened | Refused:
        self.entries.append(("open", request))
        return Opened(session_id="S", lease_token=3)

    async def intend_train(self, intent: Intent, _limits: Limits) -> Intended | Refused:
        self.entries.append(("intend", intent))
        return self.refuses or Intended(seq=1)

    async def receive(self, receipt: ipc.Receipt, session_id: str) -> str | None:
        self.entries.append(("receipt", (receipt, session_id)))
        return self.trouble

    async def close_session(self, session_id: str, state: CloseState, why: str) -> None:
        self.entries.append(("close", (session_id, state, why)))

    async def save_threshold(self, record: MotorThresholdRecord) -> None:
        self.entries.append(("save", record))

    async def ungranted(self, session_id: str | None, patient: str | None, pulses: int, _at_ns: int) -> None:
        self.entries.append(("ungranted", (session_id, patient, pulses)))

    def all(self, kind: str) -> list[object]:
        return [body for name, body in self.entries if name == kind]


class Eye:
    """A muscle whose answer the test has set."""

    def __init__(self) -> None:
        self.seen = Seen.RESPONSE
        self.asked: list[tuple[int, int]] = []

    async def answer(self, sent_ns: int, told_ns: int) -> Seen:
        self.asked.append((sent_ns, told_ns))
        return self.seen


class Chair:
    """A search, the test in the place of the hot process, and the operator's acts."""

    def __init__(self, eye: Eye | None = None) -> None:
        self.book, self.used, self.alarms = Book(), [(0, 0)], list[AlarmBody]()
        self.did: list[str] = []
        (ours, theirs), (ours_too, theirs_too) = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
        self.orders: ipc.Channel[ipc.ToHotOrder] = ipc.Channel(theirs, ipc.ToHotOrder)
        self.beats: ipc.Channel[ipc.ToHotBeat] = ipc.Channel(theirs_too, ipc.ToHotBeat)
        self.own = (ipc.Channel[ipc.HotBeat](ours_too, ipc.HotBeat), ipc.Channel[ipc.FromHotOrder](ours, ipc.FromHotOrder))
        self.changed = asyncio.Event()
        self.core = ThresholdCore(
            *self.own,
            self.book,  # type: ignore[arg-type]  # a record as far as a search knows it
            Alarms(self.alarms.append),
            eye,
            self._use,
            self.changed.set,
            lambda: self.did.append("beat"),
        )
        self.core.run_id = "run"

    async def __aenter__(self) -> "Chair":
        self._ledger = asyncio.create_task(self.core.run_ledger())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ledger.cancel()
        for channel in (self.orders, self.beats, *self.own):
            channel.end.close()

    def _use(self, arm_no: int, grant_no: int) -> None:
        self.used.append((arm_no, grant_no))
        self.did.append(f"used {self.step}")

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self.core.happen(TICK)
                await asyncio.sleep(0)

    def hear(self, fact: ipc.FromHotOrder) -> None:
        assert self.core.hear(fact)

    async def armed(self, **changes: object) -> "Chair":
        """Open with pulses that need not wait, and armed."""
        given: Setup = setup(min_interval_ns=1, **changes)
        self.core.begin(given, LIMITS, "S-1", 4, 7, 12)
        await self.until(lambda: self.step is Step.OPEN)
        self.core.happen(ArmAsked())
        (arm,) = self.orders.drain()
        self.confirm_arm(arm)
        return self

    def confirm_arm(self, arm: ipc.ToHotOrder) -> None:
        """The device is charged."""
        assert isinstance(arm, ipc.Arm)
        self.arm = arm
        self.hear(ipc.ArmState(arm_no=arm.arm_no, armed=True, stopped=False, why=""))

    @property
    def step(self) -> Step:
        assert self.core.search is not None
        return self.core.search.step

    @property
    def phase(self) -> Phase:
        assert self.core.search is not None
        return self.core.search.hunt.phase

    async def granted(self) -> ipc.Grant:
        """The next grant, once it has come."""
        grants: list[ipc.ToHotOrder] = []

        def came() -> bool:
            grants.extend(self.orders.drain())
            return bool(grants)

        await self.until(came)
        (grant,) = grants
        assert isinstance(grant, ipc.Grant)
        return grant

    def give(self, grant: ipc.Grant) -> None:
        """The hot process gives it at once."""
        now_ns = time.monotonic_ns()
        self.hear(ipc.TrainStarted(grant_no=grant.grant_no, train=grant.train, at_ns=now_ns))
        whole = {"pulses": 1, "broken": False, "first_ns": now_ns + 20, "last_ns": now_ns + 20}
        self.hear(msgspec.structs.replace(zero_receipt(grant, ()), **whole))

    async def pulse(self, amplitude_mso: int) -> ipc.Grant:
        self.core.happen(HuntAsked(event=PulseWanted(amplitude_mso=amplitude_mso)))
        grant = await self.granted()
        self.give(grant)
        return grant

    async def answer(self, responded: bool) -> None:
        await self.until(lambda: self.core.search is not None and isinstance(self.core.search.hunt.waiting, WaitingAnswer))
        assert self.core.search is not None
        waiting = self.core.search.hunt.waiting
        assert waiting is not None
        self.core.happen(HuntAsked(event=Answer(number=waiting.number, responded=responded)))


def at_chair(act: Callable[[Chair], Awaitable[None]], eye: Eye | None = None) -> None:
    async def play() -> None:
        async with Chair(eye) as chair:
            await act(chair)

    asyncio.run(play())


def test_the_planned_pulses_are_reserved_as_single_ones_and_the_arm_is_the_strongest_of_them() -> None:
    async def play(chair: Chair) -> None:
        await chair.armed(most_mso=80, evidence=Evidence.VISUAL)
        (request,) = chair.book.all("open")
        assert isinstance(request, OpenRequest)
        assert (request.purpose, request.protocol, request.planned_pulses, request.rmt_mso) == (Purpose.MT, "mt", 150, None)
        assert request.train_gap_ns == round(LIMITS.min_mt_pulse_interval_s * 1e9)
        assert chair.arm.purpose is Purpose.MT
        assert (chair.arm.settings.amplitude_pct_mso, chair.arm.settings.pulses) == (80, 1)
        assert chair.arm.arm_no == 5

    at_chair(play)


def test_an_arm_is_told_with_a_beat_of_its_own_that_knows_it_is_being_given() -> None:
    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.VISUAL)
        assert chair.did[chair.did.index("beat") - 1] == "used arming"

    at_chair(play)


def test_every_pulse_is_in_the_ledger_before_its_grant_leaves_and_its_receipt_follows() -> None:
    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.VISUAL)
        grant = await chair.pulse(45)
        assert [name for name, _ in chair.book.entries] == ["open", "intend"]
        (intent,) = chair.book.all("intend")
        assert isinstance(intent, Intent)
        assert (intent.grant_no, intent.pulses, intent.amplitude_pct) == (grant.grant_no, 1, 45)
        assert (intent.not_before_ns, intent.expires_ns) == (grant.not_before_ns, grant.expires_ns)
        assert (grant.purpose, grant.run_id, grant.arm_no, grant.settings.amplitude_pct_mso) == (Purpose.MT, "run", 5, 45)
        assert grant.gap_ns == round(LIMITS.min_mt_pulse_interval_s * 1e9)
        await chair.answer(True)
        await chair.core.settled()
        assert [name for name, _ in chair.book.entries] == ["open", "intend", "receipt"]
        assert chair.used[-1] == (5, grant.grant_no)

    at_chair(play)


def test_a_receipt_of_another_run_is_kept_and_ends_no_pulse_of_this_one() -> None:
    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.VISUAL)
        chair.core.happen(HuntAsked(event=PulseWanted(amplitude_mso=45)))
        grant = await chair.granted()
        chair.hear(msgspec.structs.replace(zero_receipt(grant, ()), run_id="an earlier run"))
        await chair.core.settled()
        assert [name for name, _ in chair.book.entries] == ["open", "intend", "receipt"]
        assert chair.core.search is not None
        assert chair.core.search.pending is not None

    at_chair(play)


def test_a_pulse_that_the_ledger_refuses_is_never_granted_and_ends_the_search() -> None:
    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.VISUAL)
        chair.book.refuses = Refused(reasons=(DoseReason.MT_PULSES,), earliest_utc_us=None)
        chair.core.happen(HuntAsked(event=PulseWanted(amplitude_mso=40)))
        await chair.until(lambda: chair.step is Step.CLOSED)
        assert chair.orders.drain() == []
        assert [type(beat) for beat in chair.beats.drain()] == [ipc.StopNow]
        assert chair.book.all("close") == [("S", CloseState.ABORTED, "the ledger refused: MT_PULSES")]

    at_chair(play)


def test_a_whole_search_ends_with_a_closed_session_and_is_kept_only_once_it_is_confirmed() -> None:
    async def play(chair: Chair) -> None:
        responds = muscle(47.0, 5)
        await chair.armed(evidence=Evidence.VISUAL)
        await chair.pulse(50)
        await chair.answer(True)
        chair.core.happen(HuntAsked(event=HotspotFound()))
        while chair.phase is Phase.HUNT:
            grant = await chair.granted()
            chair.give(grant)
            await chair.answer(responds(grant.settings.amplitude_pct_mso))
        await chair.until(lambda: chair.step is Step.CLOSED)
        assert chair.book.all("save") == []
        assert chair.book.entries[-1][0] == "close"
        assert chair.book.all("close") == [("S", CloseState.COMPLETE, "confirm")]
        assert len(chair.book.all("intend")) == len(chair.book.all("receipt")) > 10
        chair.core.happen(HuntAsked(event=Confirm(by="A", utc_us=1_800_000_000_000_000)))
        await chair.core.settled()
        (saved,) = chair.book.all("save")
        assert isinstance(saved, MotorThresholdRecord)
        assert 40.0 < saved.value_mso < 54.0

    at_chair(play)


def test_a_hot_process_that_does_not_listen_settles_the_intent_with_nothing() -> None:
    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.VISUAL)
        chair.orders.end.close()
        chair.core.happen(HuntAsked(event=PulseWanted(amplitude_mso=40)))
        await chair.until(lambda: bool(chair.book.all("receipt")))
        ((receipt, session_id),) = chair.book.all("receipt")  # type: ignore[misc]
        assert (receipt.pulses, session_id) == (0, "S")  # type: ignore[has-type]

    at_chair(play)


def test_the_muscles_signal_is_asked_between_start_and_report_and_nobody_else() -> None:
    eye = Eye()

    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.EMG)
        await chair.pulse(50)
        await chair.until(lambda: chair.core.search is not None and chair.core.search.hunt.responded_mso == 50)
        ((sent_ns, told_ns),) = eye.asked
        assert told_ns - sent_ns == 20

    at_chair(play, eye)


def test_a_signal_that_cannot_decide_asks_the_operator() -> None:
    eye = Eye()
    eye.seen = Seen.UNDECIDED

    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.EMG)
        await chair.pulse(50)
        await chair.answer(True)
        assert chair.core.search is not None
        assert chair.core.search.hunt.responded_mso == 50

    at_chair(play, eye)


def test_a_pulse_without_a_grant_is_entered_for_the_searchs_patient_and_stops_everything() -> None:
    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.VISUAL)
        chair.hear(ipc.Ungranted(pulses=5, at_ns=time.monotonic_ns()))
        await chair.core.settled()
        assert chair.book.all("ungranted") == [("S", "P001", 5)]
        assert ipc.StopNow(why="uncommanded pulse") in chair.beats.drain()
        assert chair.phase is Phase.ABORTED

    at_chair(play)


def test_receipts_that_differ_from_their_intent_are_an_alarm() -> None:
    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.VISUAL)
        chair.book.trouble = "receipt of grant 8: more pulses than intended"
        await chair.pulse(40)
        await chair.core.settled()
        assert [alarm.id for alarm in chair.alarms] == ["pulse_count_wrong"]

    at_chair(play)


def test_control_that_is_lost_ends_the_search_and_closes_the_session() -> None:
    async def play(chair: Chair) -> None:
        await chair.armed(evidence=Evidence.VISUAL)
        chair.core.happen(HuntAsked(event=PulseWanted(amplitude_mso=40)))
        await chair.granted()
        chair.core.hot_lost()
        await chair.until(lambda: chair.step is Step.CLOSED)
        assert chair.book.all("receipt") == []
        assert chair.book.all("close") == [("S", CloseState.PARTIAL, "control lost")]
        assert not chair.core.is_open

    at_chair(play)


def test_facts_are_left_to_others_while_no_search_is_open() -> None:
    async def play(chair: Chair) -> None:
        assert not chair.core.hear(ipc.ArmState(arm_no=1, armed=True, stopped=False, why=""))
        await chair.armed(evidence=Evidence.VISUAL)
        assert not chair.core.hear(ipc.Hello(run_id="run"))
        chair.core.happen(CloseAsked())
        await chair.until(lambda: chair.step is Step.CLOSED)
        assert not chair.core.hear(ipc.ArmState(arm_no=5, armed=False, stopped=True, why=""))

    at_chair(play)
