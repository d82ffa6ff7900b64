"""featuretools, without what it says and does to others on the way: each thing named, and why."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def library() -> Any:
    """The module `featuretools`; the first call takes seconds."""
    with warnings.catch_warnings():
        # featuretools 1.31 and woodwork 0.31 still look for plug-ins by way of setuptools.
        warnings.filterwarnings("ignore", "pkg_resources is deprecated as an API", UserWarning)
        import featuretools
    return featuretools


@contextmanager
def known_remarks(features: Sequence[Any]) -> Iterator[None]:
    """Leaves out the remarks below while `features` are computed, and undoes a renaming. For one thread."""
    with warnings.catch_warnings(), _own_names(features):
        # featuretools 1.31 hands numpy's functions to pandas 2, which takes its own in their place (std with n - 1).
        # pandas 3 would not; pyproject keeps it out, and the tests hold each aggregate to pandas' own.
        warnings.filterwarnings("ignore", "The provided callable <function", FutureWarning)
        # Of `trend`, which reads the value and the time by name and so never touches the grouping column.
        warnings.filterwarnings("ignore", "DataFrameGroupBy.apply operated on the grouping columns", FutureWarning)
        yield


@contextmanager
def _own_names(features: Sequence[Any]) -> Iterator[None]:
    """featuretools gives each function the name of its address, also those that are numpy's and pandas' own."""
    functions = [feature.get_function() for feature in features]
    names = [function.__name__ for function in functions]
    try:
        yield
    finally:
        for function, name in zip(functions, names, strict=True):
            function.__name__ = name
