"""The daemon process: builds every part, hands each what it needs, and runs them in one task group until told to leave.

It beats for the hot process from the very loop that runs the session: when this loop hangs, the beats cease and the hot process
makes safe.
"""

import argparse
import asyncio
import contextlib
import importlib.metadata
import signal
import sys
import time
from pathlib import Path
from typing import cast

import structlog

from daemon import ipc
from daemon.alarms import Alarms, utc_text
from daemon.bus import Bus, BusUnavailable
from daemon.bus_requests import Call
from daemon.calibration_files import History
from daemon.calibrations import Calibrations
from daemon.calibrator import Calibrator
from daemon.chair_memory import ChairMemory
from daemon.commands import Commands
from daemon.config import Config, chair_file, load_config
from daemon.core import Core
from daemon.ledger import LedgerError
from daemon.lifeline import Lifeline, Note
from daemon.lsl_face import LslFace
from daemon.messages import ALARM_TOPIC, AlarmBody, CalibrationBody, Error, Message, Priority, Step
from daemon.mt_chair import Step as SearchStep
from daemon.mt_core import ThresholdCore
from daemon.muscle import muscle_of
from daemon.record import Record
from daemon.registrar import Registrar
from daemon.registration_store import RegistrationStore
from daemon.registration_telling import registration_body
from daemon.session_words import CloseAsked, HoldAsked, PulsesSought, StopAsked, Tick
from daemon.telling import Telling
from drivers.values import StimState

BEAT_S = 0.05
CLOCK_S = 5.0
HEARTBEAT_NS = 500_000_000
TELL_NS = 250_000_000
SLOW_TURN_NS = 100_000_000  # a turn of the loop that takes this long is logged by name
LINGER_S = 1.5  # after the hot process is lost, for clients to read the alarm
SETTLE_S = 3.0
SUPERVISOR_NS = 2_000_000_000
EX_OK, EX_UNAVAILABLE, EX_SOFTWARE, EX_IO = 0, 69, 70, 74
_log = structlog.get_logger()


