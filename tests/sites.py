"""A site's folder for tests: protocols, courses and the site's word about them, signed by people who do not exist."""

from pathlib import Path

from daemon.course import load_course
from daemon.protocol import load_protocol
from daemon.safety_tables import shipped_clearances, shipped_tables
from daemon.signed_file import sign

SIGNED_UTC = "2026-05-04T08:00:00+00:00"
PHYSICIAN = ("Physician A", "physician")
INVESTIGATOR = ("Investigator B", "investigator")
ADMINISTRATOR = ("Administrator D", "site administrator")
ONE_A_DAY = {"max_sessions_per_day": 1, "max_pulses_per_day": 600, "max_course_sessions": 30, "max_treatment_days": 30}


def signed(path: Path, text: str, *people: tuple[str, str]) -> Path:
    """A file with these figures, signed by each of the people (name, role)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    for name, role in people:
        sign(path, name=name, role=role, meaning="for tests", signed_utc=SIGNED_UTC)
    return path


def sha256_of(file_id: str) -> str:
    """Checksum of a shipped protocol, course or table by its id."""
    tables = {table.id: table.sha256 for table in shipped_tables()} | {"cleared": shipped_clearances().sha256}
    if file_id in tables:
        return tables[file_id]
    return load_course(file_id).sha256 if file_id.startswith("course.") else load_protocol(file_id).sha256


def block(name: str, file_id: str, sha256: str | None = None, **more: str | int) -> str:
    """One entry of a site's file."""
    fields = {"id": file_id, "sha256": sha256 or sha256_of(file_id)} | more
    lines = [f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in fields.items()]
    return "\n".join([f"[[{name}]]", *lines, ""])


def enable(folder: Path, *file_ids: str, **more: str) -> Path:
    """The site confirms the figures of these protocols and courses."""
    return signed(folder / "enabled.toml", "".join(block("files", each, **more) for each in file_ids), PHYSICIAN)


def sign_tables(folder: Path, *table_ids: str) -> Path:
    """The site signs for these tables."""
    return signed(folder / "tables.toml", "".join(block("tables", each) for each in table_ids), PHYSICIAN)


def limit(folder: Path, **limits: int) -> Path:
    """The site's own limits, from long ago to far ahead."""
    lines = [f"{key} = {value}" for key, value in limits.items()]
    head = ['reason = "test"', 'valid_from_utc = "2020-01-01T00:00:00Z"', 'valid_to_utc = "2120-01-01T00:00:00Z"', "", "[limits]"]
    return signed(folder / "limits.toml", "\n".join([*head, *lines, ""]), PHYSICIAN, ADMINISTRATOR)


def admit(folder: Path, protocol_id: str, intensity_pct_rmt: int) -> Path:
    """Research admits a protocol that no table supports."""
    text = block("admitted", protocol_id, basis="research:TEST-1", intensity_pct_rmt=intensity_pct_rmt)
    return signed(folder / "research.toml", text, PHYSICIAN, INVESTIGATOR)
