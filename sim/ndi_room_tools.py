"""The marked tools of the simulated room: four spheres each, so that no two of their distances are within 2 mm of each other."""

from drivers.rom_wire import MAIN_TYPE_PROBE, MAIN_TYPE_REFERENCE, RomFile, build_rom, parse_rom

HEAD, POINTER, COIL = "head", "pointer", "coil"

ROOM_ROMS: dict[str, bytes] = {
    HEAD: build_rom(
        [(0.0, 0.0, 0.0), (24.0, 43.0, 0.0), (-4.0, 78.0, -9.0), (-52.0, 52.0, 0.0)],
        "ATMSD-HEAD",
        main_type=MAIN_TYPE_REFERENCE,
    ),
    POINTER: build_rom(
        [(0.0, 0.0, 0.0), (0.0, 32.0, 51.0), (0.0, -40.0, 89.0), (0.0, 0.0, 137.0)],
        "ATMSD-POINTER",
        main_type=MAIN_TYPE_PROBE,
    ),
    COIL: build_rom(
        [(0.0, 0.0, 0.0), (66.0, 20.0, 0.0), (33.0, 78.0, 0.0), (-67.0, 25.0, -1.0)],
        "ATMSD-COIL",
        main_type=MAIN_TYPE_PROBE,
    ),
}

ROOM_BODIES: dict[str, RomFile] = {name: parse_rom(rom) for name, rom in ROOM_ROMS.items()}
