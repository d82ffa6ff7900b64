"""The pictures of a certificate, made from what it was made from."""

from __future__ import annotations

import pytest

from fx_assets.evaluation.pictures.certificate import PICTURES, pictures_of
from tests.evaluation.test_certify import made, scores


def test_all_of_them_by_name() -> None:
    own, champion = scores(better=0.1), scores("walk")
    found = pictures_of(made(own), own, champion)
    assert tuple(found) == PICTURES
    assert all(picture.startswith(b"\x89PNG") and len(picture) < 100_000 for picture in found.values())
    assert pictures_of(made(own), own, champion, PICTURES[:1]) == {PICTURES[0]: found[PICTURES[0]]}
    with pytest.raises(KeyError):
        pictures_of(made(own), own, champion, ["portrait"])


def test_few_windows_make_no_line_over_time() -> None:
    own, champion = scores(n=40, horizons=(1,)), scores("walk", n=40, horizons=(1,))
    assert tuple(pictures_of(made(own), own, champion)) == ("skill_by_horizon",)
    # Under a year the line is over half of the windows.
    own, champion = scores(n=80, horizons=(1,)), scores("walk", n=80, horizons=(1,))
    assert tuple(pictures_of(made(own), own, champion)) == PICTURES
