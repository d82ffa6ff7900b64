"""Overrides of single keys from the environment.

`FX_MODELS__USDJPY__TRAINING__MAX_EPOCHS=1` sets `training.max_epochs` of `configs/models/usdjpy.yaml`.
The sections are PAIRS, FEATURES and MODELS; names and keys are matched without regard to case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fx_assets.specs.yaml_nodes import KeyPath, scalar

SECTIONS = ("pairs", "features", "models")


@dataclass(frozen=True)
class Override:
    """One key set from the environment."""

    variable: str
    section: str
    name: str
    path: tuple[str, ...]
    value: Any

    def __str__(self) -> str:
        return f"{self.variable} sets {self.section}/{self.name}: {'.'.join(self.path)} = {self.value!r}"


def find(environ: Mapping[str, str]) -> list[Override]:
    """All overrides in `environ`, sorted by variable."""
    found = []
    for variable in sorted(environ):
        parts = variable.split("__")
        section = parts[0].removeprefix("FX_").lower()
        if not variable.startswith("FX_") or section not in SECTIONS or len(parts) < 3:
            continue
        name, *path = parts[1:]
        found.append(
            Override(variable, section, name.lower(), tuple(key.lower() for key in path), _value(environ[variable]))
        )
    return found


def _value(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return [scalar(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    return scalar(text)


def apply(value: dict[str, Any], override: Override) -> KeyPath:
    """Set the key in `value` in place, matching existing keys without case; return its path."""
    target: Any = value
    walked: list[str] = []
    for key in override.path[:-1]:
        actual = _existing(target, key)
        walked.append(actual)
        target = target.setdefault(actual, {})
        if not isinstance(target, dict):
            raise ValueError(f"{override.variable}: {'.'.join(walked)} is not a group of keys")
    last = _existing(target, override.path[-1])
    target[last] = override.value
    return (*walked, last)


def _existing(mapping: dict[str, Any], key: str) -> str:
    return next((name for name in mapping if name.lower() == key), key)
