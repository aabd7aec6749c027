"""What the MagVenture driver is about at any moment: its phases, what each polls, whose act a change is. Pure."""

import enum

from drivers.magventure_asking import READ_BACK, STATUS, TRAIN, WAVEFORM, Ask
from drivers.magventure_picture import Picture, setting_changes, unit_changes
from drivers.values import StimState

ARMED_POLL_NS = 125_000_000  # every second one a status: 250 ms, under the 300 ms that the staleness rule is made for
TRAIN_POLL_NS = 250_000_000
STALE_ARMED_NS = 450_000_000  # 1.5 times 300 ms
STALE_STANDBY_NS = 750_000_000  # 1.5 times the standby poll
ENABLE_LIMIT_NS = 2_000_000_000  # charging takes about a second (public clients)
POLL_FREE_NS = 80_000_000  # before a start that was announced: as long as an answer takes
POLL_FREE_AFTER_NS = 20_000_000  # such a start may come a little late; longer, and the status would grow stale
SETTLE_NS = 2_000_000_000  # amplitude and train: twice what public clients wait
SETTLE_WAVEFORM_NS = 12_000_000_000  # relays and recharge after a change of waveform or mode (public clients)


class Phase(enum.Enum):
    """What we are about. What the device is, its picture tells."""

    OFF = enum.auto()  # no transport
    SECURING = enum.auto()  # disabling before anything else is known
    IDLE = enum.auto()
    PREPARING = enum.auto()
    ARMING = enum.auto()
    READY = enum.auto()
    STARTING = enum.auto()
    FIRING = enum.auto()
    BURSTS = enum.auto()  # in a train whose bursts the host asks for one by one
    STOPPING = enum.auto()  # disabling after anything else


ENABLED_PHASES = frozenset({Phase.READY, Phase.STARTING, Phase.FIRING, Phase.BURSTS})
ARMED_PHASES = ENABLED_PHASES | {Phase.ARMING}
SAFING_PHASES = frozenset({Phase.SECURING, Phase.STOPPING})

STATE_OF = {
    Phase.OFF: StimState.DISCONNECTED,
    Phase.SECURING: StimState.SECURING,
    Phase.IDLE: StimState.STANDBY,
    Phase.PREPARING: StimState.STANDBY,
    Phase.ARMING: StimState.ARMING,
    Phase.READY: StimState.READY,
    Phase.STARTING: StimState.FIRING,
    Phase.FIRING: StimState.FIRING,
    Phase.BURSTS: StimState.FIRING,
    Phase.STOPPING: StimState.SECURING,
}

# What each phase asks again and again, and how often. Safing asks only once the disable is proven; a start asks nothing until the
# train runs, a burst until its receipts are in. While ready the settings are read again in turn: a knob on the train page is turned
# without an event. Between bursts of the host's the status is asked, and once a second the burst's own settings with it.
POLLS: dict[Phase, tuple[int, tuple[tuple[Ask, ...], ...]]] = {
    Phase.SECURING: (150_000_000, ((STATUS,),)),
    Phase.STOPPING: (150_000_000, ((STATUS,),)),
    Phase.IDLE: (500_000_000, ((STATUS,),)),
    Phase.PREPARING: (TRAIN_POLL_NS, (READ_BACK,)),
    Phase.ARMING: (TRAIN_POLL_NS, (READ_BACK,)),
    Phase.READY: (ARMED_POLL_NS, ((STATUS,), (WAVEFORM,), (STATUS,), (TRAIN,))),
    Phase.FIRING: (TRAIN_POLL_NS, ((STATUS,),)),
    Phase.BURSTS: (TRAIN_POLL_NS, (*((STATUS,) for _ in range(4)), (STATUS, WAVEFORM))),
}


def unasked(old: Picture, new: Picture, phase: Phase, train_is_ours: bool) -> list[str]:
    """What changed, in this phase, without our doing: each as a sentence."""
    acts = list(unit_changes(old, new))
    if phase is not Phase.PREPARING:
        acts += setting_changes(old, new)
    if new.enabled and phase in (Phase.IDLE, Phase.PREPARING):
        acts.append("enabled at the panel")
    if new.enabled is False and (phase in ENABLED_PHASES or (phase is Phase.ARMING and old.enabled)):
        acts.append("disabled at the panel or by the device")
    if new.running and not old.running and phase not in SAFING_PHASES and not train_is_ours:
        acts.append("a train was started at the panel")
    return acts
