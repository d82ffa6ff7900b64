"""What Dagster loads: the rooms' assets, gathered."""

from __future__ import annotations

import dagster as dg

from fx_assets.bars.assets import build as bars
from fx_assets.evaluation.assets import build as evaluation
from fx_assets.evaluation.leaderboard.assets import build as leaderboard
from fx_assets.evaluation.promotion.assets import build as promotion
from fx_assets.evaluation.scorecard.assets import build as scorecard
from fx_assets.features.assets import build as features
from fx_assets.forecasting.assets import build as forecasting
from fx_assets.forecasting.joint.assets import build as joint
from fx_assets.models.catalog import load
from fx_assets.orchestration.gather import gather
from fx_assets.prices.assets import build as prices
from fx_assets.settings import get_settings
from fx_assets.training.assets import build as training

ROOMS = (prices, bars, features, training, forecasting, joint, evaluation, scorecard, promotion, leaderboard)


def build_definitions() -> dg.Definitions:
    """All assets, checks, jobs, the schedule and the sensor of the configs in force."""
    settings = get_settings()
    return gather(settings, load(settings), ROOMS)


defs = build_definitions()
