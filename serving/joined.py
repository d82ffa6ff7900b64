"""What stands beside the numbers of every prediction of one version: rendered once for each picture of the lake."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from fx_assets.forecasting.batch import Content
from fx_assets.forecasting.certificate import Certificate, in_words
from fx_assets.forecasting.document import UNTESTED_NOTE, Evaluation
from fx_assets.forecasting.scores import ScoreKey
from serving.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Joined:
    """The champion, and what the version scored and was measured to be worth, as `snapshot` has it.

    `note` says the same in words; `evaluation` and `certificate` are JSON already.
    """

    snapshot: Snapshot
    champion: str
    measured: Certificate | None
    note: str
    evaluation: orjson.Fragment | None
    certificate: orjson.Fragment | None

    def join(self, content: Content, notes: tuple[str, ...]) -> None:
        """Put it into a document's content, as `document.with_evaluation` does; `notes` come after its own."""
        own = (note for note in (*content["notes"], *notes) if note != UNTESTED_NOTE)
        content["notes"] = (self.note, *own)
        content["evaluation"], content["certificate"] = self.evaluation, self.certificate


def joined(snapshot: Snapshot, key: ScoreKey, champion: str, certificate: Certificate | None) -> Joined:
    """Of the version `key`. Raises pydantic's `ValidationError` for scores that are none."""
    known = snapshot.pairs.get(key[0])
    summary = None if known is None else known.evaluations.get(key)
    evaluation = None if not summary else Evaluation.model_validate(summary[min(summary)])
    return Joined(
        snapshot=snapshot,
        champion=champion,
        measured=certificate,
        note=UNTESTED_NOTE if certificate is None else in_words(certificate),
        evaluation=None if evaluation is None else _json(evaluation),
        certificate=None if certificate is None else _json(certificate),
    )


def _json(part: Evaluation | Certificate) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(part.model_dump(mode="json")))
