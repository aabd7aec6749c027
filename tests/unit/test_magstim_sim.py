"""The simulated Magstim against what users of the real ones describe: answers to the byte, charges and trains to the moment."""

import itertools
import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.magstim_command_wire import (
    ARM,
    DISARM,
    FIRE,
    Ask,
    Command,
    DisableRemote,
    EnableRemote,
    SetChargeDelay,
    SetDuration,
    SetEnhanced,
    SetFrequency,
    SetHighResolution,
    SetInterval,
    SetPower,
    SetPowerB,
    SetPulses,
    UnlockCode,
    encode_command,
)
from drivers.magstim_wire import Ack, BadData, ChargeDelay, Conflict, Reply, decode_reply
from sim.fault_switches import switch
from sim.magstim_device import MagstimDevice
from sim.magstim_faults import MagstimFaults, damaged
from sim.magstim_settings import MADE_UP_UNLOCK
from tests.magstim_line import CODE, MS, START_NS, RememberedTruth

REPOSITORY = Path(__file__).parents[2]
STATUS, PARAMETERS = Ask(letter="x"), Ask(letter="\\")


class Bench:
    """A unit alone on a bench: commands in, whole frames out, time as told."""

    def __init__(self, model: str = "plus1", software: str = "9.0", unlock: str | None = MADE_UP_UNLOCK) -> None:
        self.truth = RememberedTruth()
        self.faults = MagstimFaults()
        self.device = MagstimDevice(self.truth, self.faults, START_NS, model=model, software=software, unlock=unlock)
        self.now_ns = START_NS

    def hear(self, data: bytes) -> bytes:
        """What is said to that, once all is said."""
        self.device.hear(data, self.now_ns)
        return self.run(40)

    def run(self, ms: float) -> bytes:
        end_ns = self.now_ns + round(ms * MS)
        said = b""
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, max(self.now_ns, self.device.next_ns))
            self.device.advance(self.now_ns)
            said += b"".join(self.device.take_frames(self.now_ns))
        return said

    def ask(self, *commands: Command) -> list[Reply]:
        return [decode_reply(self.hear(encode_command(command, self.device.dialect)), self.device.dialect) for command in commands]

    def control(self) -> None:
        code = CODE if self.device.dialect.needs_unlock else None
        assert isinstance(self.ask(EnableRemote(unlock=code))[0], Ack)

    def keep(self, ms: float) -> None:
        """Let time pass with a question every 300 ms."""
        for _ in range(round(ms / 300)):
            self.hear(encode_command(Ask(letter="F"), self.device.dialect))
            self.run(260)

    def make_ready(self, *settings: Command) -> None:
        self.control()
        assert not any(isinstance(reply, BadData | Conflict) for reply in self.ask(*settings, ARM))
        self.keep(1200)
        assert self.device.is_ready(self.now_ns)

    def pulses_ms(self) -> list[float]:
        """Relative to the first."""
        return [(at_ns - self.truth.pulses_ns[0]) / MS for at_ns in self.truth.pulses_ns]


TRAIN = (SetDuration(tenth_s=10), SetPower(pct=50), SetFrequency(tenth_hz=100), SetPulses(pulses=10))


@pytest.mark.parametrize(
    ("model", "software", "question", "answer"),
    [
        ("plus1", "9.0", "78 40 47", "78 09 78 00 01 05"),
        ("rapid", "9.0", "78 40 47", "78 09 38 00 00 46"),
        ("rapid", "5.0", "78", "3F"),
        ("plus1", "9.0", "4E 44 6D", "4E 56 39 2E 30 00 C4"),
        ("rapid", "9.0", "5C 40 63", "5C 09 38 30 33 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 31 9E"),
        ("200", "", "4A 40 75", "4A 09 30 33 30 30 30 30 30 30 30 F9"),
        ("rapid", "9.0", "46 40 79", "46 09 32 32 30 32 32 30 88"),
        ("rapid", "9.0", "0D", "3F"),
        ("200", "", "5C", "3F"),
        ("200", "", "4E", "3F"),
        ("bistim", "", "58 40 67", "58 09 32 6C"),
        ("rapid", "9.0", "45 41 79", "45 09 B1"),
        ("rapid", "9.0", "45 42 78", "45 53 67"),
        ("rapid", "9.0", "40 30 35 30 2A", "40 53 6C"),
        ("rapid", "9.0", "40 30 35 30 2B", "40 3F 80"),
        ("rapid", "9.0", "51 40 6E", "51 53 5B"),
        ("rapid", "8.0", "51 40 6E", "51 89 25"),
    ],
)
def test_fresh_unit_answers_to_the_byte(model: str, software: str, question: str, answer: str) -> None:
    bench = Bench(model, software)
    assert bench.hear(bytes.fromhex(question)).hex(" ").upper() == answer


