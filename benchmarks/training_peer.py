"""A part of `training.py` that runs in another environment: neuralforecast's iTransformer, at the same settings.

Through its public `NeuralForecast.fit`, with what slows it down for nothing (progress bar, logger, checkpoints) turned
off. A step is an optimiser's step on `batch` windows of all series, drawn from the whole table. A callback looks at
the clock, so what it does before its first steps is not counted.
"""

from __future__ import annotations

import importlib
import logging
import time
import warnings
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import training_protocol


def serve() -> None:
    """Answer requests."""
    importlib.import_module("neuralforecast")  # before it says that it is ready; where it is absent, at once
    training_protocol.serve(train)


def train(request: Mapping[str, Any]) -> dict[str, Any]:
    """One training from its first step to its last, of which all but the first `warm` are timed."""
    # Its remarks on the settings and on Lightning's go to this side's log only once.
    warnings.simplefilter("once")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    np, pd, torch, lightning, neuralforecast = map(
        importlib.import_module, ("numpy", "pandas", "torch", "pytorch_lightning", "neuralforecast")
    )
    models, losses = (importlib.import_module(f"neuralforecast.{name}") for name in ("models", "losses.pytorch"))
    torch.set_num_threads(1)
    cuda = request["device"] == "cuda"

    marks: list[
        tuple[float, float]
    ] = []  # not the callback's own: the library trains a copy of the model and of what came with it

    class Clock(lightning.Callback):  # type: ignore[name-defined, misc]
        """The time at the end of the last warm step and of the last step of all."""

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step in (request["warm"], request["warm"] + request["steps"]):
                if cuda:
                    torch.cuda.synchronize()
                marks.append((time.perf_counter(), time.process_time()))

    values = np.load(request["levels"])
    series = values.shape[1]
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{number}" for number in range(series)], len(values)),
            "ds": np.tile(pd.date_range("1990-01-01", periods=len(values), freq="D"), series),
            "y": values.T.ravel(),
        }
    )
    model = models.iTransformer(
        h=request["horizon"],
        input_size=request["window"],
        n_series=series,
        hidden_size=request["width"],
        n_heads=request["heads"],
        e_layers=request["layers"],
        d_ff=request["feed_forward"],
        dropout=request["dropout"],
        loss=losses.MSE(),
        max_steps=request["warm"] + request["steps"],
        val_check_steps=request["warm"] + request["steps"],
        learning_rate=request["learning_rate"],
        batch_size=series,  # of series: one batch has them all
        windows_batch_size=request["batch"],
        random_seed=request["seed"],
        callbacks=[Clock()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        accelerator="gpu" if cuda else "cpu",
        devices=1,
        precision="bf16-mixed" if cuda else "32-true",
    )
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    neuralforecast.NeuralForecast(models=[model], freq="D").fit(frame)
    ended = time.perf_counter()
    seconds, cpu = ((last - first) / request["steps"] for first, last in zip(*marks, strict=True))
    return {
        "seconds": [seconds],
        "cpu": [cpu],
        "wall": ended - began,
        "tokens": series,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "peak": peak(),
        "device_peak": torch.cuda.max_memory_allocated() if cuda else 0,
        "versions": {name: metadata.version(name) for name in ("neuralforecast", "torch", "pytorch-lightning")},
    }


def peak() -> int:
    """Most memory this process ever held, in bytes."""
    with open("/proc/self/status") as status:  # noqa: PTH123 - in words that any Python has
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
