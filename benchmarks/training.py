"""Steps a second of iTransformer at the published Exchange settings, against neuralforecast's and a bare loop.

`faster_than_neuralforecast`: time of a step of neuralforecast's iTransformer as a multiple of ours, at equal tokens (8
series) and batch (32 windows). `of_bare_loop`: our time of a step as a multiple of that of the same network, optimiser
and batches in a bare loop over ready tensors. Ours is `fx_assets.training.loop.learn`, by which all networks train.
`equal`: our losses of every epoch and the weights that are kept are the bare loop's, bit for bit on the CPU.

The three stay in processes of their own, one thread each, and take turns; what they need to start and their first
steps are not counted, and of the turns the median counts. Memory is the most a process ever held, libraries included.
The levels are --data (the Exchange file: numbers between commas, a row a day, maybe gzipped) or a simulated walk of
the same size; the first 5,311 rows, standardised. Measure on an idle machine: other work is in these figures too.

neuralforecast is no dependency of the project, and wants other versions of its libraries: it runs in an environment of
its own, `--peer-python PATH` or NEURALFORECAST_PYTHON. Without it that ratio is left out.

`--device cuda` runs the same in bf16, compiled, the losses equal to 2 %; and `together_faster_than_in_turn`: trainings
of eight pairs' models in eight processes at once, as a night runs them, against one after the other, start and
compiling included.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from measure import report
from training_protocol import Side

SERIES = 8
EXCHANGE = {
    "series": SERIES,
    "window": 96,
    "horizon": 96,
    "width": 128,
    "layers": 2,
    "heads": 8,
    "feed_forward": 128,
    "dropout": 0.1,
    "batch": 32,
    "learning_rate": 1e-4,
}
TRAINING_ROWS = 5_311
# Steps of an epoch, timed epochs of a turn (one more warms up), turns. All windows of the file make 160 steps.
SIZES, QUICK_SIZES = (160, 2, 7), (25, 2, 3)
PAIRS = 8
PACKAGES = ("fx-assets", "torch", "pytorch-lightning", "numpy")
HOW_TO_INSTALL = (
    "python -m venv FOLDER && FOLDER/bin/pip install neuralforecast==3.3.0, "
    "then run with --peer-python FOLDER/bin/python"
)


def options() -> argparse.Namespace:
    """What every benchmark takes, and the three of this one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller, within 60 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the networks train")
    parser.add_argument("--data", type=Path, help="the Exchange file (.txt or .txt.gz); without it a simulated walk")
    parser.add_argument(
        "--peer-python",
        default=os.environ.get("NEURALFORECAST_PYTHON"),
        help="Python of an environment with neuralforecast; NEURALFORECAST_PYTHON says the same",
    )
    return parser.parse_args()


def levels(data: Path | None) -> Any:
    """(rows, series), standardised, 32 bits: the training rows of the published split, or a walk of that size."""
    import numpy as np

    if data is None:
        walk = np.random.default_rng(20170101).normal(0, 0.006, (TRAINING_ROWS, SERIES))
        table = np.cumsum(walk, axis=0)
    else:
        table = np.loadtxt(data, delimiter=",", ndmin=2)[:TRAINING_ROWS]
        if table.shape != (TRAINING_ROWS, SERIES):
            raise SystemExit(f"{data}: expected at least {TRAINING_ROWS} rows of 8 numbers, found {table.shape}")
    return ((table - table.mean(0)) / table.std(0)).astype(np.float32)


def in_turn(sides: Sequence[Side], request: dict[str, Any], turns: int) -> dict[str, list[dict[str, Any]]]:
    """Answers of each side, turn by turn; the order is turned around each time."""
    found: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides}
    for turn in range(turns):
        for side in sides if turn % 2 == 0 else reversed(sides):
            side.ask(request)
            found[side.name].append(side.answer())
    return found


def together(stack: ExitStack, request: dict[str, Any], scratch: Path) -> float:
    """Seconds from the first request to the last answer of as many processes as there are pairs."""
    sides = [stack.enter_context(ours("loop", scratch, f"pair-{number}")) for number in range(PAIRS)]
    for side in sides:
        side.answer()  # that it is ready
    began = time.perf_counter()
    for side in sides:
        side.ask(request)
    for side in sides:
        side.answer()
    return time.perf_counter() - began


def ours(which: str, scratch: Path, name: str) -> Side:
    """A side that runs in this environment."""
    return Side(name, sys.executable, "training_sides", f"serve({which!r})", scratch)


