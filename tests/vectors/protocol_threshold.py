"""Vectors of the motor threshold and of the set point that follows from it."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from calibration.depth import Clamps, Corrected, efield, linear
from calibration.motor_threshold import CRITERION_NEGATIVE, CRITERION_POSITIVE, Ask, Found, RelativeFrequency, Trial, levels_of
from calibration.motor_threshold_likelihood import GRID_MSO, RELATIVE_SPREAD, estimate, log_likelihood, next_stimulus, posterior

Values = Mapping[str, Any]


def _relative_frequency(given: Values, _expect: Values) -> Values:
    _same(given.get("criterion_positive", CRITERION_POSITIVE), CRITERION_POSITIVE, "criterion_positive")
    _same(given.get("criterion_negative", CRITERION_NEGATIVE), CRITERION_NEGATIVE, "criterion_negative")
    search = RelativeFrequency(start_mso=given["start_mso"], step_mso=given["step_mso"], raise_mso=None)
    trials: list[Trial] = []
    for response in given["responses"]:
        step = search.after(trials)
        if not isinstance(step, Ask):
            break
        trials.append(Trial(step.stimulus_mso, bool(response)))
    found = search.after(trials)
    return {
        "mt": round(found.threshold_mso) if isinstance(found, Found) else None,
        "pulses": len(trials),
        "levels": [[level.stimulus_mso, level.positives, level.pulses] for level in levels_of(trials)],
    }


def _mle_pest(given: Values, _expect: Values) -> Values:
    _check_model(given)
    stimulus, trials, estimates = given["start_mso"], [], []
    for response in given["responses"]:
        trials.append(Trial(stimulus, bool(response)))
        estimates.append(estimate(trials).mso)
        stimulus = next_stimulus(estimates[-1])
    last = estimate(trials)
    return {
        "stimuli": [trial.stimulus_mso for trial in trials],
        "estimates": estimates,
        "final_estimate": last.mso,
        "final_ci95": list(last.interval_mso),
        "next_stimulus": stimulus,
    }


def _mle_fixed(given: Values, expect: Values) -> Values:
    _check_model(given)
    trials = _trials(given["observations"])
    found = estimate(trials)
    at = {key: log_likelihood(np.array([float(key)]), trials)[0] for key in expect.get("loglik_at", {})}
    return {"estimate": found.mso, "ci95": list(found.interval_mso), "loglik_at": at}


def _bayes(given: Values, _expect: Values) -> Values:
    _check_model(given)
    found = posterior(_trials(given["observations"]), given["prior_mean"], given["prior_sd"])
    return {"posterior_mean": found.mean_mso, "posterior_sd": found.sd_mso, "ci95": list(found.interval_mso)}


def _trials(observations: Sequence[Sequence[int]]) -> list[Trial]:
    return [Trial(stimulus, bool(response)) for stimulus, response in observations]


def _check_model(given: Values) -> None:
    """The grid and the model are the product's own: a vector of another one is no vector of ours."""
    _same(given.get("rel_sd", RELATIVE_SPREAD), RELATIVE_SPREAD, "rel_sd")
    _same(list(given.get("grid_mso", [1.0, 100.0, 0.1])), [float(GRID_MSO[0]), float(GRID_MSO[-1]), 0.1], "grid_mso")
    _same(given.get("pseudo_observations", [[0, 0], [100, 1]]), [[0, 0], [100, 1]], "pseudo_observations")


def _same(got: object, ours: object, name: str) -> None:
    if got != ours:
        raise ValueError(f"{name} is {got!r}, the product has {ours!r}")


def _linear(given: Values, _expect: Values) -> Values:
    found = linear(
        Fraction(given["rmt_mso"]),
        Fraction(given["fraction_of_adjusted_mt"]),
        Fraction(given["slope_mso_per_mm"]),
        Fraction(given["d_m1_mm"]),
        Fraction(given["d_target_mm"]),
        _clamps(given),
    )
    return _corrected(found) | {"adjusted_mt_mso": float(found.base_mso)}


def _efield(given: Values, _expect: Values) -> Values:
    rmt = Fraction(given["rmt_mso"])
    found = efield(rmt, Fraction(given["fraction"]), Fraction(given["e_m1"]), Fraction(given["e_target"]), _clamps(given))
    return _corrected(found) | {
        "motor_equivalent_mso": float(found.base_mso),
        "motor_equivalent_pct_rmt": float(found.base_mso / rmt * 100),
    }


def _clamps(given: Values) -> Clamps:
    return Clamps(of_threshold=Fraction(given["cap_of_rmt"]), max_set_point_mso=Fraction(given.get("max_set_point_mso", "100")))


def _corrected(found: Corrected) -> dict[str, Any]:
    return {
        "requested_mso": float(found.wanted_mso),
        "limit_mso": float(found.limit_mso),
        "clamped": found.is_limited,
        "set_point_mso": found.set_point_mso,
    }


_MODEL = ("rel_sd", "grid_mso", "pseudo_observations")
_DEPTH = ("rmt_mso", "cap_of_rmt", "max_set_point_mso")
INPUT_KEYS: Mapping[str, frozenset[str]] = {
    "mt_relative_frequency": frozenset(("start_mso", "step_mso", "responses", "criterion_positive", "criterion_negative")),
    "mt_mle_pest": frozenset((*_MODEL, "start_mso", "responses")),
    "mt_mle_fixed": frozenset((*_MODEL, "observations")),
    "mt_bayes": frozenset((*_MODEL, "observations", "prior_mean", "prior_sd")),
    "depth_linear": frozenset((*_DEPTH, "d_m1_mm", "d_target_mm", "fraction_of_adjusted_mt", "slope_mso_per_mm")),
    "depth_efield": frozenset((*_DEPTH, "e_m1", "e_target", "fraction")),
}
RUNNERS: Mapping[str, Callable[[Values, Values], Values]] = {
    "mt_relative_frequency": _relative_frequency,
    "mt_mle_pest": _mle_pest,
    "mt_mle_fixed": _mle_fixed,
    "mt_bayes": _bayes,
    "depth_linear": _linear,
    "depth_efield": _efield,
}
