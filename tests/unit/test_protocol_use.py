"""Whether a protocol may be used at a site: what the site signed for, the coil, the basis, and every reason at once."""

from pathlib import Path

import pytest

from daemon.course import load_course
from daemon.protocol import BadProtocol, NotUsable, load_protocol
from daemon.protocol_site import changed_files, read_protocol_site
from daemon.protocol_use import NO_CHAIR, Coil, Use, course_reasons, require_course, require_use, use_of
from daemon.safety_tables import Support
from tests import sites

FIGURE_8 = Coil(coil_class="figure-8")
ADMITTED = '[[admitted]]\nsha256 = ""\nintensity_pct_rmt = 1\n'


def use(protocol_id: str, folder: Path | None = None, *, pct: float | None = None, coil: Coil = FIGURE_8) -> Use:
    protocol = load_protocol(protocol_id, folder)
    return use_of(protocol, protocol.intensity_pct_rmt if pct is None else pct, read_protocol_site(folder), coil)


def against(*arguments: object, **changes: object) -> str:
    return "; ".join(use(*arguments, **changes).reasons)  # type: ignore[arg-type]


def test_what_ships_in_use_needs_no_word_of_the_site() -> None:
    for protocol_id in ("demo_itbs90", "itbs600", "itbs1800", "rtms10_std_3000"):
        assert use(protocol_id).reasons == ()
    assert use("rtms10_std_3000").basis == "cleared:K083538"


def test_protocol_on_memory_is_refused_by_its_figure_until_the_site_signs(tmp_path: Path) -> None:
    wanted = "rests on memory: believed to be cleared for NeuroStar with K160703; a signed site file must confirm it"
    assert wanted in use("rtms10_dash_3000").reasons
    sites.enable(tmp_path, "rtms10_dash_3000")
    assert "rests on memory" not in against("rtms10_dash_3000", tmp_path)


def test_protocol_that_changed_after_it_was_enabled_is_refused(tmp_path: Path) -> None:
    text = sites.block("files", "rtms10_dash_3000", sha256="0" * 64)
    sites.signed(tmp_path / "enabled.toml", text, sites.PHYSICIAN)
    assert "rtms10_dash_3000 changed after the site enabled it" in against("rtms10_dash_3000", tmp_path)


def test_protocol_without_a_basis_is_refused_until_the_site_states_one(tmp_path: Path) -> None:
    assert "no basis (cleared, research or off-label)" in against("itbs1620")
    sites.enable(tmp_path, "itbs1620", basis="off_label:Physician A")
    assert (use("itbs1620", tmp_path).reasons, use("itbs1620", tmp_path).basis) == ((), "off_label:Physician A")


def test_site_states_its_own_basis_for_what_is_cleared_elsewhere(tmp_path: Path) -> None:
    sites.enable(tmp_path, "itbs1800", basis="research:TEST-1")
    assert (use("itbs1800", tmp_path).basis, use("itbs1800", tmp_path).cleared_for) == ("research:TEST-1", None)


def test_clearance_is_told_with_the_device_that_it_is_for() -> None:
    assert use("itbs1800").cleared_for == "Magnus Neuromodulation System"
    assert use("itbs600").cleared_for is None


def test_basis_of_a_stale_entry_counts_for_nothing(tmp_path: Path) -> None:
    sites.signed(tmp_path / "enabled.toml", sites.block("files", "itbs1620", sha256="0" * 64, basis="off_label:A"), sites.PHYSICIAN)
    assert use("itbs1620", tmp_path).basis is None


def test_chair_that_does_not_say_its_coil_starts_nothing_that_names_one() -> None:
    assert "which class this one is ([stimulator].coil_class)" in against("itbs1800", coil=Coil(coil_class=None))
    assert against("demo_itbs90", coil=Coil(coil_class=None)) == ""


def test_protocol_of_another_coil_is_refused() -> None:
    assert "needs a figure-8 coil, and this chair has circular" in against("itbs1800", coil=Coil(coil_class="circular"))


def test_without_a_chair_the_protocol_s_own_coil_is_taken() -> None:
    assert use("rtms10_std_3000", coil=NO_CHAIR).judgement.support is Support.CLEARED_EXACT


