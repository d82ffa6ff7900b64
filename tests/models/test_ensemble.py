"""An ensemble as a model: what its spec may say, what its checkpoint may be, and what it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fx_assets.features.plan import PLAN
from fx_assets.models.base import BasePredictor, InvalidCheckpoint, InvalidInput, ModelMismatch, NotLoaded, Row
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.members import ENSEMBLE, member_spec, members_of, moments, prefixed
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.ensemble import EnsemblePredictor
from fx_assets.models.registry import check_model, predictor_class
from fx_assets.specs.schema import ModelSpec
from tests.models.simulated import cuts, model_spec, pair_history

HISTORY = pair_history(n=300, features=2)
MEMBERS: list[dict[str, Any]] = [
    {"kind": "random_walk"},
    {"kind": "har"},
    {"kind": "random_walk", "hyperparameters": {"alpha": 0.3}},
]
WEIGHTS = (0.5, 0.3, 0.2)


class Watching(BasePredictor):
    """Keeps what it was asked; its location is the last feature, and a little of what is known ahead."""

    kind = "test_watching"
    uses_features = True
    uses_ahead = True

    def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
        del histories, rng
        return {}

    def _predict(self, window: FloatArray) -> Row:
        return self._predict_ahead(window, None)

    def _predict_ahead(self, window: FloatArray, ahead: FloatArray | None) -> Row:
        extra = 0.0 if ahead is None else ahead.sum(axis=1)
        location = np.full(self.spec.horizon, window[-1, -1]) + extra
        return Row(location, np.ones(self.spec.horizon), ("seen", f"{window.shape[1]} columns"))


def ensemble(*members: Mapping[str, Any], **changes: Any) -> ModelSpec:
    return model_spec("ensemble", ensemble={"members": members or MEMBERS}, **changes)


def said(spec: ModelSpec, *weights: float, **changes: Any) -> bytes:
    """`ensemble.json` with these weights for the first members of the spec."""
    members = [
        {"member": number, "kind": members_of(spec).members[number].kind, "weight": weight, "loss": 0.5}
        for number, weight in enumerate(weights)
    ]
    folds = [["2015-06-01T22:00:00+00:00", "2015-07-01T22:00:00+00:00", "2015-08-01T22:00:00+00:00"]]
    return dump_params({"format": 1, "members": members, "loss": 0.4, "folds": folds, **changes})


def alone(spec: ModelSpec, number: int, history: PairHistory = HISTORY) -> tuple[BasePredictor, dict[str, bytes]]:
    """A member as a model of its own, loaded, and its files."""
    own = member_spec(spec, members_of(spec).members[number])
    cls = predictor_class(own.kind)
    seen = history if cls.uses_features else history.bare()
    predictor = cls(own, seen.columns)
    files = predictor.fit({"EURUSD": seen}, cuts(history), seed=1)
    predictor.load_model(files, predictor.identity())
    return predictor, files


def checkpoint(spec: ModelSpec, *weights: float) -> dict[str, bytes]:
    files = {ENSEMBLE: said(spec, *weights)}
    for number in range(len(weights)):
        files |= prefixed(alone(spec, number)[1], number)
    return files


def empty(spec: ModelSpec) -> EnsemblePredictor:
    return EnsemblePredictor(spec, HISTORY.columns if spec.features else ("close",))


def loaded(spec: ModelSpec, files: Mapping[str, bytes]) -> EnsemblePredictor:
    predictor = empty(spec)
    assert predictor.load_model(files, predictor.identity()).skipped == []
    return predictor


BATCH = np.stack([HISTORY.bare().window(row, 30) for row in (210, 240, 299)])


def test_it_answers_with_the_moments_of_its_members() -> None:
    spec = ensemble()
    answer = loaded(spec, checkpoint(spec, *WEIGHTS)).predict(BATCH)
    members = [alone(spec, number)[0].predict(BATCH) for number in range(3)]
    location, scale = moments(
        np.array(WEIGHTS), np.array([row.location for row in members]), np.array([row.scale for row in members])
    )
    assert answer.location.tobytes() == location.tobytes()
    assert answer.scale.tobytes() == scale.tobytes()
    assert not np.allclose(answer.scale, members[0].scale, rtol=1e-4)


def test_members_get_what_their_kind_reads() -> None:
    spec = ensemble(
        {"kind": "random_walk"}, {"kind": "test_watching"}, {"kind": "har"}, features="core", known_ahead=["weekday"]
    )
    derived = [member_spec(spec, member) for member in members_of(spec).members]
    assert [own.features for own in derived] == [None, "core", None]
    assert [own.known_ahead for own in derived] == [(), ("weekday",), ()]
    assert [own.target for own in derived] == ["log_return", "log_return", "volatility"]
    assert {own.model_id for own in derived} == {spec.model_id}
    predictor = loaded(spec, checkpoint(spec, 0.5, 0.5))
    ahead = np.linspace(-1, 1, 5)[None, :, None]
    window = HISTORY.window(240, 30)
    answer = predictor.predict(window[None], ahead)
    np.testing.assert_allclose(answer.location[0], 0.5 * (window[-1, -1] + ahead[0, :, 0]))
    assert answer.notes == (("test_watching: seen", "test_watching: 3 columns"),)


def test_equal_notes_are_said_once() -> None:
    spec = ensemble({"kind": "test_watching"}, {"kind": "test_watching"}, features="core")
    answer = loaded(spec, checkpoint(spec, 0.5, 0.5)).predict(HISTORY.window(240, 30)[None])
    assert answer.notes == (("test_watching: seen", "test_watching: 3 columns"),)


def test_values_that_a_search_found_are_the_members() -> None:
    spec = ensemble({"kind": "random_walk"})
    files = checkpoint(spec, 1.0)
    stored = json.loads(files[ENSEMBLE])
    stored["members"][0]["values"] = {"hyperparameters.alpha": 0.3, "training.max_epochs": 5}
    answer = loaded(spec, {**files, ENSEMBLE: dump_params(stored)}).predict(BATCH)
    expected = alone(ensemble({"kind": "random_walk", "hyperparameters": {"alpha": 0.3}}), 0)[0].predict(BATCH)
    np.testing.assert_array_equal(answer.scale, expected.scale)
    assert (answer.scale != alone(spec, 0)[0].predict(BATCH).scale).any()
    stored["members"][0]["values"] = {"hyperparameters.alpha": 3.0}
    with pytest.raises(InvalidCheckpoint, match=r"m0 \(random_walk\): the values its search found.*alpha"):
        loaded(spec, {**files, ENSEMBLE: dump_params(stored)})


def test_gaps_are_taken_where_every_reading_member_fills_them() -> None:
    keep = {"keep": ["feature_0", "feature_1"], "fill": {"feature_0": 0.0, "feature_1": 0.25}}
    plan = {"format": 1, "given": keep["keep"], "reports": {}, "steps": [{"stage": "selection", "params": keep}]}
    spec = ensemble({"kind": "random_walk"}, {"kind": "test_watching"}, {"kind": "test_watching"}, features="core")
    files = checkpoint(spec, 0.25, 0.25, 0.5)
    one, both = {"m1." + PLAN: json.dumps(plan).encode()}, {"m2." + PLAN: json.dumps(plan).encode()}
    window = HISTORY.window(240, 30)
    window[-1, -1] = np.nan
    whole = loaded(spec, files | one | both)
    assert whole.gaps
    np.testing.assert_allclose(whole.predict(window[None]).location, 0.75 * 0.25)
    part = loaded(spec, files | one)
    assert not part.gaps
    with pytest.raises(InvalidInput, match="finite number"):
        part.predict(window[None])
    assert not loaded(ensemble(), checkpoint(ensemble(), *WEIGHTS)).gaps


def broken(spec: ModelSpec, **changes: Any) -> dict[str, bytes]:
    return {**checkpoint(spec, *WEIGHTS), ENSEMBLE: said(spec, *WEIGHTS, **changes)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "ensemble.json: format: "),
        ({"members": []}, "ensemble.json: members: "),
        ({"folds": []}, "ensemble.json: folds: "),
        ({"surprise": 1}, "ensemble.json: surprise: Extra"),
        ({"members": [{"member": 0, "kind": "random_walk", "weight": 0.9, "loss": 1}]}, "the weights sum to 0.9"),
        ({"members": [{"member": 0, "kind": "random_walk", "weight": -1, "loss": 1}]}, "members.0.weight"),
        ({"members": [{"member": 1, "kind": "random_walk", "weight": 1, "loss": 1}]}, "no 'random_walk' as member 1"),
        ({"members": [{"member": 9, "kind": "har", "weight": 1, "loss": 1}]}, "no 'har' as member 9"),
    ],
    ids=["format", "nobody", "folds", "extra", "sum", "negative", "other kind", "out of range"],
)
def test_a_spoilt_description_is_refused(changes: dict[str, Any], message: str) -> None:
    spec = ensemble()
    files = broken(spec, **changes)
    with pytest.raises(InvalidCheckpoint, match=message):
        loaded(spec, files)
    predictor = empty(spec)
    (line,) = predictor.load_model(files, predictor.identity(), strict=False).skipped
    assert line.startswith(ENSEMBLE)
    with pytest.raises(NotLoaded, match="no member was loaded"):
        predictor.predict(BATCH)


def test_a_member_that_cannot_be_loaded_is_refused_or_left_out_by_name() -> None:
    spec = ensemble()
    files = checkpoint(spec, *WEIGHTS)
    del files["m1." + PARAMS]
    with pytest.raises(InvalidCheckpoint, match=r"m1 \(har\): params.json is missing"):
        loaded(spec, files)
    predictor = empty(spec)
    (line,) = predictor.load_model(files, predictor.identity(), strict=False).skipped
    assert line.startswith("m1 (har): params.json is missing")
    members = [alone(spec, number)[0].predict(BATCH).scale for number in (0, 2)]
    variance = (0.5 * members[0] ** 2 + 0.2 * members[1] ** 2) / 0.7
    np.testing.assert_allclose(predictor.predict(BATCH).scale, np.sqrt(variance))


def test_another_spec_is_refused() -> None:
    first = ensemble()
    files = checkpoint(first, *WEIGHTS)
    for other in (ensemble(*MEMBERS[:2]), ensemble(horizon=6)):
        with pytest.raises(ModelMismatch, match=r"config\.(ensemble|horizon)"):
            empty(other).load_model(files, empty(first).identity())
    longer = empty(ensemble(horizon=6))
    skipped = longer.load_model(files, empty(first).identity(), strict=False).skipped
    assert [line.partition(":")[0] for line in skipped] == ["config.horizon", "m1 (har)"]
    assert longer.predict(BATCH).scale.shape == (3, 6)


def test_it_fits_by_a_trainer_only() -> None:
    with pytest.raises(TypeError, match="trains by ensemble"):
        empty(ensemble()).fit({"EURUSD": HISTORY.bare()}, cuts(HISTORY), seed=1)


NETWORK: dict[str, Any] = {"kind": "itransformer", "hyperparameters": {"width": 10, "heads": 4}}
SEARCH = {"space": {"hyperparameters.alpha": {"low": 0.01, "high": 0.3}}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ensemble(), []),
        (
            ensemble(*MEMBERS, NETWORK),
            [("ensemble.members.3.hyperparameters.width", "10 is not a multiple of 4 heads")],
        ),
        (
            ensemble({"kind": "har", "hyperparameters": {"lgas": [1]}}),
            [("ensemble.members.0.hyperparameters.lgas", "unknown key.*lags")],
        ),
        (ensemble({"kind": "random_wlak"}), [("ensemble.members.0.kind", "unknown kind 'random_wlak'.*random_walk")]),
        (
            ensemble({"kind": "random_walk"}, {"kind": "ensemble"}),
            [("ensemble.members.1.kind", "cannot be a member.*list its members here")],
        ),
        (ensemble(scope="panel"), [("ensemble.members.1.kind", "'har' has no scope 'panel'.*leave this member out")]),
        (ensemble(window=20), [("window", r"member 1 \(har\): 20 bars have 19 returns.*leave the member out")]),
        (ensemble(features="core"), [("features", "no member reads features; remove this key")]),
        (ensemble(known_ahead=["weekday"]), [("known_ahead", "no member takes.*remove this key")]),
        (ensemble(training={"update": "warm"}), [("training.update", "write none")]),
        (
            ensemble({"kind": "random_walk", "keep": 2}),
            [("ensemble.members.0.keep", "without a search there is one candidate, not 2")],
        ),
        (ensemble({"kind": "random_walk", "keep": 2, "search": SEARCH}), []),
        (ensemble(search=SEARCH), [("search", "move this key to one of ensemble.members")]),
        (model_spec("ensemble"), [("ensemble", "this key is missing")]),
        (
            ensemble({**NETWORK, "hyperparameters": {}}, target="volatility"),
            [("ensemble.members.0.hyperparameters.head", "no width to learn")],
        ),
    ],
)
def test_problems_are_said_with_their_place_and_remedy(spec: ModelSpec, expected: list[tuple[str, str]]) -> None:
    found = check_model(spec)
    assert [path for path, _ in found] == [path for path, _ in expected]
    for (_, message), (_, pattern) in zip(found, expected, strict=True):
        assert re.search(pattern, message), message
    if found:
        with pytest.raises(ValueError, match="model tried: "):
            EnsemblePredictor(spec)
