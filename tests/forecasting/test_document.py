"""The document's form, its schema, and what counts as the same content."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import ValidationError

from fx_assets.forecasting import certificate as certificates
from fx_assets.forecasting import document as documents
from fx_assets.forecasting.document import (
    UNTESTED_NOTE,
    Evaluation,
    ForecastDocument,
    level_key,
    same_content,
    with_evaluation,
)
from fx_assets.models import manifest as manifests
from fx_assets.models.base import BasePredictor
from fx_assets.models.manifest import Manifest
from fx_assets.storage.artifacts import ArtifactStore
from fx_assets.timegrid.windows import EvaluationWindow
from tests.evaluation.test_certify import made, scores
from tests.forecasting.conftest import NOW, VERSION, Issuer

SCHEMAS = Path(documents.__file__).parents[1] / "schemas"
REWRITE = "rewrite it with: Path(...).write_text({}.schema_text())"


@pytest.mark.parametrize(
    ("module", "name"), [(documents, "forecast"), (manifests, "manifest"), (certificates, "certificate")]
)
def test_the_packaged_schema_is_that_of_the_code(module: Any, name: str) -> None:
    found = (SCHEMAS / f"{name}.schema.json").read_text()
    assert found == module.schema_text(), REWRITE.format(module.__name__)
    jsonschema.Draft202012Validator.check_schema(json.loads(found))


def test_a_document_as_served_fits_the_schema_and_a_broken_one_does_not(document: ForecastDocument) -> None:
    schema = json.loads((SCHEMAS / "forecast.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    served = json.loads(document.model_dump_json())
    validator.validate(served)
    for broken in ({**served, "verdict": "certainly"}, {**served, "surprise": 1}, {**served, "last_price": 0}):
        assert not validator.is_valid(broken)


def test_a_stored_manifest_is_read_and_fits_its_schema(
    walk: tuple[BasePredictor, Manifest, EvaluationWindow], tmp_path: Path
) -> None:
    written = json.loads(walk[1].model_dump_json())
    own = {"format", "model_id", "scope", "version", "files", "digest"}
    content = {key: value for key, value in written.items() if key not in own}
    store = ArtifactStore(tmp_path)
    store.stage("walk", "USDJPY", VERSION, {"params.json": b"{}"}, content).publish()
    stored = dict(store.load("walk", "USDJPY", VERSION).manifest)
    found = Manifest.model_validate(stored)
    assert found.files["params.json"].size == 2
    assert found.config_hash == walk[1].config_hash
    jsonschema.Draft202012Validator(manifests.json_schema()).validate(stored)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"window": 3}}, "config_hash is not the fingerprint of config"),
        ({"scope": "EURUSD"}, r"scope EURUSD goes with pairs \[EURUSD\]"),
        ({"format": 2}, "Input should be 1"),
        ({"pickled": True}, "Extra inputs are not permitted"),
        ({"files": {"../params.json": {"sha256": "0" * 64, "size": 1}}}, "String should match pattern"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    walk: tuple[BasePredictor, Manifest, EvaluationWindow], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Manifest.model_validate({**walk[1].model_dump(), **change})


def changed(document: ForecastDocument, **fields: Any) -> ForecastDocument:
    return ForecastDocument.model_validate({**document.model_dump(), **fields})


def crossed(horizon: dict[str, Any]) -> None:
    horizon["quantiles"]["0.25"] = horizon["quantiles"]["0.75"] + 1


def negative(horizon: dict[str, Any]) -> None:
    horizon["quantiles"]["0.05"] = -1.0


def disordered(horizon: dict[str, Any]) -> None:
    horizon["quantiles"] = {"0.9": 150.0, "0.5": 150.0}


def not_a_number(horizon: dict[str, Any]) -> None:
    horizon["median"] = float("nan")


def repeated(horizon: dict[str, Any]) -> None:
    horizon["h"] = 2


def fewer_levels(horizon: dict[str, Any]) -> None:
    horizon["quantiles"].pop("0.05")


def late(horizon: dict[str, Any]) -> None:
    horizon["target_time"] += timedelta(days=30)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (crossed, "quantiles cross"),
        (negative, "greater than 0"),
        (disordered, "levels are not increasing"),
        (not_a_number, "finite number"),
        (repeated, "every step from 1 to 20 once"),
        (fewer_levels, "same quantile levels"),
        (late, "target times are not increasing"),
    ],
)
def test_a_document_that_is_no_distribution_cannot_be_made(
    document: ForecastDocument, spoil: Any, message: str
) -> None:
    content = document.model_dump()
    content["horizons"] = [dict(item, quantiles=dict(item["quantiles"])) for item in content["horizons"]]
    spoil(content["horizons"][0])
    with pytest.raises(ValidationError, match=message):
        ForecastDocument.model_validate(content)


def test_naive_times_are_refused(document: ForecastDocument) -> None:
    with pytest.raises(ValidationError, match="timezone"):
        changed(document, issued_at=NOW.replace(tzinfo=None))


def test_the_same_numbers_at_another_time_are_the_same_content(issued: Issuer, document: ForecastDocument) -> None:
    again = issued(now=NOW + timedelta(days=40), run_id="run-2")
    assert again.stale
    assert again.horizons[0].retrospective
    assert again != document
    assert same_content(document, again)


@pytest.mark.parametrize(
    "fields",
    [
        {"last_price": 1.0},
        {"model_version": "other"},
        {"champion": "other"},
        {"notes": ("said otherwise",)},
        {"in_sample": True},
        {"revision": "replay"},
        {"signal": 0.5},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_anything_else_is_other_content(document: ForecastDocument, fields: dict[str, Any]) -> None:
    assert not same_content(document, changed(document, **fields))


def test_one_bit_of_one_quantile_is_other_content(document: ForecastDocument) -> None:
    import math

    content = document.model_dump()
    quantiles = content["horizons"][7]["quantiles"]
    quantiles["0.95"] = math.nextafter(quantiles["0.95"], math.inf)
    assert not same_content(document, ForecastDocument.model_validate(content))
    lineage = {**document.lineage.model_dump(), "data_version": "d2"}
    assert not same_content(document, changed(document, lineage=lineage))


def test_evaluation_is_joined_from_the_summary(document: ForecastDocument) -> None:
    row: dict[str, Any] = {"horizon": 1, "crps": 25.0, "crps_random_walk": 26.0, "ratio": 25 / 26, "coverage_80": 0.8}
    row |= {"windows": 250, "independent_windows": 250, "first": NOW - timedelta(days=365), "last": NOW}
    joined = with_evaluation(document, {20: {**row, "horizon": 20}, 1: row})
    assert joined.evaluation == Evaluation.model_validate(row)
    assert joined.notes == (UNTESTED_NOTE,)
    assert joined.model_copy(update={"evaluation": None, "notes": ()}) == document
    assert with_evaluation(joined, None).evaluation is None
    assert with_evaluation(joined, None).notes == (UNTESTED_NOTE,), "it is said once"
    with pytest.raises(ValidationError, match="crps"):
        with_evaluation(document, {1: {**row, "crps": float("nan")}})


def test_a_certificate_that_is_joined_says_the_verdict(document: ForecastDocument) -> None:
    certificate = made(scores(better=0.05))
    joined = with_evaluation(with_evaluation(document, None), None, certificate)
    assert (joined.verdict, joined.certificate) == ("skill shown", certificate)
    assert joined.notes == (certificates.in_words(certificate),)
    schema = json.loads((SCHEMAS / "forecast.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(joined.model_dump_json()))


@pytest.mark.parametrize(("level", "key"), [(0.1, "0.1"), (0.05, "0.05"), (0.995, "0.995"), (0.1 + 0.2, "0.3")])
def test_levels_are_named_as_people_write_them(level: float, key: str) -> None:
    assert level_key(level) == key


@pytest.mark.parametrize("level", [0.0, 1.0, 0.1234, float("nan")])
def test_other_levels_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"expected a multiple of 0\.005"):
        level_key(level)