def test_percent_of_another_threshold_is_refused(tmp_path: Path) -> None:
    sites.enable(tmp_path, "cTBS600", basis="off_label:Physician A")
    (reason,) = use("cTBS600", tmp_path).reasons
    assert reason == "its intensity is a percent of the active motor threshold, and a plan holds the resting one of the hand"


def test_plain_pulses_come_in_once_the_tables_are_signed(tmp_path: Path) -> None:
    sites.enable(tmp_path, "rtms10_5on25off_3000", basis="off_label:Physician A")
    assert "no table of train durations is signed" in against("rtms10_5on25off_3000", tmp_path)
    sites.sign_tables(tmp_path, "rossi2009", "chen1997")
    assert use("rtms10_5on25off_3000", tmp_path).reasons == ()
    assert use("rtms10_5on25off_3000", tmp_path).judgement.support is Support.WITHIN_TABLE


def test_signature_for_a_table_that_changed_counts_for_nothing(tmp_path: Path) -> None:
    sites.enable(tmp_path, "rtms10_5on25off_3000", basis="off_label:Physician A")
    sites.signed(tmp_path / "tables.toml", sites.block("tables", "rossi2009", sha256="0" * 64), sites.PHYSICIAN)
    assert "no table of train durations is signed" in against("rtms10_5on25off_3000", tmp_path)


def test_clearance_on_memory_counts_once_signed(tmp_path: Path) -> None:
    sites.enable(tmp_path, "rtms10_dash_3000")
    assert use("rtms10_dash_3000", tmp_path).judgement.support is Support.OUTSIDE
    sites.sign_tables(tmp_path, "cleared")
    assert (use("rtms10_dash_3000", tmp_path).reasons, use("rtms10_dash_3000", tmp_path).judgement.support) == ((), Support.CLEARED_EXACT)


def test_outside_is_admitted_by_research_alone_and_marked(tmp_path: Path) -> None:
    sites.enable(tmp_path, "rtms10_5on10off_6000", basis="off_label:Physician A")
    assert "outside every table and clearance: a gap of 10 s" in against("rtms10_5on10off_6000", tmp_path)
    sites.admit(tmp_path, "rtms10_5on10off_6000", 120)
    admitted = use("rtms10_5on10off_6000", tmp_path)
    assert (admitted.reasons, admitted.is_admitted, admitted.basis) == ((), True, "research:TEST-1")
    assert admitted.judgement.support is Support.OUTSIDE


def test_research_admits_up_to_its_intensity_and_no_further(tmp_path: Path) -> None:
    sites.admit(tmp_path, "rtms10_5on10off_6000", 110)
    assert use("rtms10_5on10off_6000", tmp_path, pct=110).is_admitted
    assert not use("rtms10_5on10off_6000", tmp_path, pct=110.5).is_admitted


def test_research_admits_the_file_it_named_and_no_later_one(tmp_path: Path) -> None:
    text = sites.block("admitted", "rtms10_5on10off_6000", sha256="0" * 64, basis="research:TEST-1", intensity_pct_rmt=120)
    sites.signed(tmp_path / "research.toml", text, sites.PHYSICIAN, sites.INVESTIGATOR)
    assert not use("rtms10_5on10off_6000", tmp_path).is_admitted


@pytest.mark.parametrize(
    "people",
    [
        (sites.PHYSICIAN,),
        (sites.PHYSICIAN, ("physician a", "investigator")),
        (sites.PHYSICIAN, ("Physician C", "physician")),
        (sites.INVESTIGATOR, sites.ADMINISTRATOR),
    ],
)
def test_research_needs_two_people_in_two_roles_and_a_physician_among_them(tmp_path: Path, people: tuple[tuple[str, str], ...]) -> None:
    text = sites.block("admitted", "rtms10_5on10off_6000", basis="research:TEST-1", intensity_pct_rmt=120)
    sites.signed(tmp_path / "research.toml", text, *people)
    with pytest.raises(BadProtocol, match=r"2 people in 2 roles|no physician"):
        read_protocol_site(tmp_path)


