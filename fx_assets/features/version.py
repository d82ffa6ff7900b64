"""Raised by hand when the numbers this room computes change, so that stored results are recomputed."""

from __future__ import annotations

CODE_VERSION = 3
