"""One view of the gate in which everything holds, its parts, and how to break one of them."""

import msgspec

from daemon.gate import View
from daemon.ipc import DaemonBeat, Grant
from daemon.on_target import Hysteresis, OnTarget
from drivers.values import StimReport, StimState, TrainSettings

NOW = 1_000_000_000_000
SECOND = 1_000_000_000
SETTINGS = TrainSettings(amplitude_pct_mso=45, pulses_per_burst=3, intra_burst_interval_us=20_000, burst_hz="5", bursts=10)
GRANT = Grant(
    run_id="run",
    grant_no=1,
    arm_no=1,
    train=1,
    settings=SETTINGS,
    not_before_ns=NOW - 1,
    expires_ns=NOW + SECOND,
    gap_ns=8 * SECOND,
    wall_minus_mono_ns=5_000,
)
BEAT = DaemonBeat(made_ns=NOW, operator_present=True, hardware_stop_tested=True, stop_inputs_clear=True)
STIM = StimReport(
    received_ns=NOW,
    state=StimState.READY,
    enabled=True,
    running=False,
    temperature_c=25,
    coil_type=60,
    amplitude_pct_mso=45,
)
GOOD = View(
    exposed_ns=NOW - 10_000_000,
    head_seen=True,
    coil_seen=True,
    fit_rms_mm=0.1,
    flagged=False,
    max_fit_rms_mm=0.35,
    registration_expires_ns=NOW + SECOND,
    check_expires_ns=NOW + SECOND,
    reference_holds=True,
    calibration_expires_ns=NOW + SECOND,
    on_target=OnTarget(machine=Hysteresis(on=True), published=True),
    stim=STIM,
    prepared=SETTINGS,
    secured=True,
    disarm_failed=False,
    coil_type=60,
    start_temp_c=40,
    stop_temp_c=41,
    armed=True,
    beat=BEAT,
    supervisor_ns=NOW,
    grant=GRANT,
    last_pulse_ns=NOW - 9 * SECOND,
    wall_minus_mono_ns=5_000,
    record_open=True,
)


def but(**changes: object) -> View:
    return msgspec.structs.replace(GOOD, **changes)


def stim_but(**changes: object) -> View:
    return but(stim=msgspec.structs.replace(STIM, **changes))


def beat_but(**changes: object) -> View:
    return but(beat=msgspec.structs.replace(BEAT, **changes))


def grant_but(**changes: object) -> View:
    return but(grant=msgspec.structs.replace(GRANT, **changes))
