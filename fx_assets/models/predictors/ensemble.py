"""`ensemble`: several models as one, mixed by weights that were fitted on predictions of unseen rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from fx_assets.models.base import BasePredictor, MemoryCheckpoint, Row
from fx_assets.models.errors import InvalidCheckpoint, NotLoaded
from fx_assets.models.inputs import FloatArray
from fx_assets.models.members import (
    StoredMember,
    files_of,
    member_problems,
    member_spec,
    members_of,
    moments,
    read_ensemble,
)
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import ModelSpec


class _Member(NamedTuple):
    predictor: BasePredictor
    weight: float


class EnsemblePredictor(BasePredictor):
    """Mean and deviation of the mixture of its members, each of which predicts as it would alone."""

    kind = "ensemble"
    targets = frozenset({"log_return", "level", "volatility"})
    scopes = frozenset({"pair", "panel"})
    uses_features = True
    uses_ahead = True
    trainer: ClassVar[Literal["fit", "lightning", "ensemble"]] = "ensemble"

    _members: tuple[_Member, ...] = ()

    @classmethod
    def check_spec(cls, spec: ModelSpec) -> Iterable[tuple[str, str]]:
        """Every member must be sound as a model of its own."""
        return () if spec.ensemble is None else member_problems(spec)

    @property
    def gaps(self) -> bool:
        """Features may be missing where each member that reads them fills them."""
        reading = [member.predictor for member in self._members if member.predictor.uses_features]
        return bool(reading) and all(predictor.gaps for predictor in reading)

    def _load(self, files: Mapping[str, bytes], *, strict: bool) -> list[str]:
        """Strict, every member or none. Not strict, a member that cannot be loaded whole is left out and named."""
        try:
            stored = read_ensemble(files, self.spec)
        except InvalidCheckpoint as error:
            if strict:
                raise
            return [str(error)]
        members, skipped = [], []
        for number, said in enumerate(stored.members):
            try:
                members.append(_Member(self._member(said, files_of(files, number)), said.weight))
            except InvalidCheckpoint as error:
                message = f"m{number} ({said.kind}): {error}"
                if strict:
                    raise InvalidCheckpoint(message) from error
                skipped.append(message)
        total = sum(member.weight for member in members)
        self._members = tuple(member._replace(weight=member.weight / total) for member in members)
        return skipped

    def _member(self, said: StoredMember, files: Mapping[str, bytes]) -> BasePredictor:
        spec = member_spec(self.spec, members_of(self.spec).members[said.member])
        cls = predictor_class(spec.kind)
        columns, schema = (self.columns, self.feature_schema) if cls.uses_features else (("close",), None)
        try:
            predictor = cls(spec.varied(said.values), columns, feature_schema=schema)
        except (ValueError, KeyError) as error:
            raise InvalidCheckpoint(f"the values its search found, {said.values}, do not fit: {error}") from error
        predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
        return predictor

    def _predict(self, window: FloatArray) -> Row:
        return self._predict_ahead(window, None)

    def _predict_ahead(self, window: FloatArray, ahead: FloatArray | None) -> Row:
        if not self._members:
            raise NotLoaded(f"model {self.spec.model_id}: no member was loaded; train again")
        locations, scales, notes = [], [], dict[str, None]()
        for predictor, _ in self._members:
            batch = window[None] if predictor.uses_features else window[None, :, :1]
            known = ahead[None] if ahead is not None and predictor.spec.known_ahead else None
            answer = predictor.predict(batch, known)
            locations.append(answer.location[0])
            scales.append(answer.scale[0])
            notes.update(dict.fromkeys(f"{predictor.kind}: {note}" for note in answer.notes[0]))
        weights = np.array([member.weight for member in self._members])
        return Row(*moments(weights, np.array(locations), np.array(scales)), tuple(notes))
