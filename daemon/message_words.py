"""What all that goes over the network is made of: the kinds of message, and the words that screens and alarms share.

Part of `daemon.messages`, which hands them on to everybody.
"""

import enum

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Anything the daemon says. New optional fields may appear within one API version: clients ignore what they do not know."""


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a command takes. An unknown field is an error: a typo must never mean a default."""


class NoParams(Params, frozen=True, kw_only=True):
    pass


class Done(Message, frozen=True, kw_only=True):
    """`state_rev` after the command."""

    state_rev: int


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """`changes`: wants `expect.state_rev`. `lease`: only the holder of the operator lease may call it."""

    params: type[Params]
    result: type[Message]
    changes: bool = True
    lease: bool = True


class Priority(enum.StrEnum):
    """How urgent, after IEC 60601-1-8; `none` is no alarm at all."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Step(enum.StrEnum):
    """Where the day at the chair stands."""

    PLAN = "plan"
    REGISTER = "register"
    AIM = "aim"
    ARMED = "armed"
    DELIVER = "deliver"
    HOLD = "hold"
    STOPPED = "stopped"
    DONE = "done"


class Word(enum.StrEnum):
    """The one word on every screen."""

    AIM = "AIM"
    HOLD = "HOLD"
    READY = "READY"
    FIRING = "FIRING"
    PAUSED = "PAUSED"
    TRACKING_LOST = "TRACKING LOST"
    STOP = "STOP"
