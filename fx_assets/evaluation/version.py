"""Raised by hand when the numbers this room computes change, so that stored results are recomputed."""

from __future__ import annotations

CODE_VERSION = 1

CERTIFICATE_VERSION = 2
"""Of what is made of the scores alone: raised without it, every walk forward would be learned again."""
