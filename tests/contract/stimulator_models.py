"""Every model that the contract holds for, and the mark that gives a test those of them that can show what it needs."""

import pytest

from tests.contract import stimulator_kit_lsl, stimulator_kit_magstim, stimulator_kit_magventure
from tests.contract.stimulator_kit import Model, Trouble

MODELS = (*stimulator_kit_magventure.MODELS, *stimulator_kit_magstim.MODELS, *stimulator_kit_lsl.MODELS)


def every_model(*needed: Trouble) -> pytest.MarkDecorator:
    """A model that cannot show something stays in the list, skipped with its reason."""
    return pytest.mark.parametrize("model", [pytest.param(model, id=model.name, marks=_marks(model, needed)) for model in MODELS])


def every_model_in(*troubles: Trouble, also: tuple[Trouble, ...] = ()) -> pytest.MarkDecorator:
    """Each model in each of these troubles, where it can also show the rest."""
    params = [
        pytest.param(model, trouble, id=f"{model.name}: {trouble}", marks=_marks(model, (trouble, *also)))
        for model in MODELS
        for trouble in troubles
    ]
    return pytest.mark.parametrize(("model", "trouble"), params)


def _marks(model: Model, needed: tuple[Trouble, ...]) -> list[pytest.MarkDecorator]:
    why = model.cannot(*needed)
    return [] if why is None else [pytest.mark.skip(reason=f"{model.name}: {why}")]
