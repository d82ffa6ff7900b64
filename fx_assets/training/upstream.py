"""Remarks of libraries about themselves that nobody here can act on: named one by one, and why."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def known_remarks() -> Iterator[None]:
    """Leaves out the remarks below while it lasts, and nothing else. For one thread: a training has one."""
    # torch's ONNX exporter misses torchvision's operators, which no network here has.
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    log.addFilter(_not_torchvision)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6, and torch 2.13 itself, still use a class that torch 2.13 has deprecated.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        log.removeFilter(_not_torchvision)


def _not_torchvision(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("torchvision is not installed")
