"""What our server is measured against, each in a process of its own.

`raw` answers bytes from memory, and does nothing else. `idiomatic` is a prediction as FastAPI's and PyTorch's pages
teach it: pydantic models in and out, a `def` endpoint, the network called eagerly.
"""

from __future__ import annotations

import socket
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import uvicorn

MODEL, PAIR = "network", "EURUSD"
ANSWER = "answer.json"


def serve(side: str, folder: str) -> None:
    """`raw` or `idiomatic`, by uvicorn set as our own server sets it."""
    app = {"raw": raw, "idiomatic": idiomatic}[side](Path(folder))
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=600,
    )
    print(f"listens on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def raw(folder: Path) -> Any:
    """`/304` answers that status, all else 200 and the bytes."""
    content = (folder / ANSWER).read_bytes()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    found = {"type": "http.response.start", "status": 200, "headers": headers}
    same = {"type": "http.response.start", "status": 304, "headers": []}
    body, nothing = ({"type": "http.response.body", "body": sent} for sent in (content, b""))

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] == "/304":
            await send(dict(same))
            await send(nothing)
            return
        await send(dict(found))
        await send(body)

    return app


def idiomatic(folder: Path) -> Any:
    """The same network and the same calibration; dates and notes are left out, which makes it cheaper."""
    import numpy as np
    import safetensors.torch
    import torch
    from fastapi import FastAPI
    from pydantic import BaseModel

    from fx_assets.models.network import WEIGHTS, NetworkPredictor, anchored, scaled_rows, window_sigma
    from fx_assets.training.lightning_trainer import make_forecaster

    class Window(BaseModel):
        data: list[list[float]]
        pair: str

    class Horizon(BaseModel):
        h: int
        target_date: date | None
        median: float
        volatility: float
        quantiles: dict[str, float]

    class Forecast(BaseModel):
        pair: str
        model_id: str
        issued_at: datetime
        last_price: float
        horizons: list[Horizon]

    predictor, artifact = checkpoint(folder)
    assert isinstance(predictor, NetworkPredictor)
    torch.set_num_threads(1)
    network = make_forecaster(predictor)
    network.load_state_dict(safetensors.torch.load(artifact.files[WEIGHTS]))
    network.eval()
    levels = predictor.spec.quantiles
    # The names are looked up by FastAPI in this module, and these classes are inside a function.
    app = FastAPI()

    def predict(window: Any) -> Any:
        rows = np.array(window.data)
        sigma = window_sigma(rows[None, :, 0], predictor.params)
        inputs = anchored(scaled_rows(rows[None], predictor.params), sigma)
        with torch.inference_mode():
            answer = network(torch.from_numpy(inputs).float())[0, 0].double().numpy()
        location, scale = (answer * (sigma[0] * np.sqrt(np.arange(1, len(answer) + 1)))[:, None]).T
        last = rows[-1, 0]
        prices = last * np.exp(predictor.calibrations[window.pair].quantiles(levels, location, scale))
        horizons = [
            Horizon(
                h=h + 1,
                target_date=None,
                median=last * np.exp(location[h]),
                volatility=scale[h],
                quantiles={str(level): price for level, price in zip(levels, prices[h], strict=True)},
            )
            for h in range(len(location))
        ]
        return Forecast(
            pair=window.pair, model_id=MODEL, issued_at=datetime.now(UTC), last_price=last, horizons=horizons
        )

    predict.__annotations__ = {"window": Window, "return": Forecast}
    app.post("/predict", response_model=Forecast)(predict)
    return app


def checkpoint(folder: Path) -> tuple[Any, Any]:
    """The predictor of the installation in `folder`, loaded, and the artifact it came from."""
    from fx_assets.models.catalog import load
    from fx_assets.models.stored import predictor_of
    from fx_assets.settings import Settings
    from fx_assets.storage.artifacts import ArtifactStore

    settings = Settings(home=folder / "var", configs=folder / "configs", live=False)
    catalog = load(settings, environ={})
    (path,) = (settings.artifacts_path / MODEL / PAIR).iterdir()
    artifact = ArtifactStore(settings.artifacts_path).load(MODEL, PAIR, path.name)
    predictor = predictor_of(catalog.models[MODEL], catalog.features)
    predictor.load_model(artifact)
    return predictor, artifact