@pytest.mark.parametrize(
    ("software", "lengths"),
    [("5.0", {"\\": 21}), ("8.0", {"\\": 22}), ("9.0", {"\\": 24, "x": 6, "o": 7}), ("11.0", {"\\": 24, "x": 6, "o": 8})],
)
def test_answers_have_the_lengths_that_clients_without_a_time_out_count_on(software: str, lengths: dict[str, int]) -> None:
    bench = Bench("rapid", software)
    for letter, length in lengths.items():
        assert len(bench.hear(encode_command(Ask(letter=letter), bench.device.dialect))) == length


def test_nothing_is_said_unasked_in_an_hour() -> None:
    assert Bench().run(3_600_000) == b""


def test_answer_takes_its_time_on_the_wire() -> None:
    bench = Bench()
    bench.device.hear(encode_command(PARAMETERS, bench.device.dialect), bench.now_ns)
    assert bench.run(28.0) == b""
    assert len(bench.run(0.2)) == 24


def test_a_unit_that_is_not_locked_takes_a_bare_request_and_any_code() -> None:
    for command in (EnableRemote(), EnableRemote(unlock=UnlockCode(b"cccc-bbbbbbbb-00"))):
        assert isinstance(Bench(unlock=None).ask(command)[0], Ack)


def test_wrong_code_and_bare_request_leave_a_locked_unit_locked() -> None:
    bench = Bench()
    assert bench.ask(EnableRemote(unlock=UnlockCode(b"cccc-bbbbbbbb-00"))) == [BadData(letter="Q")]
    assert bench.ask(EnableRemote()) == [Conflict(letter="Q")]
    bench.control()
    assert isinstance(bench.ask(EnableRemote())[0], Ack)


def test_settings_need_control_but_disarm_does_not() -> None:
    bench = Bench("rapid", "8.0")
    refused = bench.ask(SetPower(pct=1), SetFrequency(tenth_hz=1), SetPulses(pulses=1), SetDuration(tenth_s=1), ARM, FIRE, Ask(letter="I"))
    assert all(isinstance(reply, Conflict) for reply in refused)
    assert isinstance(bench.ask(DISARM)[0], Ack)


def test_status_in_an_acknowledgement_is_the_one_before_except_for_control() -> None:
    bench = Bench()
    bench.control()
    (armed,) = bench.ask(ARM)
    assert isinstance(armed, Ack)
    assert armed.status.standby
    (given_back,) = bench.ask(DisableRemote())
    assert isinstance(given_back, Ack)
    assert given_back.status.standby
    assert not given_back.status.remote
    assert not bench.device.armed


@pytest.mark.parametrize(("power", "ready_ms"), [(100, 1000), (60, 600), (10, 300)])
def test_charging_takes_ten_milliseconds_per_percent(power: int, ready_ms: int) -> None:
    bench = Bench()
    bench.control()
    bench.ask(SetPower(pct=power))
    bench.device.arm(bench.now_ns)
    assert not bench.device.is_ready(bench.now_ns + (ready_ms - 1) * MS)
    assert bench.device.is_ready(bench.now_ns + ready_ms * MS)


def test_power_falls_by_a_percent_in_a_tenth_of_a_second_and_pulses_meanwhile_are_refused() -> None:
    bench = Bench()
    bench.make_ready(SetPower(pct=50))
    bench.ask(SetPower(pct=40))
    assert bench.ask(FIRE) == [Conflict(letter="E")]
    bench.keep(1200)
    assert isinstance(bench.ask(FIRE)[0], Ack)
    assert bench.truth.amplitudes_pct == [40]


def test_pulse_comes_5_ms_after_the_first_bit_of_the_fire_command() -> None:
    bench = Bench()
    bench.make_ready(SetPower(pct=50))
    sent_ns = bench.now_ns
    bench.ask(FIRE)
    assert 5.0 < (bench.truth.pulses_ns[0] - sent_ns) / MS < 5.3


