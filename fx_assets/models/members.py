"""Members of an ensemble: their specs, their files inside its checkpoint, and how their answers become one.

A checkpoint keeps the files of member k under `m<k>.`, e.g. `m0.params.json`; `ensemble.json` says what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from fx_assets.models.errors import InvalidCheckpoint
from fx_assets.models.params import dump_params, read_json
from fx_assets.models.registry import UnknownKind, check_model, predictor_class
from fx_assets.models.results import FloatArray
from fx_assets.specs.schema import EnsembleSpec, MemberSpec, ModelSpec, Strict

ENSEMBLE = "ensemble.json"
# Where a member's problem lies in what the member itself says; all others lie in what the whole ensemble says.
_ITS_OWN = frozenset({"kind", "hyperparameters", "search"})


class StoredMember(Strict):
    """One member of a checkpoint: place among the spec's members, values found by its search, share, out-of-fold loss.

    `loss` is the mean CRPS in units of the walk.
    """

    member: int = Field(ge=0)
    kind: str
    values: dict[str, Any] = Field(default_factory=dict)
    weight: float = Field(gt=0, le=1)
    loss: float


class StoredEnsemble(Strict):
    """`ensemble.json`: the members in the order of their files, what the weights were fitted on, who was left out.

    `loss` is that of the whole on the windows of `folds` (train_until, validate_until, test_until).
    """

    format: Literal[1] = 1
    members: tuple[StoredMember, ...] = Field(min_length=1)
    loss: float
    folds: tuple[tuple[datetime, datetime, datetime], ...] = Field(min_length=1)
    left_out: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> StoredEnsemble:
        total = sum(member.weight for member in self.members)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the weights sum to {total!r}, expected 1")
        return self

    def dump(self) -> bytes:
        """Canonical JSON; equal ensembles give equal bytes."""
        return dump_params(self.model_dump(mode="json"))


def read_ensemble(files: Mapping[str, bytes], spec: ModelSpec) -> StoredEnsemble:
    """Raises `InvalidCheckpoint` naming the file and the fault; a member must be one of the spec's."""
    content = read_json(files, ENSEMBLE)
    try:
        stored = StoredEnsemble.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise InvalidCheckpoint(f"{ENSEMBLE}: {where}: {first['msg']}; train again") from error
    asked = [member.kind for member in members_of(spec).members]
    for number, member in enumerate(stored.members):
        if asked[member.member : member.member + 1] != [member.kind]:
            raise InvalidCheckpoint(
                f"{ENSEMBLE}: members.{number}: the model has no {member.kind!r} as member {member.member}; train again"
            )
    return stored


def members_of(spec: ModelSpec) -> EnsembleSpec:
    """What a spec says of its members. Raises `ValueError` where it says nothing."""
    if spec.ensemble is None:
        raise ValueError(f"model {spec.model_id} has no members; write ensemble: members: [...], or another kind")
    return spec.ensemble


def member_spec(spec: ModelSpec, member: MemberSpec) -> ModelSpec:
    """The model that a member is by itself, without its search: the ensemble's spec as far as its kind can follow it.

    A kind without the ensemble's target keeps its own; features and what is known ahead go to kinds that read them.
    Raises `UnknownKind`.
    """
    cls = predictor_class(member.kind)
    return spec.model_copy(
        update={
            "kind": member.kind,
            "hyperparameters": dict(member.hyperparameters),
            "target": spec.target if spec.target in cls.targets else min(cls.targets),
            "features": spec.features if cls.uses_features else None,
            "known_ahead": spec.known_ahead if cls.uses_ahead else (),
            "training": spec.training.model_copy(update={"update": "none"}),
            "search": None,
            "ensemble": None,
        }
    )


def member_problems(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """What is wrong with an ensemble's members: (field path, message with the remedy)."""
    members = members_of(spec).members
    if spec.search is not None:
        yield "search", "an ensemble has no settings of its own to search; move this key to one of ensemble.members"
    for number, member in enumerate(members):
        for path, message in _problems(spec, member):
            if path.partition(".")[0] in {"keep", *_ITS_OWN}:
                yield f"ensemble.members.{number}.{path}", message
            else:  # e.g. the window: one key for all members
                yield path, f"member {number} ({member.kind}): {message}; change this key, or leave the member out"
    for field, flag, what in (
        ("features", "uses_features", "reads features"),
        ("known_ahead", "uses_ahead", "takes inputs of the bars to come"),
    ):
        if getattr(spec, field) and not any(_able(member.kind, flag) for member in members):
            yield field, f"no member {what}; remove this key, or add a member that does"


def _problems(spec: ModelSpec, member: MemberSpec) -> Iterator[tuple[str, str]]:
    if member.keep > 1 and member.search is None:
        yield "keep", f"without a search there is one candidate, not {member.keep}; remove this key, or add a search"
    try:
        cls = predictor_class(member.kind)
    except UnknownKind as error:
        yield "kind", str(error)
        return
    if cls.trainer == "ensemble":
        yield "kind", f"{member.kind!r} cannot be a member of an ensemble; list its members here instead"
        return
    if cls.uses_clock:
        yield "kind", f"{member.kind!r} goes by the clock, which members are not told of yet; leave this member out"
        return
    if spec.scope not in cls.scopes:
        able = " or ".join(sorted(cls.scopes))
        yield "kind", f"kind {member.kind!r} has no scope {spec.scope!r} (it has {able}); leave this member out"
        return
    yield from check_model(member_spec(spec, member).model_copy(update={"search": member.search}))


def _able(kind: str, flag: str) -> bool:
    try:
        return bool(getattr(predictor_class(kind), flag))
    except UnknownKind:
        return True  # said where the kind is


def files_of(files: Mapping[str, bytes], number: int) -> dict[str, bytes]:
    """The files of member `number` under their own names."""
    prefix = f"m{number}."
    return {name.removeprefix(prefix): content for name, content in files.items() if name.startswith(prefix)}


def prefixed(files: Mapping[str, bytes], number: int) -> dict[str, bytes]:
    """The files of member `number` as the ensemble's checkpoint names them."""
    return {f"m{number}.{name}": content for name, content in files.items()}


def moments(weights: FloatArray, location: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the mixture of M forecasts: `weights` (M,) sum to 1, the others (M, ...).

    The variance is the mean variance and the variance of the means: members that disagree widen the range.
    Source: linear pool, e.g. Gneiting and Ranjan 2013, doi 10.1214/13-EJS823.
    """
    share = weights.reshape(-1, *[1] * (location.ndim - 1))
    # Sums over the first axis are in the order of the members: the same bits for one window and for many.
    centre = (share * location).sum(axis=0)
    variance = (share * (np.square(scale) + np.square(location - centre))).sum(axis=0)
    return centre, np.sqrt(variance)
