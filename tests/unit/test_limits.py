"""Names of limits, layers that may only tighten, and the limits in force."""

import math

import msgspec
import pytest

from daemon.limits import (
    DECIDED_BY_A_LAYER,
    LIMIT_NAMES,
    Layer,
    LimitFault,
    Limits,
    LimitsInvalid,
    LimitValue,
    Way,
    effective_limits,
    merge,
    product_layer,
    threshold_limits,
    undecided,
)

ITBS1800: dict[str, LimitValue] = {
    "max_sessions_per_day": 10,
    "max_pulses_per_day": 18_000,
    "min_gap_s": 3000,
    "max_course_sessions": 50,
    "max_treatment_days": 5,
}


def layer(name: str = "site", **limits: LimitValue) -> Layer:
    return Layer(name=name, limits=limits, sha256=f"hash of {name}")


def faults(*layers: Layer) -> list[tuple[str, str, str]]:
    return [(refused.layer, refused.key, refused.code) for refused in merge(layers).refused]


@pytest.mark.parametrize("key", [key for key, name in LIMIT_NAMES.items() if name.ceiling is not None])
def test_no_layer_gets_past_what_the_product_allows(key: str) -> None:
    name = LIMIT_NAMES[key]
    assert name.ceiling is not None
    beyond = name.ceiling + (1 if name.way is Way.AT_MOST else -1)
    assert faults(product_layer(), layer(**{key: name.ceiling})) == []
    assert faults(product_layer(), layer(**{key: beyond})) == [("site", key, "LOOSENS")]


@pytest.mark.parametrize("key", [key for key, name in LIMIT_NAMES.items() if name.default is not None])
def test_what_ships_is_never_looser_than_the_product_allows(key: str) -> None:
    default = LIMIT_NAMES[key].default
    assert default is not None
    assert faults(product_layer(), layer(**{key: default})) == []


def test_loosening_is_refused_and_not_clamped() -> None:
    site, patient = layer("site", max_sessions_per_day=6), layer("patient", max_sessions_per_day=8)
    merged = merge((layer("product", max_sessions_per_day=10), site, patient))
    assert merged.effective is None
    assert [(refused.layer, refused.code) for refused in merged.refused] == [("patient", LimitFault.LOOSENS)]


def test_minimum_may_only_rise() -> None:
    assert faults(layer("product", min_gap_s=900), layer(min_gap_s=899.9)) == [("site", "min_gap_s", "LOOSENS")]
    assert faults(layer("product", min_gap_s=900), layer(min_gap_s=900.1)) == []


def test_list_may_only_shrink() -> None:
    both = layer("product", allowed_protocols=["itbs600", "itbs1800"])
    assert merge((both, layer(allowed_protocols=["itbs600"]))).effective == {"allowed_protocols": ["itbs600"]}
    assert faults(both, layer(allowed_protocols=["itbs1800", "itbs600"])) == []
    assert faults(both, layer(allowed_protocols=["itbs600", "cTBS600"])) == [("site", "allowed_protocols", "LOOSENS")]


def test_typing_error_in_a_name_is_no_limit_less() -> None:
    assert faults(product_layer(), layer(max_session_per_day=5)) == [("site", "max_session_per_day", "UNKNOWN_LIMIT")]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, -0.5, True, False, "10", [10]])
def test_value_that_is_no_plain_number_is_refused(value: LimitValue) -> None:
    assert faults(product_layer(), layer(min_gap_s=value)) == [("site", "min_gap_s", "BAD_VALUE")]


@pytest.mark.parametrize("value", [10, "itbs600", True, [1], ["itbs600", 2]])
def test_list_of_protocols_holds_names_alone(value: LimitValue) -> None:
    assert faults(product_layer(), layer(allowed_protocols=value)) == [("site", "allowed_protocols", "BAD_VALUE")]


def test_nothing_at_all_may_be_the_most() -> None:
    assert faults(product_layer(), layer(max_sessions_per_day=0)) == []


def test_count_is_a_whole_number() -> None:
    assert faults(product_layer(), layer(max_sessions_per_day=9.5)) == [("site", "max_sessions_per_day", "BAD_VALUE")]


def test_bad_value_in_the_first_layer_is_refused_too() -> None:
    assert faults(layer("product", min_gap_s=math.nan)) == [("product", "min_gap_s", "BAD_VALUE")]


def test_every_fault_is_reported() -> None:
    found = faults(product_layer(), layer(min_gap_s=1, max_sessions_per_day=11), layer("patient", colour=3))
    assert len(found) == 3


def test_figures_of_the_protocol_are_never_made_up() -> None:
    for key in DECIDED_BY_A_LAYER:
        partial = {name: value for name, value in ITBS1800.items() if name != key}
        assert undecided((layer("protocol", **partial),)) == (key,)
        with pytest.raises(LimitsInvalid, match=f"{key} is set by no layer"):
            effective_limits((layer("protocol", **partial),), "Europe/Berlin")


def test_product_alone_decides_nothing() -> None:
    assert undecided((product_layer(),)) == DECIDED_BY_A_LAYER


def test_what_no_layer_says_has_the_shipped_default() -> None:
    limits = effective_limits((layer("protocol", **ITBS1800),), "Europe/Berlin")
    assert (limits.rolling_window_h, limits.clock_tolerance_s, limits.session_resume_window_s) == (23, 2, 600)
    assert (limits.max_sessions_per_day, limits.min_gap_s, limits.timezone) == (10, 3000, "Europe/Berlin")
    assert limits.allowed_protocols is None


