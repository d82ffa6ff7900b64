"""Settings of one installation: paths, addresses, secrets.

This module and `fx_assets.specs` are the only readers of the environment. Every field may be set
as `FX_<NAME>` in the environment or in a `.env` file beside the project.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# ONNX Runtime 1.29 and later writes a device id under HOME and reports to its vendor unless this is
# set before its first import; every entry point imports this module first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def project_root() -> Path:
    """Folder that holds `configs/`: the checkout where this is one, else the working directory."""
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "configs").is_dir() else Path.cwd()


class Settings(BaseSettings):
    """Where things lie and which doors are open.

    Relative paths are taken from the project's root, not from the working directory, so that the
    UI, the daemon and the command line agree wherever they were started.
    """

    model_config = SettingsConfigDict(env_prefix="FX_", env_file=project_root() / ".env", extra="ignore", frozen=True)

    home: Path = Field(default=Path("var"), description="Everything that runs write")
    configs: Path = Field(default=Path("configs"), description="pairs/, features/, models/, dagster.yaml")
    control_url: SecretStr | None = Field(default=None, description="SQLAlchemy URL; SQLite under home if unset")
    search_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL of the trials of searches; SQLite under home if unset"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="cpu", description="Where networks train")
    tracker: Literal["none", "mlflow", "wandb"] = Field(default="none", description="Who else records trainings")
    mlflow_url: str | None = Field(default=None, description="MLflow tracking server; needs the extra [mlflow]")
    wandb_mode: Literal["offline", "online"] = Field(default="offline", description="offline: files under home")
    tracker_project: str = Field(default="fx-assets", description="MLflow experiment or Weights & Biases project")
    live: bool = Field(default=True, description="Whether sources may ask the network for newer prices")
    ecb_url: str = Field(
        default="https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip",
        description="Where the ECB publishes its reference-rate history (zip or CSV)",
    )
    oanda_url: str = Field(default="https://api-fxpractice.oanda.com", description="OANDA's v20 service")
    oanda_token: SecretStr | None = Field(default=None, description="Personal access token of an OANDA account")
    host: str = Field(default="127.0.0.1", description="Address the API and the UI bind to")
    api_port: int = Field(default=8000, ge=0, le=65535)
    ui_port: int = Field(default=3000, ge=0, le=65535)
    predict_queue: int = Field(default=64, gt=0, description="Predictions that may wait in a worker; more get 503")
    workers: int = Field(default=1, ge=1, le=64, description="Processes that the API answers with")
    max_connections: int = Field(default=2_000, gt=0, description="Connections open in a worker; more get 503")
    head_seconds: float = Field(default=10.0, gt=0, description="Until the head of a request must have arrived")
    body_seconds: float = Field(default=20.0, gt=0, description="Until its body must have arrived")
    idle_seconds: float = Field(default=15.0, gt=0, description="Until a connection that asks nothing more is closed")
    write_seconds: float = Field(default=20.0, gt=0, description="Until a client that reads nothing is dropped")
    drain_seconds: float = Field(default=10.0, gt=0, description="For requests under way when the API is ended")
    poll_seconds: float = Field(default=2.0, gt=0, description="How often the API looks for new versions")
    child_grace_seconds: float = Field(default=5.0, gt=0, description="From SIGTERM to SIGKILL of a training")
    night_deadline_minutes: int = Field(default=180, gt=0, description="A wave waits this long for stragglers")

    @field_validator("home", "configs")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        value = value.expanduser()
        return value if value.is_absolute() else project_root() / value

    @property
    def lake_path(self) -> Path:
        """Delta tables."""
        return self.home / "lake"

    @property
    def artifacts_path(self) -> Path:
        """Trained checkpoints, `{model_id}/{pair|panel}/{version}/`."""
        return self.home / "artifacts"

    @property
    def scratch_path(self) -> Path:
        """Work space of running trainings; safe to delete when none runs."""
        return self.home / "scratch"

    @property
    def charts_path(self) -> Path:
        """Fan charts written by `make demo`."""
        return self.home / "charts"

    @property
    def inbox_path(self) -> Path:
        """Price files dropped for ingestion, in a folder a pair: `inbox/EURUSD/`."""
        return self.home / "inbox"

    @property
    def cache_path(self) -> Path:
        """Downloads; safe to delete."""
        return self.home / "cache"

    @property
    def resume_path(self) -> Path:
        """Last whole epochs of trainings that were killed; safe to delete."""
        return self.home / "resume"

    @property
    def tracking_path(self) -> Path:
        """What trackers write offline."""
        return self.home / "tracking"

    @property
    def search_database(self) -> str:
        """SQLAlchemy URL of Optuna's own database."""
        if self.search_url is not None:
            return self.search_url.get_secret_value()
        return f"sqlite:///{self.home / 'search.db'}"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME: run history, event log, schedules."""
        return self.home / "dagster"

    @property
    def control_database(self) -> str:
        """SQLAlchemy URL of leases and model versions."""
        if self.control_url is not None:
            return self.control_url.get_secret_value()
        return f"sqlite:///{self.home / 'control.db'}"


def get_settings() -> Settings:
    """Read the environment afresh.

    Raises pydantic's `ValidationError`, naming the field, for a value that does not fit.
    """
    return Settings()


def environment() -> dict[str, str]:
    """A copy of the environment, for overrides of specs and for child processes."""
    return dict(os.environ)


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment in which a child process reads these very settings, wherever they came from."""
    inherited = environment()
    for name in Settings.model_fields:
        variable, value = f"FX_{name.upper()}", getattr(settings, name)
        inherited.pop(variable, None)
        if isinstance(value, SecretStr):
            inherited[variable] = value.get_secret_value()
        elif value is not None:
            inherited[variable] = str(value)
    return inherited


def export_dagster_home(settings: Settings) -> Path:
    """Point Dagster at this project's home unless the caller already chose one; return it."""
    chosen = os.environ.setdefault("DAGSTER_HOME", str(settings.dagster_home))
    return Path(chosen)