@pytest.mark.parametrize("name", ["enabled", "tables", "research"])
def test_unsigned_file_of_the_site_is_refused_and_not_passed_over(tmp_path: Path, name: str) -> None:
    sites.signed(tmp_path / f"{name}.toml", "[[files]]\n")
    with pytest.raises(BadProtocol, match="nobody has signed it"):
        read_protocol_site(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("enabled", '[[files]]\nid = "itbs9"\nsha256 = ""\n', "there is no protocol or course 'itbs9'"),
        ("enabled", '[[file]]\nid = "itbs600"\nsha256 = ""\n', r"must hold \[\[files\]\] blocks and nothing else"),
        ("enabled", '[[files]]\nid = "itbs600"\n', "files 1: sha256: missing"),
        ("enabled", '[[files]]\nid = "itbs600"\nsha256 = ""\nbasis = "cleared"\n', "itbs600: basis 'cleared' is none of"),
        ("enabled", 2 * '[[files]]\nid = "itbs600"\nsha256 = ""\n', "itbs600 stands there twice"),
        ("tables", '[[tables]]\nid = "rossi"\nsha256 = ""\n', "there is no table 'rossi'"),
        ("tables", "tables = 3\n", "blocks and nothing else"),
        ("research", f'{ADMITTED}id = "itbs9"\nbasis = "research:T"\n', "no protocol or course"),
        ("research", f'{ADMITTED}id = "itbs600"\nbasis = "off_label:A"\n', "no 'research:<protocol no.>'"),
    ],
)
def test_file_of_the_site_is_refused_by_the_fault_in_it(tmp_path: Path, name: str, text: str, fault: str) -> None:
    sites.signed(tmp_path / f"{name}.toml", text, sites.PHYSICIAN, sites.INVESTIGATOR)
    with pytest.raises(BadProtocol, match=fault):
        read_protocol_site(tmp_path)


def test_every_reason_is_told_at_once() -> None:
    reasons = use("rtms20_bortolomasi_800", coil=Coil(coil_class=None)).reasons
    assert [reason.split(" ")[0] for reason in reasons] == ["rests", "no", "outside"]
    with pytest.raises(NotUsable, match=r"rests on memory.*no basis.*outside every table"):
        require_use(load_protocol("rtms20_bortolomasi_800"), 90, read_protocol_site(None), FIGURE_8)


def test_site_without_a_folder_says_nothing(tmp_path: Path) -> None:
    assert read_protocol_site(None).enabled == {} == read_protocol_site(tmp_path).enabled


def test_signed_files_are_pinned_as_they_were_read(tmp_path: Path) -> None:
    path = sites.enable(tmp_path, "itbs1620")
    pinned = read_protocol_site(tmp_path).pinned
    assert changed_files(pinned) == ()
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert changed_files(pinned) == (path,)
    path.unlink()
    assert changed_files(pinned) == (path,)


def course_against(course_id: str, protocol_id: str, folder: Path | None = None) -> tuple[str, ...]:
    return course_reasons(load_course(course_id, folder), load_protocol(protocol_id, folder), read_protocol_site(folder))


def test_course_on_memory_is_refused_until_the_site_signs(tmp_path: Path) -> None:
    assert "rests on memory: 1800 pulses and 50 min pause" in course_against("taylor_atms", "itbs1800")[0]
    sites.enable(tmp_path, "course.taylor_atms")
    assert course_against("taylor_atms", "itbs1800", tmp_path) == ()


def test_course_is_given_with_its_own_protocol_alone() -> None:
    assert course_against("saint", "itbs1800") == ()
    assert course_against("saint", "itbs600") == ("it is a course of itbs1800, not of itbs600",)
    with pytest.raises(NotUsable, match="not of itbs600"):
        require_course(load_course("saint"), load_protocol("itbs600"), read_protocol_site(None))


def test_course_whose_sessions_are_of_another_size_is_refused(tmp_path: Path) -> None:
    text = load_course("saint").path.read_text(encoding="utf-8").replace('"course.saint"', '"course.ours"')
    larger = text.replace("pulses_per_session = 1800", "pulses_per_session = 1810")
    sites.signed(tmp_path / "courses/course.ours.toml", larger, sites.PHYSICIAN)
    assert course_against("ours", "itbs1800", tmp_path) == ("its sessions have 1810 pulses where the protocol has 1800",)


def test_course_whose_pulses_are_not_known_is_refused() -> None:
    assert "the pattern of its pulses is not known" in course_against("dmpfc_2x_60min", "itbs600")


def test_course_whose_days_differ_is_refused_while_no_limit_expresses_it() -> None:
    assert "its days differ in their number of sessions" in course_against("brocker2019", "itbs600")[1]
