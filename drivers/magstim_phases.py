"""What the Magstim driver is about at any moment: its phases, what each polls, whose act a change is. Pure."""

import enum

from drivers.magstim_asking import Order
from drivers.magstim_command_wire import ARM, Ask, Command, EnableRemote, UnlockCode
from drivers.magstim_frame_wire import Dialect, Family
from drivers.magstim_picture import Picture
from drivers.magstim_wire import SIMULATOR_PAD
from drivers.values import StimState

IDLE_POLL_NS = 500_000_000
SETTLING_POLL_NS = 250_000_000
ARMING_POLL_NS = 100_000_000
ARMED_POLL_NS = 150_000_000  # the unit disarms itself after 1 s without a question; at least every 300 ms is wanted
FIRING_POLL_NS = 100_000_000
STALE_ARMED_NS = 450_000_000  # 1.5 times 300 ms
STALE_STANDBY_NS = 750_000_000  # 1.5 times the standby poll
ENABLE_LIMIT_NS = 3_000_000_000  # ready about 1 s after the arm command, 3 s at the most (MAGIC, magpy)
RECOVERY_LIMIT_NS = 3_000_000_000  # beyond the pause that the unit needs anyway
UP_NS_PER_PCT, DOWN_NS_PER_PCT = 10_000_000, 100_000_000  # how quickly the power follows its setting (magpy, MAGIC)
SETTLE_MARGIN_NS = 1_000_000_000
SELF_DISARM_NS = 59_000_000_000  # armed and not fired for 60 s, the unit disarms itself (user reports)


class Phase(enum.Enum):
    """What we are about. What the unit is, its picture tells."""

    OFF = enum.auto()  # no transport
    SECURING = enum.auto()  # disarming before anything else is known
    IDLE = enum.auto()
    PREPARING = enum.auto()
    ARMING = enum.auto()
    READY = enum.auto()
    STARTING = enum.auto()  # the fire command is to go out, or not yet answered
    FIRING = enum.auto()
    RECOVERING = enum.auto()  # armed, but the unit or the rules of energy ask for a pause
    STOPPING = enum.auto()  # disarming after anything else


ENABLED_PHASES = frozenset({Phase.READY, Phase.STARTING, Phase.FIRING, Phase.RECOVERING})
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
    Phase.RECOVERING: StimState.ARMING,
    Phase.STOPPING: StimState.SECURING,
}


def order(command: Command, dialect: Dialect) -> Order:
    """The command as one that waits for its answer."""
    return Order(command=command, letter=chr(command.body(dialect)[0]), what=type(command).__name__)


def question(letter: str) -> Order:
    return Order(command=Ask(letter=letter), letter=letter, what=f"the question {letter!r}")


TEMPERATURE = question("F")
VERSION = question("N")
ERROR = question("I")
SIMULATOR = Order(command=Ask(letter="F", pad=SIMULATOR_PAD), letter="F", what="the question for a simulator")
ARM_ORDER = Order(command=ARM, letter="E", what="arm")


def remote(unlock: UnlockCode | None, dialect: Dialect) -> Order:
    """Take control; plain where the software knows no code."""
    return Order(command=EnableRemote(unlock=unlock if dialect.needs_unlock else None), letter="Q", what="remote control")


def status_question(dialect: Dialect) -> Order:
    """The shortest one for status and, on a Rapid², the train bit."""
    if dialect.has_system_status:
        return question("x")
    return parameters(dialect)


def parameters(dialect: Dialect) -> Order:
    return question("\\") if dialect.is_rapid else question("J")


def read_back(dialect: Dialect) -> tuple[Order, ...]:
    """All that the unit tells of itself."""
    orders = [parameters(dialect), TEMPERATURE]
    if dialect.has_system_status:
        orders.append(question("x"))
    if dialect.family is Family.BISTIM:
        orders.append(question("X"))
    return tuple(orders)


def polls(phase: Phase, dialect: Dialect) -> tuple[int, tuple[tuple[Order, ...], ...]] | None:
    """How often this phase asks, and what, in turn; None where it asks nothing. Safing asks for itself; a start asks nothing."""
    status, settings = status_question(dialect), parameters(dialect)
    match phase:
        case Phase.IDLE:
            return IDLE_POLL_NS, ((status, TEMPERATURE), (settings, TEMPERATURE))
        case Phase.PREPARING:
            return SETTLING_POLL_NS, (read_back(dialect),)
        case Phase.ARMING:
            return ARMING_POLL_NS, (read_back(dialect),)
        case Phase.READY | Phase.RECOVERING:
            mode = ((question("X"),),) if dialect.family is Family.BISTIM else ()
            return ARMED_POLL_NS, ((status,), (TEMPERATURE,), (status,), (settings,), *mode)
        case Phase.FIRING:
            return FIRING_POLL_NS, ((status,), (status,), (TEMPERATURE,))
        case _:
            return None


def settle_ns(old_pct: int | None, new_pct: int) -> int:
    """How long the power takes to follow; the longest way where the old one is not known."""
    if old_pct is None:
        return max(new_pct * UP_NS_PER_PCT, (100 - new_pct) * DOWN_NS_PER_PCT)
    step = new_pct - old_pct
    return step * UP_NS_PER_PCT if step >= 0 else -step * DOWN_NS_PER_PCT


def unasked(old: Picture, new: Picture, phase: Phase) -> list[str]:
    """What changed, in this phase, without our doing: each as a sentence."""
    acts = []
    if new.enabled and phase in (Phase.IDLE, Phase.PREPARING):
        acts.append("armed at the unit")
    if phase in ARMED_PHASES:
        if new.status is not None and not new.status.remote:
            acts.append("remote control was taken away")
        if None not in (old.power_pct, new.power_pct) and old.power_pct != new.power_pct:
            acts.append(f"amplitude changed from {old.power_pct} to {new.power_pct} %")
    return acts


def fired_unasked(old: Picture, new: Picture, phase: Phase) -> bool:
    """Whether the charge or the train bit can only mean that something fired which was not asked for."""
    if phase not in (Phase.READY, Phase.RECOVERING) or old.status is None or new.status is None:
        return False
    lost_charge = old.status.ready and new.status.armed
    runs = new.rapid is not None and new.rapid.train
    waits = phase is Phase.READY and new.rapid is not None and new.rapid.wait
    return lost_charge or runs or waits


def has_dropped(old: Picture, new: Picture, phase: Phase) -> bool:
    """Whether the unit is in standby though it was armed."""
    return new.enabled is False and (phase in ENABLED_PHASES or (phase is Phase.ARMING and bool(old.enabled)))
