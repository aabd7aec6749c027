"""Carries acts out on the things in the room: hands on the world, fingers on the stimulator's panel, faults in both devices."""

import typing
from collections.abc import Callable

import msgspec

from sim import room_acts as ask
from sim.bench_hands import BenchHands
from sim.igtl_tracker import IgtlServer
from sim.lsl_tracker import LslSource
from sim.ndi_sim import CameraSim
from sim.room_acts import Answer
from sim.room_unit import RoomUnit
from sim.thumb import Thumb
from sim.world import NoSuchThing, World
from sim.world_people import People

DONE = Answer(ok=True)


class Patient:
    """Who feels the pulses: how many so far, and whether the thumb twitched at the last; None before the first."""

    def __init__(self, thumb: Thumb) -> None:
        self._thumb = thumb
        self.felt = 0
        self.twitched: bool | None = None

    def feel(self, pulse_ns: int, amplitude_mso: int) -> None:
        self.twitched = self._thumb.feel(pulse_ns, amplitude_mso).size_uv > 0.0
        self.felt += 1


class Stage:
    """`act` begins one act now and says when it is done, and what to answer then. Raises ValueError for what cannot be done."""

    def __init__(
        self,
        world: World,
        people: People,
        bench: BenchHands,
        patient: Patient,
        camera: CameraSim,
        stimulator: RoomUnit,
        clock: Callable[[], int],
    ) -> None:
        self._world, self._people, self._patient = world, people, patient
        self.tracker: CameraSim | IgtlServer | LslSource = camera  # the one that the chair's file names
        self._stimulator = stimulator
        self._clock = clock
        self._bench = bench

    def act(self, request: ask.Request) -> tuple[int, Answer]:
        now_ns = self._clock()
        if isinstance(request, ask.Where):
            return now_ns, Answer(ok=True, truth=self._world.probe(now_ns))
        if isinstance(request, ask.WatchThumb):
            return now_ns, Answer(ok=True, pulses_felt=self._patient.felt, twitched=self._patient.twitched)
        for hands in (self._move, self._at_bench):
            if (done_ns := hands(request, now_ns)) is not None:
                return done_ns, DONE
        self._press(request)
        return now_ns, DONE

    def _move(self, request: ask.Request, now_ns: int) -> int | None:
        """Hands and feet: when the move ends; None for an act that is none."""
        people = self._people
        match request:
            case ask.Touch(landmark=landmark):
                return people.touch(landmark, now_ns)
            case ask.PointerToScalp():
                return people.pointer_to_scalp(now_ns)
            case ask.Sweep(seconds=seconds):
                return people.sweep(seconds, now_ns)
            case ask.Park(tool="pointer"):
                return people.park_pointer(now_ns)
            case ask.Park():
                return people.park_coil(now_ns)
            case ask.CoilNear():
                return people.coil_near(now_ns)
            case ask.MoveCoilBy():
                return people.move_coil_by(now_ns, **msgspec.structs.asdict(request))
            case ask.Slip(mm=mm, ms=ms):
                return people.slip(mm, ms, now_ns)
            case ask.SlipReference(mm=mm, ms=ms):
                return people.slip_reference(mm, ms, now_ns)
            case ask.BumpCamera(mm=mm):
                return people.bump_camera(mm, now_ns)
            case ask.Occlude(tool=tool, seconds=seconds):
                return people.occlude(tool, seconds, now_ns)
        return None

    def _at_bench(self, request: ask.Request, now_ns: int) -> int | None:
        """Hands at the bench, likewise."""
        bench = self._bench
        match request:
            case ask.Pivot(divot=divot, seconds=seconds, degrees=degrees):
                return bench.pivot(divot, seconds, degrees, now_ns)
            case ask.TouchCoil(point=point):
                return bench.touch_coil(point, now_ns)
            case ask.TouchDivot(divot=divot):
                return bench.touch_divot(divot, now_ns)
            case ask.CoilOnPlate():
                return bench.coil_on_plate(now_ns)
            case ask.TiltPlate(seconds=seconds, degrees=degrees):
                return bench.tilt_plate(seconds, degrees, now_ns)
            case ask.TakeOffHead():
                return bench.take_off_head(now_ns)
            case ask.StrapOnHead():
                return bench.strap_on_head(now_ns)
        return None

    def _press(self, request: ask.Request) -> None:
        """Fingers and faults: done at once."""
        stimulator = self._stimulator
        match request:
            case ask.PressDisable():
                stimulator.panel_disable()
            case ask.PressEnable():
                stimulator.panel_enable()
            case ask.PressTrigger():
                stimulator.panel_fire()
            case ask.TurnAmplitude(pct=pct):
                stimulator.panel_amplitude(pct)
            case ask.UnplugCoil():
                stimulator.remove_coil()
            case ask.PowerCycle():
                stimulator.power_cycle()
            case ask.CameraFault(name=name, value=value):
                switch(self.tracker.faults, name, value)
            case ask.StimulatorFault(name=name, value=value):
                switch(stimulator.faults, name, value)


def switch(faults: object, name: str, value: object) -> None:
    """Set one fault by name. Raises `NoSuchThing` for a name that is none, or a value of another kind."""
    kinds = typing.get_type_hints(type(faults))
    if name not in kinds:
        raise NoSuchThing(f"no fault {name!r}; there are {', '.join(kinds)}")
    try:
        setattr(faults, name, msgspec.convert(value, kinds[name]))
    except msgspec.ValidationError as error:
        raise NoSuchThing(f"fault {name!r}: {error}") from error
