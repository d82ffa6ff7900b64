"""Errors of the features room."""

from __future__ import annotations


class FeatureError(ValueError):
    """Features cannot be built from these bars; the message names column, time and remedy."""


class DuplicateStageError(TypeError):
    """Two stages claim one name."""


class UnknownStageError(LookupError):
    """No stage has this name; the message gives the nearest one."""


class NotOnlineError(FeatureError):
    """These features are not stored, and a stage that makes them cannot run in this process."""
