"""What a training is asked to do: its cuts, its fingerprint, and where a warm update begins."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from fx_assets.storage.artifacts import Artifact
from fx_assets.storage.hashing import fingerprint
from fx_assets.training.request import Request, prepare
from tests.support.tiny_lake import TinyLake, tiny_lake

MODEL = """\
model_id: learner
kind: itransformer
pairs: [EURUSD]
window: 20
horizon: 3
hyperparameters: {{width: 8, layers: 1, heads: 1, feed_forward: 8}}
training: {{max_epochs: 1, validation_years: 1, update: {update}}}
"""


class Learner:
    """An installation whose only model of interest is `learner`."""

    def __init__(self, folder: Path, update: str = "warm") -> None:
        self.tiny: TinyLake = tiny_lake(folder)
        (self.tiny.settings.configs / "models" / "learner.yaml").write_text(MODEL.format(update=update))
        assert self.tiny.catalog.broken == {}

    def asked(self, last: date, newest: Artifact | None = None) -> Request:
        """The request after the bars of `last`."""
        self.tiny.bars("EURUSD", last)
        catalog = self.tiny.catalog
        return prepare(self.tiny.lake, catalog, catalog.models["learner"], ("EURUSD",), newest=newest)

    def registered(self, request: Request) -> Artifact:
        """A version as that request would leave it; what its files hold does not matter here."""
        manifest = {
            **request.predictor.identity(),
            "pairs": ["EURUSD"],
            "code_version": "1.1",
            "created_at": "2026-01-01T00:00:00+00:00",
            "trained_until": request.window.validate_until.isoformat(),
            "refit": request.refit.isoformat(),
            "fingerprint": request.fingerprint,
            "run_id": "run",
            "seed": 7,
        }
        store, version = self.tiny.artifacts, f"20260101T00000{len(list(self.tiny.artifacts.published()))}000000Z"
        store.stage("learner", "EURUSD", version, {"params.json": b"{}"}, manifest).publish()
        return store.load("learner", "EURUSD", version)


def test_a_cold_model_moves_its_cuts_once_a_period(tmp_path: Path) -> None:
    cold = Learner(tmp_path, "none")
    first, second = cold.asked(date(2026, 10, 20)), cold.asked(date(2026, 10, 21))
    assert first.window.train_until == second.window.train_until
    assert first.fingerprint == second.fingerprint
    assert cold.asked(date(2026, 11, 3)).fingerprint != first.fingerprint
    assert first.base is None


def test_a_warm_model_goes_on_each_night_until_the_period_ends(tmp_path: Path) -> None:
    warm = Learner(tmp_path)
    first = warm.asked(date(2026, 10, 20))
    assert first.base is None  # there is no version yet
    newest = warm.registered(first)
    again = warm.asked(date(2026, 10, 20), newest)
    assert again.fingerprint == first.fingerprint  # nothing new: the version is reused
    second = warm.asked(date(2026, 10, 21), newest)
    assert second.fingerprint != first.fingerprint
    assert second.window.train_until > first.window.train_until
    assert second.base is not None
    assert (second.base.version, dict(second.base.files)) == (newest.manifest["version"], {"params.json": b"{}"})
    assert second.base.trained_until == first.window.validate_until
    assert warm.asked(date(2026, 11, 3), newest).base is None  # a new month: from the start


@pytest.mark.parametrize("key", ["columns", "config", "refit"])
def test_a_version_of_another_make_is_no_base(tmp_path: Path, key: str) -> None:
    warm = Learner(tmp_path)
    newest = warm.registered(warm.asked(date(2026, 10, 20)))
    assert warm.asked(date(2026, 10, 21), newest).base is not None
    other: object = {"columns": ["close", "x"], "config": {}, "refit": None}[key]
    manifest = {**newest.manifest, key: other}
    if key == "config":  # the manifest holds a digest of it
        manifest["config_hash"] = fingerprint({})
    altered = Artifact(manifest, newest.files, newest.path, newest.manifest_sha256)
    assert warm.asked(date(2026, 10, 21), altered).base is None