def same(loop: Sequence[dict[str, Any]], bare: Sequence[dict[str, Any]], device: str) -> bool:
    """Whether both trained the same weights over the same losses."""
    if device == "cpu":
        return all((a["losses"], a["digest"]) == (b["losses"], b["digest"]) for a, b in zip(loop, bare, strict=True))
    pairs = [pair for a, b in zip(loop, bare, strict=True) for pair in zip(a["losses"], b["losses"], strict=True)]
    return all(math.isclose(one, other, rel_tol=0.02) for one, other in pairs)


def main() -> int:
    """Run it; 1 where our loop and the bare one did not train the same."""
    chosen = options()
    epoch_steps, timed, turns = QUICK_SIZES if chosen.quick else SIZES
    if chosen.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise SystemExit(
                f"--device cuda: torch {torch.__version__} sees no GPU here; run it without, or install one"
            )
    ratios: dict[str, float] = {}
    rows = [("levels", str(chosen.data or "simulated")), ("device", chosen.device)]
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder, ExitStack() as stack:
        import numpy as np

        scratch = Path(folder)
        np.save(scratch / "levels.npy", levels(chosen.data))
        request: dict[str, Any] = {
            **EXCHANGE,
            "levels": str(scratch / "levels.npy"),
            "device": chosen.device,
            "seed": 1,
            "epoch_steps": epoch_steps,
            "epochs": 1 + timed,
            # The same for a side that knows no epochs.
            "warm": epoch_steps,
            "steps": epoch_steps * timed,
        }
        sides = [
            stack.enter_context(ours(which, scratch, name))
            for which, name in (("loop", "fx-assets"), ("bare", "bare loop"))
        ]
        if chosen.peer_python:
            # Absolute, for sides run elsewhere; not resolved, for an environment's Python is known by its place.
            python = Path(chosen.peer_python).absolute()
            if not python.is_file():
                raise SystemExit(f"--peer-python {python}: there is no such file; {HOW_TO_INSTALL}")
            peer = Side("neuralforecast", str(python), "training_peer", "serve()", scratch)
            sides.append(stack.enter_context(peer))
        for side in sides:
            side.answer()  # that it is ready
        found = in_turn(sides, request, turns)
        step = {name: [statistics.median(answer["seconds"]) for answer in answers] for name, answers in found.items()}
        if chosen.peer_python:
            ratios["faster_than_neuralforecast"] = _median_ratio(step["neuralforecast"], step["fx-assets"])
        else:
            rows.append(("neuralforecast", f"absent; {HOW_TO_INSTALL}"))
        ratios["of_bare_loop"] = _median_ratio(step["fx-assets"], step["bare loop"])
        if chosen.device == "cuda":
            alone = statistics.median(answer["wall"] for answer in found["fx-assets"])
            ratios["together_faster_than_in_turn"] = PAIRS * alone / together(stack, request, scratch)
    for name, answers in found.items():
        rows += _rows(name, answers, step[name], chosen.device)
    return report(
        "training",
        ratios=ratios,
        equal=same(found["fx-assets"], found["bare loop"], chosen.device),
        packages=PACKAGES,
        rows=rows,
        as_json=chosen.json,
    )


def _median_ratio(upper: Sequence[float], lower: Sequence[float]) -> float:
    """Of each turn, since what else the machine does comes and goes."""
    return statistics.median(a / b for a, b in zip(upper, lower, strict=True))


def _of_each_turn(answers: Sequence[dict[str, Any]], clock: str) -> list[float]:
    return [statistics.median(answer[clock]) for answer in answers]


def _rows(name: str, answers: Sequence[dict[str, Any]], step: Sequence[float], device: str) -> list[tuple[str, str]]:
    middle, last = statistics.median(step), answers[-1]
    rows = [
        (f"{name}, steps a second", f"{1 / middle:.1f} ({1e3 * middle:.2f} ms; {1e3 * min(step):.2f} at best)"),
        (f"{name}, processor's time a step", f"{1e3 * statistics.median(_of_each_turn(answers, 'cpu')):.2f} ms"),
        (f"{name}, peak, MB", f"{last['peak'] / 1e6:.0f}"),
        (f"{name}, tokens, weights", f"{last['tokens']}, {last['parameters']:,}"),
    ]
    if device == "cuda":
        rows.append((f"{name}, peak on the device, MB", f"{last['device_peak'] / 1e6:.0f}"))
    if "versions" in last:
        rows.append((f"{name}, versions", ", ".join(f"{key} {value}" for key, value in last["versions"].items())))
    return rows


if __name__ == "__main__":
    sys.exit(main())
