"""The EGARCH-t beside the regression of the kind `scale`: one for all pairs, as the regression is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fx_assets.models.inputs import PairHistory
from fx_assets.models.predictors.egarch import Egarch
from fx_assets.models.volatility import log_returns
from fx_assets.specs.schema import ModelSpec


def egarch_beside(spec: ModelSpec, *, ewma_alpha: float) -> Egarch:
    """An `egarch` of the window and horizon of `spec`; it looks at closes only."""
    return Egarch(
        spec.model_copy(
            update={
                "kind": Egarch.kind,
                "scope": "pair",
                "features": None,
                "known_ahead": (),
                "hyperparameters": {"ewma_alpha": ewma_alpha},
                "search": None,
            }
        )
    )


def chained(histories: Mapping[str, PairHistory]) -> PairHistory:
    """The returns of all pairs, by name one pair after the other, as the closes of one history.

    So a fit by `arch`, which knows one series, finds parameters that all pairs share. Where a pair begins the variance
    is for some weeks that of the pair before it: a few of thousands of rows. `ends` are no times; closes begin at 1.
    """
    returns = np.concatenate([log_returns(histories[pair].closes) for pair in sorted(histories)])
    closes = np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    ends = np.arange(len(closes)).astype("datetime64[us]")
    return PairHistory(
        "+".join(sorted(histories)), ends, ends.astype("datetime64[D]"), closes, np.empty((len(ends), 0))
    )