def test_single_pulses_that_come_within_a_second_are_acknowledged_and_swallowed() -> None:
    bench = Bench()
    bench.make_ready(SetPower(pct=50))
    for _ in range(5):
        bench.ask(FIRE)
        bench.run(110)
    assert len(bench.truth.pulses_ns) == 1
    bench.keep(600)
    bench.ask(FIRE)
    assert len(bench.truth.pulses_ns) == 2


def test_train_has_its_pulses_at_its_rate_then_half_a_second_of_waiting() -> None:
    bench = Bench()
    bench.make_ready(*TRAIN)
    bench.ask(FIRE)
    assert bench.device.rapid_status(bench.now_ns).train
    bench.keep(900)
    assert bench.pulses_ms() == [100.0 * index for index in range(10)]
    assert bench.device.rapid_status(bench.now_ns).wait
    for refused in (SetFrequency(tenth_hz=50), SetPulses(pulses=5), SetDuration(tenth_s=5), FIRE):
        assert isinstance(bench.ask(refused)[0], Conflict)
    bench.keep(600)
    assert bench.device.is_ready(bench.now_ns)


def test_train_mode_is_entered_and_left_in_standby_only() -> None:
    bench = Bench()
    bench.make_ready(SetPower(pct=50))
    assert bench.ask(SetDuration(tenth_s=10)) == [Conflict(letter="[")]


def test_rate_above_the_table_is_bad_data_and_more_power_lowers_the_rate() -> None:
    bench = Bench("rapid")
    bench.control()
    bench.ask(SetDuration(tenth_s=10), SetPower(pct=50))
    assert bench.ask(SetFrequency(tenth_hz=301)) == [BadData(letter="B")]
    bench.ask(SetFrequency(tenth_hz=300), SetPower(pct=100))
    assert bench.device.settings.tenth_hz == 150


def test_enhanced_power_is_for_single_pulses_and_is_clipped_when_it_goes() -> None:
    bench = Bench()
    bench.control()
    assert bench.ask(SetPower(pct=110)) == [BadData(letter="@")]
    bench.ask(SetEnhanced(on=True), SetPower(pct=110))
    assert bench.device.settings.a_pct == 110
    bench.ask(SetEnhanced(on=False))
    assert bench.device.settings.a_pct == 100
    bench.ask(SetDuration(tenth_s=5))
    assert bench.ask(SetEnhanced(on=True)) == [Conflict(letter="^")]


def test_charge_delay_is_told_as_it_was_set() -> None:
    bench = Bench("rapid", "10.0")
    bench.control()
    bench.ask(SetChargeDelay(ms=500))
    (delay,) = bench.ask(Ask(letter="o"))
    assert isinstance(delay, ChargeDelay)
    assert delay.ms == 500
    assert bench.device.extended_status().charge_delay
    assert bench.ask(SetChargeDelay(ms=10_001)) == [BadData(letter="n")]


def test_armed_unit_that_nobody_asks_gives_up_after_a_second_and_ends_its_train() -> None:
    bench = Bench()
    bench.make_ready(*TRAIN[:3], SetPulses(pulses=100))
    bench.ask(FIRE)
    bench.run(3000)
    assert not bench.device.armed
    assert not bench.device.remote
    assert len(bench.truth.pulses_ns) == 10


def test_question_that_was_refused_is_no_sign_of_life() -> None:
    bench = Bench()
    bench.make_ready(SetPower(pct=50))
    bench.faults.conflicts_with = "F"
    bench.keep(1500)
    assert not bench.device.armed


def test_unit_in_standby_gives_control_up_after_ten_seconds() -> None:
    bench = Bench()
    bench.control()
    bench.run(9_900)
    assert bench.device.remote
    bench.run(200)
    assert not bench.device.remote


def test_armed_unit_that_does_not_fire_disarms_itself_after_a_minute() -> None:
    bench = Bench()
    bench.make_ready(SetPower(pct=50))
    bench.keep(57_000)
    assert bench.device.armed
    bench.keep(3_000)
    assert not bench.device.armed


def test_coil_at_40_degrees_disarms_and_cannot_be_armed() -> None:
    bench = Bench()
    bench.make_ready(SetPower(pct=50))
    bench.device.windings.warm_to(40.5)
    bench.run(200)
    assert not bench.device.armed
    assert bench.ask(ARM) == [Conflict(letter="E")]


def test_pulses_warm_the_coil_and_time_cools_it() -> None:
    bench = Bench()
    bench.make_ready(*TRAIN)
    bench.ask(FIRE)
    bench.keep(1200)
    warm, second = bench.device.tenths_c
    assert warm > 220
    assert second <= warm
    bench.run(1_800_000)
    assert bench.device.tenths_c == (220, 220)


