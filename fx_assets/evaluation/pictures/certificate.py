"""The pictures that go with a certificate, by name: in the UI the first two, as files all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pyarrow as pa

from fx_assets.evaluation.pictures.calibration import coverage_over_time, reliability, tail_exceptions
from fx_assets.evaluation.pictures.skill import loss_difference, skill_by_horizon
from fx_assets.evaluation.pictures.windows import scored
from fx_assets.forecasting.certificate import Certificate

PICTURES = ("skill_by_horizon", "coverage_over_time", "reliability", "tail_exceptions", "loss_difference")
_SPAN = 250
# Fewer windows make no line.
_LEAST = 60


def pictures_of(
    certificate: Certificate, own: pa.Table, champion: pa.Table, names: Sequence[str] = PICTURES
) -> dict[str, bytes]:
    """PNGs under 100 kB of what `certificate` was made from: scores of the model and of the champion, each origin once.

    Pictures over time need 60 windows one bar ahead; without, they are left out. Raises `KeyError` for another name.
    """
    windows = len(scored(own))
    draw: Mapping[str, Callable[[], bytes]] = {
        "skill_by_horizon": lambda: skill_by_horizon(own, _words(certificate), champion=champion),
        "coverage_over_time": partial(coverage_over_time, own, span=min(_SPAN, windows // 2)),
        "reliability": partial(reliability, own),
        "tail_exceptions": partial(tail_exceptions, own),
        "loss_difference": partial(loss_difference, own, champion=champion),
    }
    wanted = [name for name in names if windows >= _LEAST or name == "skill_by_horizon"]
    return {name: draw[name]() for name in wanted}


def _words(certificate: Certificate) -> dict[str, dict[int, str]]:
    """What the certificate says, by loss and horizon; of volatility against GARCH-t, as the picture has it."""
    rows = certificate.horizons
    return {
        "location": {row.horizon: row.location.verdict for row in rows},
        "density": {row.horizon: row.density.verdict for row in rows},
        "volatility": {
            row.horizon: found.verdict for row in rows for found in row.volatility if found.against == "GARCH-t"
        },
    }
