"""Names and patterns of times as a configuration gives them; checking the usual ones loads nothing."""

from __future__ import annotations

import re

ISO = "iso"
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
DIRECTIVE = re.compile(r"%(\.?[369]?f|.)")
ISO_FORMS = {
    8: "%Y%m%d",
    10: "%Y-%m-%d",
    13: "%Y%m%d %H%M",
    15: "%Y%m%d %H%M%S",
    16: "%Y-%m-%d %H:%M",
    19: "%Y-%m-%d %H:%M:%S",
}


def format_problem(form: str) -> str | None:
    """What is wrong with the name or pattern of a time format; None where nothing is."""
    if form == ISO or form in EPOCHS:
        return None
    if "%" not in form:
        return f"time format {form!r}: expected {ISO}, {', '.join(EPOCHS)} or a pattern such as %Y-%m-%d %H:%M:%S"
    found = DIRECTIVE.findall(chrono(form))
    if "f" in found:
        return f"time format {form!r}: write the fraction of a second as .%f, %3f (3 digits) or %6f"
    if not {"Y", "y"} & set(found) and not {"F", "D", "c", "s"} & set(found):
        return f"time format {form!r}: without a year"
    if form in ISO_FORMS.values():
        return None
    import polars as pl

    try:
        pl.Series([""]).str.to_datetime(chrono(form), strict=False)
    except pl.exceptions.PolarsError as error:
        return f"time format {form!r}: {error}"
    return None


def chrono(form: str) -> str:
    """Python's `.%f` is chrono's `%.f`, any number of digits."""
    return form.replace(".%f", "%.f")
