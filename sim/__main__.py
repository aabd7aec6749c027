"""`python -m sim WHAT`: the simulated devices, the room, its operator and the demo, each with options of its own."""

import argparse
import importlib
import sys
from typing import NoReturn

PARTS = {
    "camera": ("sim.ndi_program", "a tracker on TCP or a pseudo terminal"),
    "lsl-tracker": ("sim.lsl_tracker", "a tracker as a motion-capture stream of LSL"),
    "igtl-tracker": ("sim.igtl_tracker", "a tracker as transforms of an OpenIGTLink server"),
    "magventure": ("sim.magventure_sim", "a stimulator on a pseudo terminal"),
    "muscle": ("sim.muscle", "a thumb that twitches, as an EMG stream of LSL"),
    "magstim": ("sim.magstim_sim", "a stimulator of the other family on a pseudo terminal"),
    "trigger-box": ("sim.trigger_box", "a box that turns markers of LSL into trigger pulses"),
    "room": ("sim.room", "camera, stimulator, patient and hands, with a chair's files beside them"),
    "operator": ("sim.operator", "somebody who treats the room's patient through the daemon"),
    "demo": ("sim.demo", "all of it, from plan to ledger, in one command"),
}


USAGE = 64


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}. See --help.\n")


def main(arguments: list[str]) -> int:
    """Hand over to the part that is named; only that one is imported."""
    overview = Parser(prog="python -m sim", description="Simulated devices and people.")
    overview.add_argument("part", choices=PARTS, help="; ".join(f"{name}: {what}" for name, (_, what) in PARTS.items()))
    part = overview.parse_args(arguments[:1]).part
    module = importlib.import_module(PARTS[part][0])
    parser = Parser(prog=f"python -m sim {part}", description=(module.__doc__ or PARTS[part][1]).splitlines()[0])
    module.add_arguments(parser)
    code: int = module.main(parser.parse_args(arguments[1:]))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
