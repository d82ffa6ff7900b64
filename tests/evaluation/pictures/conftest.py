"""Pictures as files and as figures: what is written in them can be read before they are bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib.image
import pytest

from fx_assets.evaluation.pictures import dress

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that would be made into a PNG, the last one last; rendering is left out, which takes longest."""
    figures: list[Figure] = []

    def png(figure: Figure, _: str) -> bytes:
        figures.append(figure)
        return b""

    monkeypatch.setattr(dress, "png", png)
    return figures


def words(figure: Figure) -> str:
    """All text of the figure."""
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))


def shown(picture: bytes) -> tuple[int, int]:
    """Height and width in pixels of a PNG that can be shown inline; fails for one that cannot."""
    assert picture.startswith(b"\x89PNG")
    assert 8_000 < len(picture) < dress.MAX_BYTES == 100_000
    pixels: Any = matplotlib.image.imread(io.BytesIO(picture))
    assert pixels[..., :3].std() > 0.02, "there is something in it"
    return int(pixels.shape[0]), int(pixels.shape[1])
