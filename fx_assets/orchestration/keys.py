"""Asset keys by stage, in one place: rooms name each other's assets through these."""

from __future__ import annotations

import dagster as dg

RAW = dg.AssetKey(["prices", "raw"])
OWNERS = ["team:fx"]
INGEST_JOB = "ingest"


def exog(group: str) -> dg.AssetKey:
    """A group of exogenous series, e.g. `exog/fear_greed`."""
    return dg.AssetKey(["exog", group])


def exog_job(group: str) -> str:
    """Job that reads one series of a group."""
    return f"exog_{group}"


def bars(frequency: str) -> dg.AssetKey:
    """Bars at a frequency, e.g. `bars/1d`."""
    return dg.AssetKey(["bars", frequency])


def features(name: str) -> dg.AssetKey:
    """The candidate matrix of a feature set, e.g. `features/core`."""
    return dg.AssetKey(["features", name])


def stage(name: str, stage_name: str) -> dg.AssetKey:
    """One stage of a feature set, e.g. `features/core/indicators`."""
    return dg.AssetKey(["features", name, stage_name])


def selection(model_id: str) -> dg.AssetKey:
    """What the live checkpoint of a model kept of its features."""
    return dg.AssetKey(["selection", model_id])


def checkpoint(model_id: str) -> dg.AssetKey:
    """Trained checkpoints of a model."""
    return dg.AssetKey(["checkpoints", model_id])


def walk(model_id: str) -> dg.AssetKey:
    """Forecasts of a model's earlier selves."""
    return dg.AssetKey(["walk", model_id])


def ranges(model_id: str) -> dg.AssetKey:
    """How far outcomes have moved the ranges of a model's newest version."""
    return dg.AssetKey(["ranges", model_id])


def forecast(model_id: str) -> dg.AssetKey:
    """Forecasts of a model."""
    return dg.AssetKey(["forecasts", model_id])


def scores(model_id: str) -> dg.AssetKey:
    """Per-window losses of a model."""
    return dg.AssetKey(["scores", model_id])


def references(frequency: str) -> dg.AssetKey:
    """Variances of GARCH-t and HAR on bars of a frequency."""
    return dg.AssetKey(["references", frequency])


def certificate(model_id: str) -> dg.AssetKey:
    """What a model was measured to be worth."""
    return dg.AssetKey(["certificates", model_id])


def champions(frequency: str) -> dg.AssetKey:
    """Who serves each pair at a frequency, since when and why."""
    return dg.AssetKey(["champions", frequency])


def scorecard(frequency: str) -> dg.AssetKey:
    """Forecasts of bars of a frequency that came due, with what happened."""
    return dg.AssetKey(["scorecard", frequency])


def leaderboard(frequency: str) -> dg.AssetKey:
    """Models and pairs at a frequency, with what each was measured to be worth."""
    return dg.AssetKey(["leaderboard", frequency])


def joint(group: str) -> dg.AssetKey:
    """What a group of pairs does together, e.g. `joint/1d_fixing_target_usd`."""
    return dg.AssetKey(["joint", group])
