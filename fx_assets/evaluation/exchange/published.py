"""What papers printed for the protocol of `split.published`: MSE and MAE at horizons 96, 192, 336, 720.

A figure stands as its paper rounds it. None of them comes with losses per window, so none can be tested.
"""

from __future__ import annotations

from dataclasses import dataclass

from fx_assets.evaluation.exchange.split import HORIZONS


@dataclass(frozen=True)
class Published:
    """One paper's row; `mae` is None where only its mean over the horizons is at hand."""

    model: str
    mse: tuple[float, float, float, float]
    mae: tuple[float, float, float, float] | None
    mean_mae: float
    source: str


ROWS = (
    Published(
        "iTransformer",
        (0.086, 0.177, 0.331, 0.847),
        (0.206, 0.299, 0.417, 0.691),
        0.403,
        "Liu et al., ICLR 2024, arXiv 2310.06625",
    ),
    Published(
        "PatchTST", (0.088, 0.176, 0.301, 0.901), None, 0.404, "Nie et al., ICLR 2023, as printed in arXiv 2310.06625"
    ),
    Published(
        "DLinear", (0.088, 0.176, 0.313, 0.839), None, 0.414, "Zeng et al., AAAI 2023, as printed in arXiv 2310.06625"
    ),
    Published("MICN (best MSE, look-back 96)", (0.102, 0.172, 0.272, 0.714), None, 0.404, "Wang et al., ICLR 2023"),
    Published("DUET (best MAE, look-back 96)", (0.086, 0.182, 0.310, 0.693), None, 0.384, "Qiu et al., KDD 2025"),
    Published("DUET, tuned per horizon", (0.080, 0.162, 0.294, 0.583), None, 0.364, "Qiu et al., KDD 2025"),
)
REPEAT_LAST_MSE = dict(zip(HORIZONS, (0.081126, 0.167119, 0.305700, 0.810064), strict=True))
REPEAT_LAST_MAE = dict(zip(HORIZONS, (0.196357, 0.288676, 0.397815, 0.676445), strict=True))
TEST_WINDOWS = dict(zip(HORIZONS, (1422, 1326, 1182, 798), strict=True))
FILE_ROWS = (5311, 760, 1517)
