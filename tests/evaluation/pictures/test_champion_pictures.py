"""The pictures beside who serves."""

from __future__ import annotations

from fx_assets.evaluation.pictures.champion import pictures_beside
from tests.evaluation.test_certify import scores


def test_the_best_challenger_is_drawn_against_the_champion() -> None:
    champion = scores("walk")
    found = pictures_beside(champion, {"worse": scores("worse", better=-0.1), "model": scores(better=0.1)})
    assert list(found) == ["reliability", "tail_exceptions", "what model gains"]
    assert all(picture.startswith(b"\x89PNG") for picture in found.values())


def test_too_few_windows_draw_nothing() -> None:
    few = scores("walk", n=50)
    assert pictures_beside(few, {"model": scores(better=0.1)}) == {}
    assert pictures_beside(few.slice(0, 0), {}) == {}
    # A challenger that was never scored beside the champion is not compared.
    assert list(pictures_beside(scores("walk"), {"late": scores("late", first=790, n=100)})) == [
        *("reliability", "tail_exceptions")
    ]