@pytest.mark.parametrize(("power", "pause_s"), [(49, 2), (50, 3), (79, 3), (80, 4), (100, 4)])
def test_200_is_ready_again_after_the_pause_of_its_power(power: int, pause_s: int) -> None:
    bench = Bench("200", "")
    bench.make_ready(SetPower(pct=power))
    bench.ask(FIRE)
    fired_ns = bench.truth.pulses_ns[0]
    assert not bench.device.is_ready(fired_ns + pause_s * 1000 * MS - 1)
    assert bench.device.is_ready(fired_ns + pause_s * 1000 * MS)


def test_bistim_fires_two_powers_at_its_interval_and_tells_its_mode() -> None:
    bench = Bench("bistim", "")
    bench.control()
    bench.ask(SetHighResolution(on=True))
    assert bench.device.settings.interval_ns == 1_000_000
    bench.ask(SetInterval(steps=25), SetPower(pct=60), SetPowerB(pct=40), ARM)
    assert bench.device.settings.system_mode == "4"
    bench.keep(1200)
    assert bench.ask(SetHighResolution(on=False)) == [Conflict(letter="Z")]
    bench.ask(FIRE)
    assert bench.truth.amplitudes_pct == [60, 40]
    assert bench.pulses_ms() == [0, 2.5]


def test_power_cycle_forgets_all_and_says_nothing() -> None:
    bench = Bench()
    bench.make_ready(*TRAIN)
    bench.device.reset(bench.now_ns)
    assert bench.run(1000) == b""
    assert (bench.device.remote, bench.device.armed, bench.device.settings.a_pct) == (False, False, 30)


def test_only_the_question_that_we_alone_put_shows_a_simulator() -> None:
    bench = Bench()
    assert bench.hear(bytes.fromhex("46 21 98"))[2:8] == b"SIMSIM"
    assert b"SIM" not in bench.hear(bytes.fromhex("46 40 79"))


# ---- faults and the program -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("silent", "silent", True),
        ("silent=off", "silent", False),
        ("reply_delay_ms=900", "reply_delay_ms", 900.0),
        ("extra_pulses=-3", "extra_pulses", -3),
        ("error=E03!", "error", "E03!"),
        ("reports_tenth_c=900", "reports_tenth_c", 900),
    ],
)
def test_fault_is_switched_by_its_name(text: str, name: str, value: object) -> None:
    faults = MagstimFaults()
    switch(faults, text)
    assert getattr(faults, name) == value


@pytest.mark.parametrize("text", ["nothing", "silent=perhaps", "reply_delay_ms=", "extra_pulses=1.5"])
def test_fault_that_there_is_not_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=text.partition("=")[0]):
        switch(MagstimFaults(), text)


def test_damage_is_the_same_for_the_same_seed() -> None:
    faults = MagstimFaults(drop_byte_probability=0.3, duplicate_byte_probability=0.3)
    frame = bytes(range(200))
    assert damaged(frame, faults, random.Random(7)) == damaged(frame, faults, random.Random(7)) != frame


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    arguments = ["--pty", str(tmp_path / "port"), "--truth", str(tmp_path / "truth"), "--model", "bistim", "--fault", "error=E03@0"]
    with subprocess.Popen(
        [sys.executable, "-m", "sim", "magstim", *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_program_tells_its_port_answers_clients_that_come_and_go_and_ends_with_0(program: subprocess.Popen[str], tmp_path: Path) -> None:
    assert program.stdout is not None
    ready = json.loads(program.stdout.readline())
    port = Path(ready["endpoints"]["stimulator"])
    assert ready["ready"]
    assert port == tmp_path / "port"
    for _ in range(2):
        with port.open("r+b", buffering=0) as client:
            client.write(bytes.fromhex("4A 40 75"))
            answer = b"".join(itertools.islice(iter(lambda: client.read(1), b""), 12))
        assert answer[:2] == b"J\x29"
    program.send_signal(signal.SIGTERM)
    assert program.wait(10) == 0
    assert not port.is_symlink()


@pytest.mark.parametrize("arguments", [["--fault", "nonsense"], ["--software", "new"], ["--unlock", "short"], ["--fault", "silent@soon"]])
def test_program_refuses_what_it_cannot_be_in_one_line(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "sim", "magstim", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert done.stderr.count("\n") == 1
    assert "short" not in done.stderr
