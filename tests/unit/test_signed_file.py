"""Files that people sign: the figures are what was signed, all of it and nothing else."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.people import are_named, are_two
from daemon.signed_file import SignatureError, figures_of, read_signed, sign, signatures_of

FIGURES = 'reason = "test"\n\n[limits]\nmax_sessions_per_day = 8\n'
UTC = "2026-03-02T08:00:00+00:00"


def written(
    folder: Path, text: str = FIGURES, *, by: tuple[tuple[str, str], ...] = (("Ada", "physician"), ("Ben", "site administrator"))
) -> Path:
    path = folder / "limits.toml"
    path.write_text(text, encoding="utf-8")
    for name, role in by:
        sign(path, name=name, role=role, meaning="checked", signed_utc=UTC)
    return path


def fault(path: Path) -> str:
    with pytest.raises(SignatureError) as caught:
        read_signed(path)
    return str(caught.value)


def test_signed_file_says_its_figures_and_who_signed_in_which_role(tmp_path: Path) -> None:
    signed = read_signed(written(tmp_path))
    assert signed.figures == {"reason": "test", "limits": {"max_sessions_per_day": 8}}
    assert (signed.signers(), signed.roles()) == (("Ada", "Ben"), {"physician", "site administrator"})


def test_file_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    assert "nobody has signed it" in fault(written(tmp_path, by=()))


def test_one_person_in_two_roles_is_one_person(tmp_path: Path) -> None:
    path = written(tmp_path, by=(("Ada", "physician"), ("ADA ", "site administrator")))
    assert len(read_signed(path).signers()) == 1


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    """No byte of the file can be changed so that other figures are read, or other people are said to have signed."""
    path = written(tmp_path)
    content, before = path.read_bytes(), read_signed(path)
    for place in range(len(content)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(content)
            changed[place] ^= bit
            path.write_bytes(bytes(changed))
            try:
                after = read_signed(path)
            except SignatureError:
                continue
            assert after.figures == before.figures
            assert after.sha256 != before.sha256


@pytest.mark.parametrize(
    "added",
    [
        "[limits]\nmax_sessions_per_day = 9\n",
        "  [more]\nmax_sessions_per_day = 9\n",
        "\t[[more]]\na = 1\n",
        "[signatures.more]\na = 1\n",
        "limits.max_sessions_per_day = 9\n",
        "[signature]\n",
    ],
)
def test_figures_below_the_signatures_are_refused(tmp_path: Path, added: str) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + added, encoding="utf-8")
    fault(path)


def test_signature_block_inside_a_text_hides_nothing(tmp_path: Path) -> None:
    assert "not TOML" in fault(written_raw(tmp_path, 'a = """\n[[signatures]]\n"""\nb = 1\n'))


def written_raw(folder: Path, text: str) -> Path:
    path = folder / "raw.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_signatures_among_the_figures_are_refused(tmp_path: Path) -> None:
    assert "among the figures" in fault(written_raw(tmp_path, 'signatures = []\n[[signatures]]\nname = "A"\n'))


@pytest.mark.parametrize("field", ["name", "role", "meaning"])
def test_signature_says_name_role_and_meaning(tmp_path: Path, field: str) -> None:
    path = written(tmp_path, by=())
    words = {"name": "Ada", "role": "physician", "meaning": "checked"} | {field: " "}
    with pytest.raises(SignatureError, match="lacks name, role or meaning"):
        sign(path, **words, signed_utc=UTC)
    assert path.read_text(encoding="utf-8") == FIGURES


@pytest.mark.parametrize("moment", ["yesterday", "2026-03-02T08:00:00", ""])
def test_signature_says_when_with_its_zone(tmp_path: Path, moment: str) -> None:
    with pytest.raises(SignatureError, match="no moment with its zone"):
        sign(written(tmp_path, by=()), name="Ada", role="physician", meaning="checked", signed_utc=moment)


def test_signing_over_a_signature_that_does_not_hold_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path, by=(("Ada", "physician"),))
    changed = path.read_text(encoding="utf-8").replace("= 8", "= 9")
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(SignatureError, match="changed after Ada signed"):
        sign(path, name="Ben", role="site administrator", meaning="checked", signed_utc=UTC)
    assert path.read_text(encoding="utf-8") == changed


def test_nobody_signs_twice_in_one_role(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="already"):
        written(tmp_path, by=(("Ada", "physician"), ("ada", "physician")))


def test_figures_without_a_last_line_end_can_be_signed(tmp_path: Path) -> None:
    assert read_signed(written(tmp_path, FIGURES.rstrip("\n"))).figures["reason"] == "test"


def test_signing_keeps_who_may_read_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, by=())
    path.chmod(0o640)
    sign(path, name="Ada", role="physician", meaning="checked", signed_utc=UTC)
    assert path.stat().st_mode & 0o777 == 0o640


def test_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    assert "cannot be read" in fault(tmp_path / "none.toml")


def test_what_is_to_be_signed_can_be_read_before(tmp_path: Path) -> None:
    path = written(tmp_path, by=(("Ada", "physician"),))
    assert figures_of(path) == FIGURES
    assert [each.name for each in signatures_of(path)] == ["Ada"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(name=st.text(min_size=1).filter(str.strip), meaning=st.text(min_size=1).filter(str.strip))
def test_any_name_and_meaning_come_back_as_written(tmp_path: Path, name: str, meaning: str) -> None:
    path = written(tmp_path, by=())
    try:
        name.encode(), meaning.encode()
    except UnicodeEncodeError:
        return
    sign(path, name=name, role="physician", meaning=meaning, signed_utc=UTC)
    (signature,) = read_signed(path).signatures
    assert (signature.name, signature.meaning) == (name, meaning)


@pytest.mark.parametrize(
    ("names", "are"),
    [(("Ada", "Ben"), True), (("Ada", "ada"), False), (("Ada", " Ada  "), False), (("Ada", " "), False), (("Ada",), False), ((), False)],
)
def test_two_people_are_two_names_that_differ(names: tuple[str, ...], are: bool) -> None:
    assert are_two(names) is are


@pytest.mark.parametrize(("names", "are"), [(("Ada",), True), ((), False), (("",), False), (("Ada", " "), False)])
def test_named_is_at_least_one_name_and_none_blank(names: tuple[str, ...], are: bool) -> None:
    assert are_named(names) is are
