"""Pictures of a training, as they stand in its run: legible, small, and of what was reported."""

from __future__ import annotations

from datetime import UTC, datetime

from fx_assets.training.pictures import Kept, trials_table
from fx_assets.training.records import Progress, Step, Trial

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def trial(number: int, state: str, loss: float | None) -> Trial:
    values = {"hyperparameters.width": 32 * (number + 1), "training.learning_rate": 0.001234567}
    return Trial("study", number, values, state, loss, (), NOW, NOW)  # type: ignore[arg-type]


def kept() -> Kept:
    events = Kept()
    for epoch in range(4):
        loss = 1 - 0.1 * epoch if epoch < 3 else 0.9
        events(Progress(epoch, 5, None if epoch == 0 else loss, loss, best=epoch < 3))
    ended = [("complete", 0.9), ("pruned", 0.95), ("failed", None), ("complete", 0.8)]
    for number, (state, found) in enumerate(ended):
        events(trial(number, state, found))
        events(trial(number, state, found))  # told again after a restart
    events(Step("member ridge, fold 2 of 3"))
    return events


def test_what_was_reported_is_drawn_once() -> None:
    events = kept()
    assert len(events.trials) == 4
    pictures = events.pictures()
    assert set(pictures) == {"learning", "trials"}
    for picture in pictures.values():
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 100_000
    assert pictures == kept().pictures()
    assert Kept().pictures() == {}


def test_the_table_has_the_best_trial_first() -> None:
    lines = trials_table(list(kept().trials.values())).splitlines()
    assert lines[0] == "| trial | state | loss | hyperparameters.width | training.learning_rate |"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["3", "0", "1", "2"]
    assert lines[2] == "| 3 | complete | 0.80000 | 128 | 0.001235 |"
    long = trials_table([trial(number, "complete", 1.0 + number) for number in range(40)])
    assert "and 10 more" in long
