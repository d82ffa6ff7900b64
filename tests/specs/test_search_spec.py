"""What a model's file may say of a search and of an ensemble."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fx_assets.specs.schema import Choice, EnsembleSpec, ModelSpec, Range, SearchSpec


def model(**changes: Any) -> ModelSpec:
    base = {"model_id": "tried", "kind": "itransformer", "pairs": "all", "window": 30, "horizon": 5}
    return ModelSpec.model_validate({**base, **changes})


def test_a_space_is_ranges_and_choices_of_known_keys() -> None:
    space = {
        "hyperparameters.width": {"choices": [32, 64]},
        "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    }
    search = SearchSpec.model_validate({"space": space})
    assert search.space["hyperparameters.width"] == Choice(choices=(32, 64))
    assert search.space["training.learning_rate"] == Range(low=1e-4, high=1e-2, log=True)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "at least 1"),
        ({"hyperparameters": {"choices": [1]}}, "expected hyperparameters.<name> or one of training.batch_size"),
        ({"training.seed": {"choices": [1]}}, "'training.seed': expected"),
        ({"window": {"choices": [1]}}, "'window': expected"),
        ({"training.batch_size": {"low": 2, "high": 2}}, "expected low < high"),
        ({"training.weight_decay": {"low": 0, "high": 1, "log": True}}, "a logarithmic range needs low > 0"),
        ({"training.batch_size": {"low": 1.5, "high": 4, "whole": True}}, "a range of whole numbers"),
    ],
)
def test_other_spaces_are_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SearchSpec.model_validate({"space": space})


def test_a_varied_model_has_the_values_and_no_search() -> None:
    spec = model(search={"space": {"hyperparameters.width": {"choices": [32]}}}, hyperparameters={"heads": 2})
    varied = spec.varied({"hyperparameters.width": 32, "training.learning_rate": 0.01})
    assert varied.hyperparameters == {"heads": 2, "width": 32}
    assert varied.training.learning_rate == 0.01
    assert varied.search is None
    assert spec.hyperparameters == {"heads": 2}
    with pytest.raises(ValidationError, match="greater than 0"):
        spec.varied({"training.learning_rate": -1.0})


def test_search_and_members_decide_what_a_checkpoint_is() -> None:
    spec = model(ensemble={"members": [{"kind": "har"}]})
    assert spec.ensemble == EnsembleSpec.model_validate({"members": [{"kind": "har"}]})
    assert model().training_config() != spec.training_config()
    longer = model(search={"trials": 30, "space": {"hyperparameters.width": {"choices": [32]}}})
    assert longer.training_config()["search"]["trials"] == 30


def test_known_ahead_names_each_column_once() -> None:
    assert model(known_ahead=["weekday", "gap"]).known_ahead == ("weekday", "gap")
    with pytest.raises(ValidationError, match="each name once"):
        model(known_ahead=["gap", "gap"])
    with pytest.raises(ValidationError, match="weekday"):
        model(known_ahead=["moon"])
