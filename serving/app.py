"""`serving.app:app`, for any ASGI server: the API of the installation that the environment names."""

from __future__ import annotations

from fx_assets.settings import get_settings
from serving.factory import create_app

__all__ = ["app", "create_app"]

app = create_app(get_settings())