class Leave(Exception):
    """Ends the task group in order."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


class App:
    """All parts of the daemon process."""

    def __init__(self, config: Config, args: argparse.Namespace) -> None:
        self._config = config
        self._beats: ipc.Channel[ipc.HotBeat] = ipc.channel_from_fd(args.beats_fd, ipc.HotBeat)
        self._orders: ipc.Channel[ipc.FromHotOrder] = ipc.channel_from_fd(args.orders_fd, ipc.FromHotOrder)
        self._news: ipc.Channel[ipc.FromHotNews] = ipc.channel_from_fd(args.news_fd, ipc.FromHotNews)
        self._life = Lifeline(args.life_fd)
        self._found = str(args.found)
        epoch, version = time.time_ns() // 1_000_000, importlib.metadata.version("atmsd")
        self.bus = Bus(
            config.network,
            chair=config.chair.name,
            version=version,
            epoch=epoch,
            clock=time.monotonic_ns,
            utc=lambda: utc_text(time.time()),
            state_rev=lambda: self.core.state.rev,
            dispatch=self._dispatch,
        )
        self.telling = Telling(self.bus, config.chair.name, config.tracker.kind)
        self.alarms = Alarms(self._tell_alarm)
        self.record = Record.open(config, self._on_ledger_trouble)
        self.calibrations = Calibrations(config, History(chair_file(config, "calibration")), time.time)
        self.calibrator = Calibrator(self.calibrations, self._tell_calibration, time.monotonic_ns)
        self.registrar = Registrar(config, self.calibrations, self._registration_store(), self._tell_registration)
        self.memory = ChairMemory(chair_file(config, "state.json"), config.site.timezone)
        self.core = Core(self._beats, self._orders, self.record, self.alarms, self._tell_state, self._beat_now)
        self.threshold = ThresholdCore(
            self._beats,
            self._orders,
            self.record,
            self.alarms,
            muscle_of(config),
            self._pulses_sought,
            self._tell_threshold,
            self._beat_now,
        )
        self.commands = Commands(
            config,
            self.core,
            self.record,
            self.registrar,
            self.telling,
            self.alarms,
            self.memory,
            self._orders,
            self.threshold,
            self.calibrations,
            self.calibrator,
        )
        self.lsl = LslFace(
            config.lsl, config.chair.name, version, self.core, self.threshold, self.telling, self.commands, self.record
        )
        self._hot_heard_ns: int | None = None
        self._suspicion: str | None = None
        self._leave = asyncio.Event()
        self._next_hb_ns = self._next_tell_ns = 0
        self._step_told = Step.PLAN

    def _registration_store(self) -> RegistrationStore:
        config = self._config
        return RegistrationStore(
            lambda day: chair_file(config, f"registration-{day}.jsonl"),
            config.chair.name,
            importlib.metadata.version("atmsd"),
            config.site.timezone,
            time.time_ns,
        )

    async def _dispatch(self, call: Call) -> Message | Error:
        return await self.commands.dispatch(call)

    # ---- running ----

    async def run(self) -> int:
        self.bus.bind()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._leave.set)
        code = EX_OK
        try:
            await self._recover()
            await self.lsl.start()
            for channel, read in ((self._beats, self._on_beats), (self._orders, self._on_orders), (self._news, self._on_news)):
                loop.add_reader(channel.fileno(), read)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.bus.run())
                tasks.create_task(self.core.run_ledger())
                tasks.create_task(self.core.run_lease())
                tasks.create_task(self.threshold.run_ledger())
                tasks.create_task(self.threshold.run_lease())
                tasks.create_task(self.calibrator.run())
                tasks.create_task(self._beat())
                tasks.create_task(self._watch_clock())
                tasks.create_task(self._watch_end())
        except* Leave as group:
            leave = cast(Leave, group.exceptions[0])
            _log.info("leaving", why=leave.why)
            code = leave.code
        finally:
            for channel in (self._beats, self._orders, self._news):
                loop.remove_reader(channel.fileno())
            self.lsl.close()
            self.record.close()
        return code

    async def _recover(self) -> None:
        """Before anything else: what an earlier run left open counts, and is closed."""
        for closed in await self.record.recover():
            text = f"session {closed.session_id} was found open and closed: {closed.counted_pulses} pulses count"
            self.alarms.raise_("session_recovered", Priority.MEDIUM, text, "Check the dose record.")
        if await self.record.rewound():
            text = "the ledger is not the one that this chair last saw: nothing starts until two people reconcile it"
            self.alarms.raise_("ledger_rewound", Priority.HIGH, text, "Call the engineer.")
        words = [word for word in self._found.split(",") if word in ("enabled", "running")]
        if words:
            text = f"the stimulator was found {' and '.join(words)} at the start and was disarmed"
            self.alarms.raise_("found_armed", Priority.HIGH, text, "Check what it gave before.")
        self._tell_state()
        self.calibrator.tell()

    async def _beat(self) -> None:
        """Beats, clocks and what is due, twenty times a second."""
        last_ns = time.monotonic_ns()
        while True:
            now_ns = time.monotonic_ns()
            if now_ns - last_ns > SLOW_TURN_NS + round(BEAT_S * 1e9):
                _log.warning("slow_turn", ms=round((now_ns - last_ns) / 1e6))
            last_ns = now_ns
            self._send_beat(now_ns)
            self._watch_operator()
            stim = self.telling.stim
            tick = Tick(device_ready=stim is not None and stim.state is StimState.READY)
            self.core.happen(tick)
            self.threshold.happen(tick)
            self._tell_due(now_ns)
            await asyncio.sleep(BEAT_S)

    def _beat_now(self) -> None:
        self._send_beat(time.monotonic_ns())

    def _send_beat(self, now_ns: int) -> None:
        self._life.beat(now_ns)
        self._beats.send(
            ipc.DaemonBeat(
                made_ns=now_ns,
                operator_present=self.commands.operator is not None,
                hardware_stop_tested=self.memory.hardware_stop_tested(time.time()),
                stop_inputs_clear=not self.core.state.stop_latched,
            )
        )

    def _watch_operator(self) -> None:
        if self.commands.operator is not None:
            return
        self.calibrator.cancel()
        if self.core.state.step is Step.DELIVER:
            self.core.happen(HoldAsked(why=("operator_absent",)))
        if self.threshold.is_armed:
            self.threshold.happen(StopAsked(why="operator absent"))

    def _tell_due(self, now_ns: int) -> None:
        self.telling.tell_loss(now_ns)
        self.telling.tell_stats(now_ns)
        if now_ns >= self._next_tell_ns:
            self._next_tell_ns = now_ns + TELL_NS
            self._tell_state()
        if now_ns >= self._next_hb_ns:
            self._next_hb_ns = now_ns + HEARTBEAT_NS
            self.telling.tell_heartbeat(self.core.state, self.commands.operator, self._hot_heard_ns, now_ns)

    async def _watch_clock(self) -> None:
        """Judge the wall clock now and then, so that a step is told before anybody asks for a session."""
        while True:
            with contextlib.suppress(LedgerError):  # told by the record
                self._tell_clock(await self.record.look_at_clock())
            await asyncio.sleep(CLOCK_S)

    async def _watch_end(self) -> None:
        """Notice the supervisor's and the hot process's end, and our own order to leave."""
        while not self._leave.is_set():
            if self._life.listen():
                self._stop("supervisor lost")
                await self._settle()
                raise Leave(EX_SOFTWARE, "the supervisor is gone")
            if self._beats.closed or self._orders.closed:
                await self._outlive_hot()
            heard_ns = self._life.heard_ns
            late = heard_ns is not None and time.monotonic_ns() - heard_ns > SUPERVISOR_NS
            if late and (self.core.state.armed or self.threshold.is_armed):
                self._stop("supervisor late")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leave.wait(), BEAT_S)
        await self._close_in_order()
        raise Leave(EX_OK, "asked to")

    async def _outlive_hot(self) -> None:
        """No receipt will come any more: count in full, say so, leave."""
        self.core.hot_lost()
        self.threshold.hot_lost()
        await self._settle()
        deadline = time.monotonic() + LINGER_S
        while time.monotonic() < deadline and self._life.note is None and not self._life.listen():
            await asyncio.sleep(BEAT_S)
        if self._life.note is Note.DISARMED:
            self.alarms.raise_("disarmed", Priority.MEDIUM, "the supervisor has disarmed the stimulator, confirmed", "Start control again.")
        else:
            remedy = "Lift the coil off, then press red button."
            self.alarms.raise_("disarm_unconfirmed", Priority.HIGH, "nothing confirms that the stimulator is off", remedy)
        self._tell_state()
        await asyncio.sleep(LINGER_S)
        raise Leave(EX_SOFTWARE, "the hot process is gone")

    async def _close_in_order(self) -> None:
        """Told to leave: stop, wait for the receipts, close the session as partial."""
        self._stop("control ends")
        await self.core.until(lambda: self.core.state.pending is None, SETTLE_S)
        self.core.happen(CloseAsked())
        self.threshold.happen(CloseAsked())
        await self.core.until(lambda: self.core.state.session_id is None and not self.threshold.is_open, SETTLE_S)
        await self._settle()

    def _stop(self, why: str) -> None:
        self.core.happen(StopAsked(why=why))
        self.threshold.happen(StopAsked(why=why))

    async def _settle(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(self.core.settled(), self.threshold.settled()), SETTLE_S)

    # ---- hearing ----

    def _on_beats(self) -> None:
        for beat in self._beats.drain():
            self._hot_heard_ns = beat.made_ns
        self._unread(self._beats)

    def _on_orders(self) -> None:
        for packet in self._orders.drain():
            if isinstance(packet, ipc.BurstPlaced):
                self.telling.tell_pulses(packet)
                continue
            self.lsl.heard(packet)
            if not self.threshold.hear(packet):
                self.core.hear(packet)
            if isinstance(packet, ipc.Hello):
                self.threshold.run_id = packet.run_id
                self.commands.hand_over_calibration()
                self.commands.send_aim()
        self._unread(self._orders)

    def _on_news(self) -> None:
        now_ns = time.monotonic_ns()
        for item in self._news.drain():
            match item:
                case ipc.FrameNews():
                    self.telling.on_frame(item, now_ns)
                    self.registrar.frame(item)
                    self.calibrator.frame(item)
                case ipc.GateNews():
                    self.telling.gate = item
                    self.telling.tell_gate(self.core.state, now_ns)
                    if item.firing:
                        self.telling.tell_train(self.core.state, now_ns)
                case ipc.StimNews():
                    self.telling.on_stim(item, now_ns)
                    self.lsl.stimulator(item)
                case ipc.TrackerNews():
                    self.telling.on_tracker(item)
                case ipc.ClockNews():
                    self.telling.stats.on_clock(item)
        self._unread(self._news)

    def _unread(self, channel: ipc.Channel[ipc.HotBeat] | ipc.Channel[ipc.FromHotOrder] | ipc.Channel[ipc.FromHotNews]) -> None:
        """A closed channel stays readable for ever: look away from it."""
        if channel.closed:
            asyncio.get_running_loop().remove_reader(channel.fileno())

    # ---- telling ----

    def _tell_state(self) -> None:
        now_ns, state = time.monotonic_ns(), self.core.state
        tested = self.memory.hardware_stop_tested(time.time())
        self.telling.tell_session(state, self.core.treatment, tested, now_ns)
        self.lsl.session()
        self.telling.tell_gate(state, now_ns)
        self.telling.tell_train(state, now_ns)

    def _tell_threshold(self) -> None:
        if self.threshold.search is not None:
            self.telling.tell_threshold(self.threshold.search, self.threshold.pulses_before, self.threshold.limits)
        self.core.announce()

    def _pulses_sought(self, arm_no: int, grant_no: int) -> None:
        cleared = self.threshold.search is not None and self.threshold.search.step is SearchStep.ARMING
        self.core.happen(PulsesSought(arm_no=arm_no, grant_no=grant_no, cleared=cleared))

    def _tell_alarm(self, alarm: AlarmBody) -> None:
        self.bus.publish(ALARM_TOPIC + alarm.id, alarm, severity=alarm.priority if alarm.active else Priority.NONE)

    def _tell_clock(self, suspicion: str | None) -> None:
        if suspicion == self._suspicion:
            return
        self._suspicion = suspicion
        if suspicion is None:
            self.alarms.clear("clock_suspect")
        else:
            remedy = "Check the time source; two people then confirm the clock with `atmsd ledger confirm-clock`."
            self.alarms.raise_("clock_suspect", Priority.LOW, f"{suspicion}: no session starts", remedy)

    def _tell_calibration(self, body: CalibrationBody) -> None:
        is_in_use = not any(tool.refused for tool in body.in_use)
        self.bus.publish("v1/calibration", body, severity=Priority.NONE if is_in_use else Priority.LOW)

    def _tell_registration(self) -> None:
        body = registration_body(self.registrar)
        slipped = body.check is not None and body.check.slipped
        self.bus.publish("v1/registration", body, severity=Priority.MEDIUM if slipped else Priority.NONE)
        if self.registrar.maybe_moved:
            self.alarms.raise_("reference_maybe_moved", Priority.LOW, "the head tracker jumped while the coil stayed", "Touch the nose.")
        else:
            self.alarms.clear("reference_maybe_moved")

    def _on_ledger_trouble(self, text: str | None) -> None:
        if text is None:
            self.alarms.clear("ledger_unreachable")
        else:
            self.alarms.raise_("ledger_unreachable", Priority.MEDIUM, text, "Wait a moment, or call the engineer.")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m daemon.app")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--found", default="none")
    for name in ("beats", "orders", "news", "life"):
        parser.add_argument(f"--{name}-fd", type=int, required=True)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's to answer
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        config = load_config(args.config)
        app = App(config, args)
        return asyncio.run(app.run())
    except LedgerError as error:
        _log.error("ledger_unavailable", what=str(error))
        return EX_IO
    except BusUnavailable as error:
        _log.error("network_unavailable", what=str(error))
        return EX_UNAVAILABLE
    except Exception:  # noqa: BLE001  # the top of the daemon: one line of log, never a trace at an operator
        _log.exception("daemon_failed")  # the hot process makes safe: our channels close with us
        return EX_SOFTWARE


if __name__ == "__main__":
    sys.exit(main())