def test_layer_may_go_between_default_and_ceiling() -> None:
    limits = effective_limits((layer("protocol", **ITBS1800), layer(rolling_window_h=21, allowed_protocols=["itbs1800"])), "UTC")
    assert limits.rolling_window_h == 21
    assert limits.allowed_protocols == ("itbs1800",)


def test_rolling_windows_hold_no_more_than_a_day() -> None:
    tight = layer("patient", max_sessions_per_day=4, max_pulses_per_day=7200)
    limits = effective_limits((layer("protocol", **ITBS1800), tight), "UTC")
    assert (limits.max_sessions_rolling, limits.max_pulses_rolling) == (4, 7200)


def test_rolling_window_may_be_tighter_than_the_day() -> None:
    limits = effective_limits((layer("protocol", **ITBS1800), layer(max_sessions_rolling=5)), "UTC")
    assert (limits.max_sessions_rolling, limits.max_sessions_per_day) == (5, 10)


def test_layers_that_loosen_give_no_limits() -> None:
    with pytest.raises(LimitsInvalid, match="max_sessions_per_day in the patient layer: LOOSENS"):
        effective_limits((layer("protocol", **ITBS1800), layer("patient", max_sessions_per_day=11)), "UTC")


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_unknown_time_zone_gives_no_limits(timezone: str) -> None:
    with pytest.raises(LimitsInvalid, match="time zone"):
        effective_limits((layer("protocol", **ITBS1800),), timezone)


def test_hash_changes_with_any_source() -> None:
    protocol = layer("protocol", **ITBS1800)
    hashes = {
        effective_limits((protocol,), "UTC").sha256,
        effective_limits((protocol,), "Europe/Berlin").sha256,
        effective_limits((protocol, layer(max_sessions_per_day=9)), "UTC").sha256,
        effective_limits((protocol, layer(max_sessions_per_day=10)), "UTC").sha256,
        effective_limits((msgspec.structs.replace(protocol, sha256="edited"),), "UTC").sha256,
    }
    assert len(hashes) == 5


# ---- limits in force ---------------------------------------------------------------------------------------------------


def in_force(*layers: Layer) -> Limits:
    return effective_limits((layer("protocol", **ITBS1800), *layers), "UTC")


@pytest.mark.parametrize(
    "changes",
    [
        {"min_gap_s": math.nan},
        {"min_gap_s": math.inf},
        {"max_pulses_per_day": -1},
        {"max_sessions_per_day": True},
        {"max_sessions_per_day": 9.5},
        {"max_set_point_mso": "100"},
        {"rolling_window_h": 0},
        {"timezone": "Mars/Olympus"},
        {"max_mt_pulses_per_day": math.nan},
    ],
)
def test_limits_that_are_none_cannot_be_built(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no limit|no length|unknown"):
        msgspec.structs.replace(in_force(), **changes)


@pytest.mark.parametrize("changes", [{"max_sessions_per_day": 11}, {"min_gap_s": 2999}, {"allowed_protocols": ("itbs600", "itbs1800")}])
def test_limits_looser_than_a_layer_they_name_cannot_be_built(changes: dict[str, object]) -> None:
    limits = in_force(layer("patient", allowed_protocols=["itbs1800"]))
    with pytest.raises(ValueError, match="looser than the"):
        msgspec.structs.replace(limits, **changes)


def test_limits_name_every_layer_with_its_values_and_hash() -> None:
    named = in_force(layer("site", max_sessions_per_day=10)).layers
    assert [(each.name, each.sha256) for each in named[1:]] == [("protocol", "hash of protocol"), ("site", "hash of site")]
    assert named[0] == product_layer()


def test_twenty_sessions_a_day_are_the_most_even_with_a_licence() -> None:
    licensed = Layer(name="site", limits={}, sha256="", signed=True, one_d_licence="K-1")
    for most, fault in ((20, []), (21, ["LOOSENS"])):
        protocol = layer("protocol", **(ITBS1800 | {"max_sessions_per_day": most}))
        assert [refused.code for refused in merge((product_layer(one_d=True), licensed, protocol)).refused] == fault


@pytest.mark.parametrize(("sessions", "hours"), [(1, 168), (2, 24), (10, 24)])
def test_threshold_of_an_accelerated_course_is_a_days_and_else_a_weeks(sessions: int, hours: int) -> None:
    assert in_force(layer("patient", max_sessions_per_day=sessions)).mt_max_age_h == hours


def test_site_decides_itself_how_old_a_threshold_may_be() -> None:
    assert in_force(layer(mt_max_age_h=100)).mt_max_age_h == 100
    assert faults(product_layer(), layer(mt_max_age_h=169)) == [("site", "mt_max_age_h", "LOOSENS")]


def test_while_the_threshold_is_sought_no_treatment_is_allowed_and_the_patients_limits_hold() -> None:
    limits = threshold_limits((layer("site", max_mt_pulses_per_day=150), layer("patient", max_sessions_per_day=4)), "UTC")
    assert (limits.max_sessions_per_day, limits.max_pulses_per_day, limits.max_mt_pulses_per_day) == (0, 0, 150)
    with pytest.raises(LimitsInvalid, match="max_mt_pulses_per_day in the patient layer: LOOSENS"):
        threshold_limits((layer("site", max_mt_pulses_per_day=150), layer("patient", max_mt_pulses_per_day=151)), "UTC")


def test_limits_come_back_from_the_ledger_as_they_were_written() -> None:
    limits = in_force(layer("patient", allowed_protocols=["itbs1800"], max_sessions_per_day=4))
    assert msgspec.json.decode(msgspec.json.encode(limits), type=Limits) == limits
