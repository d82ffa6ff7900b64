"""CPU of the forecast API per request, against raw ASGI, the bare network and FastAPI with PyTorch as it is taught.

`read_of_raw_asgi`: the latest forecast of a pair, with ETag, request id and metrics on and no key asked for, against an
ASGI application that answers as many bytes from memory. `not_modified_of_raw_asgi`: the same of a 304.
`predict_of_bare_forward`: a prediction from the client's own 96 rows of 8 columns by an iTransformer, against the bare
`InferenceSession.run` of it, one thread. `cheaper_than_idiomatic`: the same prediction by an endpoint with pydantic
models and the network called eagerly, against ours. `read_p99_under_load`: the 99th percentile of the time of a read
while 1,000 predictions wait, against that of an idle server; `read_p99_of_another_server`: the same of reads from a
second server, which predicts nothing, while the first one does. What that is over 1 is the machine's doing: crowd,
servers and reader share its cores.

Each server is a process of its own, driven over connections that stay open; what counts is the CPU time of its process
by the kernel's clock. Sides take turns, and of several rounds the median counts. Our server looks for new versions
every 10 minutes, not every 2 seconds: that costs by the clock, not by the request. Equal means that our answer has the
numbers of the library's call to the last bit, and the endpoint's to 1e-4. With --quick there are fewer requests.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import arguments, median, report
from serving_load import Connection, Server, drive, flood, latencies, request
from serving_sides import ANSWER, MODEL, PAIR, checkpoint

from fx_assets.settings import project_root

ROUNDS, QUICK_ROUNDS = 11, 5
READS, QUICK_READS = 4_000, 1_000
PREDICTIONS, QUICK_PREDICTIONS = 600, 120
CONNECTIONS = 4
QUEUED = 1_000
TURNS, QUICK_TURNS = 5, 1
READS_BESIDE = 500
WINDOW, FEATURES = 96, "{returns: [1, 2, 3, 5], volatility: [5, 10, 20], macd: false}"
LATEST, PREDICT = f"/v1/forecasts/{PAIR}/latest", f"/v1/models/{MODEL}/predict"
PACKAGES = ("fx-assets", "uvicorn", "fastapi", "pydantic", "orjson", "onnxruntime", "torch", "numpy")


@dataclass(frozen=True)
class Side:
    """Something that is asked again and again: `work` so many times, and the CPU seconds it has used so far."""

    name: str
    work: Callable[[], None]
    cpu: Callable[[], float]
    count: int

    def once(self) -> float:
        """Microseconds of CPU a request."""
        began = self.cpu()
        self.work()
        return (self.cpu() - began) / self.count * 1e6


def install(folder: Path) -> None:
    """An installation with forecasts of one pair and a trained network, as the rooms of the project make them."""
    sys.path.insert(0, str(project_root()))
    from tests.support.tiny_lake import LAST, TinyLake, tiny_lake

    settings = tiny_lake(folder).settings
    stages = f"stages:\n  - stage: indicators\n    options: {FEATURES}\n"
    (settings.configs / "features" / "seven.yaml").write_text("name: seven\n" + stages)
    (settings.configs / "models" / f"{MODEL}.yaml").write_text(
        f"model_id: {MODEL}\nkind: itransformer\npairs: [{PAIR}]\nfeatures: seven\nwindow: {WINDOW}\nhorizon: 20\n"
        "hyperparameters: {width: 128, layers: 2, heads: 8, feed_forward: 128, dropout: 0.1}\n"
        "training: {max_epochs: 1, stride: 8}\nevaluation: {years: 0}\n"
    )
    tiny = TinyLake(settings)
    for pair in tiny.catalog.pairs:
        tiny.bars(pair)
    tiny.features("seven", PAIR)
    tiny.train(MODEL, PAIR)
    tiny.train("random_walk", PAIR)
    tiny.forecast("random_walk", PAIR, issued_at=datetime(2026, 10, 30, 21, 30, tzinfo=UTC), last=LAST)


@contextmanager
def ours(folder: Path, **changes: str) -> Iterator[Server]:
    """Our server, as `fx-assets serve` starts it."""
    environment = {
        "FX_HOME": str(folder / "var"),
        "FX_CONFIGS": str(folder / "configs"),
        "FX_LIVE": "false",
        "FX_POLL_SECONDS": "600",
        "FX_IDLE_SECONDS": "600",  # others have their turn between two rounds
        **changes,
    }
    server = Server(["-m", "serving.main", "--port", "0"], project_root(), environment)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def other(side: str, folder: Path) -> Iterator[Server]:
    """One of `serving_sides`."""
    program = "import sys; from serving_sides import serve; serve(*sys.argv[1:])"
    server = Server(["-c", program, side, str(folder)], Path(__file__).parent, {})
    try:
        yield server
    finally:
        server.stop()


def asked_of(server: Server, name: str, asked: bytes, count: int, status: int = 200) -> Side:
    """A request to a server, over several connections that stay open."""
    connections = [Connection(server.port) for _ in range(CONNECTIONS)]
    return Side(name, lambda: drive(connections, asked, count, status), server.cpu, count)


def client_rows(columns: int) -> list[list[float]]:
    """A window such as a client would send."""
    import numpy as np

    draw = np.random.default_rng(7)
    closes = 1.1 * np.exp(np.cumsum(draw.normal(0, 0.005, WINDOW)))
    rows: list[list[float]] = np.column_stack([closes, draw.normal(0, 0.01, (WINDOW, columns - 1))]).tolist()
    return rows


def bare_forward(artifact: Any, rows: list[list[float]], count: int) -> Side:
    """`InferenceSession.run` and nothing else, in this process."""
    import numpy as np

    from fx_assets.models.network import INPUT, OUTPUT
    from fx_assets.models.onnx_model import ONNX, open_session

    session = open_session(artifact.files[ONNX])
    feed = {INPUT: np.array(rows, dtype=np.float32)[None]}

    def work() -> None:
        for _ in range(count):
            session.run([OUTPUT], feed)

    return Side("bare forward", work, time.process_time, count)


def same_answers(answer: bytes, taught: bytes, predictor: Any, rows: list[list[float]]) -> bool:
    """Whether our answer is the library's call, and the endpoint's about the same."""
    called = predictor.run({"data": rows}, PAIR)
    expected = list(zip(called.median.tolist(), called.volatility.tolist(), called.quantiles.tolist(), strict=True))

    def numbers(content: bytes) -> list[tuple[float, float, list[float]]]:
        horizons = json.loads(content)["horizons"]
        return [(row["median"], row["volatility"], list(row["quantiles"].values())) for row in horizons]

    flat = [(a, b) for ours, theirs in zip(expected, numbers(taught), strict=True) for a, b in zip(
        (*ours[:2], *ours[2]), (*theirs[:2], *theirs[2]), strict=True
    )]  # fmt: skip
    return numbers(answer) == expected and all(abs(a - b) <= 1e-4 * abs(a) for a, b in flat)


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return sorted(values)[int(share * (len(values) - 1))] * 1e3


@dataclass
class Reads:
    """Seconds that reads took: while nothing else happens, while predictions wait, and meanwhile of another server."""

    idle: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)


def under_load(folder: Path, asked: bytes, turns: int, count: int) -> tuple[Reads, bool]:
    """What reads take, and whether all predictions were answered.

    The other server is a process that is asked for nothing but these reads: what they take there while predictions wait
    is what the machine does to whoever shares its cores with the first server and with the crowd.
    """
    context, read = multiprocessing.get_context("spawn"), request("GET", LATEST)
    found, answered = Reads(), True
    with ours(folder, FX_PREDICT_QUEUE=str(QUEUED)) as server, ours(folder) as other_server:
        connection, apart = Connection(server.port), Connection(other_server.port)
        drive([connection], asked, 20, 200)
        drive([connection, apart], read, 400, 200)
        for _ in range(turns):
            found.idle += latencies(connection, read, count)
            near, far = context.Pipe()
            crowd = context.Process(target=flood, args=(server.port, asked, QUEUED, far))
            crowd.start()
            far.close()
            near.recv()  # as many were answered as wait now
            found.busy += latencies(connection, read, count)
            found.apart += latencies(apart, read, count)
            near.send("enough")
            answered &= set(near.recv()) == {200}
            crowd.join()
    return found, answered


def main() -> int:
    """Run it; 1 where the sides did not give the same answers."""
    options = arguments(__doc__ or "")
    quick = options.quick
    rounds, reads, predictions = (
        (QUICK_ROUNDS, QUICK_READS, QUICK_PREDICTIONS) if quick else (ROUNDS, READS, PREDICTIONS)
    )
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as name:
        folder = Path(name)
        install(folder)
        predictor, artifact = checkpoint(folder)
        rows = client_rows(len(predictor.columns))
        body = json.dumps({"data": rows, "pair": PAIR}).encode()
        predict = request("POST", PREDICT, body)
        with ours(folder) as server:
            first = Connection(server.port)
            _, headers, content = first.ask(request("GET", LATEST))
            answer = first.ask(predict)[2]
            (folder / ANSWER).write_bytes(content)
            with other("raw", folder) as raw, other("idiomatic", folder) as taught:
                eager = request("POST", "/predict", body)
                same = same_answers(answer, Connection(taught.port).ask(eager)[2], predictor, rows)
                known = request("GET", LATEST, if_none_match=headers["etag"])
                sides = [
                    asked_of(server, "read", request("GET", LATEST), reads),
                    asked_of(raw, "raw ASGI", request("GET", "/"), reads),
                    asked_of(server, "not modified", known, reads, 304),
                    asked_of(raw, "raw ASGI, not modified", request("GET", "/304"), reads, 304),
                    bare_forward(artifact, rows, predictions),
                    asked_of(server, "predict", predict, predictions),
                    asked_of(taught, "idiomatic predict", eager, predictions),
                ]
                found: dict[str, list[float]] = {side.name: [] for side in sides}
                for side in sides:  # warm
                    side.once()
                for _ in range(rounds):
                    for side in sides:
                        found[side.name].append(side.once())
        taken, answered = under_load(folder, predict, QUICK_TURNS if quick else TURNS, READS_BESIDE)
    cpu = {name: median(times) for name, times in found.items()}
    lines = [(f"{name}, us", f"{value:.0f}") for name, value in cpu.items()]
    lines += [
        (f"reads, {what}, p50 and p99, ms", f"{percentile(times, 0.5):.2f} {percentile(times, 0.99):.2f}")
        for what, times in (
            ("idle", taken.idle),
            (f"{QUEUED} predictions waiting", taken.busy),
            ("meanwhile of another server", taken.apart),
        )
    ]
    return report(
        "serving",
        ratios={
            "read_of_raw_asgi": cpu["read"] / cpu["raw ASGI"],
            "not_modified_of_raw_asgi": cpu["not modified"] / cpu["raw ASGI, not modified"],
            "predict_of_bare_forward": cpu["predict"] / cpu["bare forward"],
            "cheaper_than_idiomatic": cpu["idiomatic predict"] / cpu["predict"],
            "read_p99_under_load": percentile(taken.busy, 0.99) / percentile(taken.idle, 0.99),
            "read_p99_of_another_server": percentile(taken.apart, 0.99) / percentile(taken.idle, 0.99),
        },
        equal=same and answered,
        packages=PACKAGES,
        rows=lines,
        as_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
