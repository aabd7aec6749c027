"""Tables of train durations: look-up between rows and columns, refusal above them, and files that contradict themselves."""

from fractions import Fraction
from pathlib import Path

import pytest

from daemon.safety_tables import TABLES_DIR, TableError, read_table, shipped_tables

ROSSI = next(table for table in shipped_tables() if table.id == "rossi2009")
CHEN = next(table for table in shipped_tables() if table.id == "chen1997")


def test_every_shipped_cell_rests_on_memory_and_says_so() -> None:
    assert {table.mark for table in shipped_tables()} == {"memory"}


def test_between_rows_and_columns_the_next_higher_one_counts() -> None:
    assert ROSSI.longest_s(Fraction(11), Fraction(105)) == Fraction("1.6")
    assert ROSSI.longest_s(Fraction(10), Fraction(115)) == Fraction("4.2")


@pytest.mark.parametrize(("hz", "pct"), [("25.01", "100"), ("10", "130.1")])
def test_above_the_table_nothing_is_supported(hz: str, pct: str) -> None:
    assert ROSSI.longest_s(Fraction(hz), Fraction(pct)) is None
    assert not ROSSI.allows(Fraction(hz), Fraction(pct), Fraction("0.01"))


def test_equal_to_the_cap_is_allowed() -> None:
    assert ROSSI.allows(Fraction(20), Fraction(110), Fraction("1.6"))
    assert not ROSSI.allows(Fraction(20), Fraction(110), Fraction("1.601"))


def test_margin_table_is_a_quarter_stricter_where_it_was_rounded_from_the_other() -> None:
    for hz, longest in CHEN.rows:
        for pct, cell in zip(CHEN.intensities_pct_rmt, longest, strict=True):
            cap = ROSSI.longest_s(hz, Fraction(pct))
            assert cap is not None
            assert cell <= cap


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('frequency_hz = "25"', 'frequency_hz = "15"', "frequencies do not rise"),
        ("[90, 100, 110, 120, 130]", "[90, 100, 110, 130, 120]", "intensities do not rise"),
        ('"1.28", "1.28", ', '"1.28", ', "one cell for each intensity"),
        ('"0.4", "0.24"', '"0.4", "0.5"', "more at a higher intensity"),
        ('"0.24"', '"0"', "not positive"),
        ('"0.24"', '"fast"', "cannot be read"),
        ('id = "rossi2009"', 'id = "other"', "file's name"),
        ("mark", "marc", "cannot be read"),
    ],
)
def test_table_that_contradicts_itself_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, what: str) -> None:
    text = (TABLES_DIR / "rossi2009.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "rossi2009.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(TableError, match=what):
        read_table(path)
