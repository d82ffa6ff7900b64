"""A part of `training.py`: this project's loop, and a bare one over ready tensors, each in a process of its own.

Both train the same network from the same seed on the same batches in the same order, so their losses and their weights
are equal bit for bit on the CPU.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import training_peer
import training_protocol

if TYPE_CHECKING:
    from fx_assets.models.networks.heads import Forecaster
    from fx_assets.training.data import LevelWindows

Clocks = tuple[float, float]


class Trained(NamedTuple):
    """Both clocks before and after each timed epoch, the mean loss of every epoch, and which weights were kept."""

    marks: list[tuple[Clocks, Clocks]]
    losses: list[float]
    digest: str


def serve(side: str) -> None:
    """Answer requests as `loop` or as `bare`."""
    # Imported before it says that it is ready: what a start costs is not measured.
    import fx_assets.training.loop  # noqa: F401

    work = {"loop": by_loop, "bare": by_hand}[side]
    training_protocol.serve(lambda request: answer(work, request))


def answer(work: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """What a side hands back: seconds a step by the wall's and the processor's clock, losses, weights, memory."""
    import torch

    cuda = request["device"] == "cuda"
    if cuda:
        torch.compiler.reset()  # each training compiles anew, as in a process of its own
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    trained = work(request)
    seconds, cpu = (
        [(after[which] - before[which]) / request["epoch_steps"] for before, after in trained.marks] for which in (0, 1)
    )
    return {
        "seconds": seconds,
        "cpu": cpu,
        "losses": trained.losses,
        "digest": trained.digest,
        "wall": time.perf_counter() - began,
        "tokens": request["series"],
        "parameters": sum(parameter.numel() for parameter in network(request).parameters()),
        "peak": training_peer.peak(),
        "device_peak": torch.cuda.max_memory_allocated() if cuda else 0,
    }


def network(request: Mapping[str, Any]) -> Forecaster:
    """iTransformer as published for Exchange: levels, normalised window by window, squared error."""
    from fx_assets.models.networks.heads import Forecaster, PointHead
    from fx_assets.models.networks.itransformer import ITransformer

    sizes = {name: request[name] for name in ("window", "horizon", "width", "layers", "heads", "feed_forward")}
    published = ITransformer(
        **sizes, dropout=request["dropout"], variates=request["series"], targets=None, zero_start=False, normalise=True
    )
    return Forecaster(published, PointHead(squared=True))


def sources(request: Mapping[str, Any]) -> tuple[LevelWindows, LevelWindows]:
    """Windows for one epoch, and a single one for validation, which costs next to nothing."""
    import numpy as np

    from fx_assets.training.data import LevelWindows

    values, first = np.load(request["levels"]), request["window"] - 1
    sizes = {"window": request["window"], "horizon": request["horizon"]}
    training = np.arange(first, first + request["epoch_steps"] * request["batch"])
    return LevelWindows(values, training, **sizes), LevelWindows(values, training[-1:], **sizes)


def by_loop(request: Mapping[str, Any]) -> Trained:
    """`fx_assets.training.loop.learn`, as every training calls it. Epochs are timed by its reports."""
    from fx_assets.training.loop import LoopOptions, learn, reproducible

    marks: list[Clocks] = []
    epochs = request["epochs"]
    options = LoopOptions(
        max_epochs=epochs,
        patience=epochs,
        batch_size=request["batch"],
        learning_rate=request["learning_rate"],
        seed=request["seed"],
        gradient_clip=None,
        device=request["device"],
    )
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder, reproducible(request["seed"], request["device"]):
        forecaster = network(request)
        learned = learn(
            forecaster,
            *sources(request),
            options,
            scratch=Path(folder),
            report=lambda _: marks.append(clocks(request)),
        )
    losses = [event.train_loss for event in learned.history if event.train_loss is not None]
    # Reports come before training and after each epoch; the first epoch warms up.
    return Trained(list(pairwise(marks[1:])), losses, f"{learned.best_epoch}:{digest_of(forecaster)}")


def by_hand(request: Mapping[str, Any]) -> Trained:
    """The same in a dozen lines, upon tensors that were made before the clock starts."""
    import torch

    from fx_assets.training.data import WindowsModule
    from fx_assets.training.lightning_module import Mean, loss_of

    cuda, seed = request["device"] == "cuda", request["seed"]
    place = torch.device(request["device"])
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    forecaster = network(request).to(place)
    loss_at = torch.compile(loss_of(forecaster)) if cuda else loss_of(forecaster)
    optimizer = torch.optim.AdamW(forecaster.parameters(), lr=request["learning_rate"], weight_decay=0.0, fused=True)
    training, validation = (source.to(place) for source in sources(request))
    loader = WindowsModule(training, validation, batch_size=request["batch"], seed=seed).train_dataloader()
    (judged,) = WindowsModule(validation, validation, batch_size=1, seed=seed).val_dataloader()
    marks, losses, best = [], [], (float("inf"), "")
    for epoch in range(request["epochs"] + 1):
        forecaster.train()
        batches = list(loader) if epoch else []
        mean = Mean()
        began = clocks(request)
        for batch in batches:
            optimizer.zero_grad()
            with torch.autocast(place.type, dtype=torch.bfloat16, enabled=cuda):
                loss = loss_at(batch)
            torch.autograd.backward(loss)
            optimizer.step()
            mean.add(loss, len(batch.inputs))
        ended = clocks(request)
        if epoch:
            losses.append(mean.value)
        if epoch > 1:  # the first of them warms up
            marks.append((began, ended))
        forecaster.eval()
        with torch.no_grad():
            found = float(loss_of(forecaster)(judged))
        best = min(best, (found, f"{epoch}:{digest_of(forecaster)}"), key=lambda pair: pair[0])
    return Trained(marks, losses, best[1])


def clocks(request: Mapping[str, Any]) -> Clocks:
    """Seconds of the wall's clock and of the processor's, once the device has done what it was told."""
    import torch

    if request["device"] == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def digest_of(forecaster: Forecaster) -> str:
    """SHA-256 over all weights."""
    found = hashlib.sha256()
    for name, value in sorted(forecaster.state_dict().items()):
        found.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return found.hexdigest()
