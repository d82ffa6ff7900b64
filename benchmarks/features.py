"""Feature stages: tsfresh's windows against tsfresh itself and tsflex, selection, nightly increments, memory.

`faster_than_tsfresh`: time of tsfresh's functions called directly, a window after the other, as a multiple of ours, on
the same windows and columns. `faster_than_roll_and_extract`: the same of `roll_time_series` and `extract_features`.
`columns_equal`: how many columns of tsfresh's `EfficientFCParameters` have a number and are equal to 1e-9.
`extra_memory_mb`: our peak above what the process held before, for 10,000 windows and with the columns themselves.
`cost_growth`: our time a window on the longest history as a multiple of that on 10,000 bars.
`selection_faster_than_feature_engine`: as `feature_selection.py` says; only where that library is on the path.
`whole_of_increment`: as `feature_increments.py` says.

Each side runs in a process of its own; ours is the median of several repetitions. The series is a synthetic walk of
closes; a window has 96 returns in basis points. With --quick the others get fewer windows, and the histories are short.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import feature_increments
import feature_selection
import feature_windows
from feature_part import Part
from measure import arguments, report

# Each is told whether it has to be quick. Their ratios and rows stand one after the other.
PARTS: tuple[Callable[[bool], Part], ...] = (
    feature_windows.measure,
    feature_selection.measure,
    feature_increments.measure,
)


def main() -> int:
    """Run every part; 1 where two sides did not do the same work."""
    options = arguments(__doc__ or "")
    parts = [measure(options.quick) for measure in PARTS]
    return report(
        "features",
        ratios={name: value for part in parts for name, value in part.ratios.items()},
        equal=all(part.equal for part in parts),
        packages=list(dict.fromkeys(name for part in parts for name in part.packages)),
        rows=[row for part in parts for row in part.rows],
        as_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
