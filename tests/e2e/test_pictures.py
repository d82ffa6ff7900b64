"""The Dagster UI in a real browser: the graph, a materialization with its chart, the backfill dialog.

With FX_PICTURES=docs/pictures the pictures of the README are taken anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.installation import Installation

ASSETS = (
    "prices/raw,bars/1d,features/core/indicators,features/core,"
    "checkpoints/random_walk,forecasts/random_walk,scores/random_walk"
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAIRS = ("AUDUSD", "EURJPY", "EURUSD", "GBPUSD", "USDCHF", "USDJPY")
PATIENCE_MS = 60_000


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine")
    return found


@contextmanager
def browser_page(executable: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1600, "height": 1040})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


@pytest.mark.slow
def test_operators_see_the_graph_a_chart_and_the_pairs_to_backfill(chromium: str, tmp_path: Path) -> None:
    pictures = Path(os.environ.get("FX_PICTURES", tmp_path / "pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    installation = Installation(tmp_path / "home")
    done = installation.command("materialize", "--pairs", "EURUSD", "--select", ASSETS)
    assert done.returncode == 0, done.stderr
    with installation.up(), browser_page(chromium) as page:
        page.goto(installation.ui + "/asset-groups")
        expect(page.get_by_text("forecasts").last).to_be_visible(timeout=PATIENCE_MS)
        page.mouse.click(1000, 820)
        page.keyboard.press("Alt+KeyE")
        # All groups are expanded: the graph is drawn again with one box an asset, of those that fit on the page.
        expect(page.get_by_text("raw", exact=True).first).to_be_visible(timeout=PATIENCE_MS)
        page.wait_for_timeout(3000)
        page.screenshot(path=pictures / "asset_graph.png")

        page.goto(installation.ui + "/assets/forecasts/random_walk?view=events")
        page.get_by_text("[Show Markdown]").first.click()
        chart = page.get_by_role("img", name="fan chart of EURUSD")
        expect(chart).to_be_visible(timeout=PATIENCE_MS)
        drawn = chart.evaluate("image => image.complete && image.naturalWidth > 500")
        assert drawn, "the fan chart is not a picture that the browser can draw"
        page.screenshot(path=pictures / "materialization.png")

        page.goto(installation.ui + "/assets/features/core?view=events")
        shown = page.get_by_text("[Show Markdown]")
        expect(shown.first).to_be_visible(timeout=PATIENCE_MS)
        redundancy = page.get_by_role("img", name="redundancy")
        for number in range(shown.count()):
            shown.nth(number).click()
            page.wait_for_timeout(1000)
            if redundancy.count():
                break
            page.keyboard.press("Escape")
        expect(redundancy).to_be_visible(timeout=PATIENCE_MS)
        assert redundancy.evaluate("image => image.complete && image.naturalWidth > 500")
        page.screenshot(path=pictures / "features.png")

        page.goto(installation.ui + "/assets/prices/raw?view=overview")
        page.get_by_role("button", name="Materialize").first.click()
        page.get_by_text("Select a partition").click()
        for pair in PAIRS:
            expect(page.get_by_title(pair, exact=True).last).to_be_visible(timeout=PATIENCE_MS)
        for pair in ("EURUSD", "USDJPY"):
            page.get_by_title(pair, exact=True).last.click()
        expect(page.get_by_text("2 partitions", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        page.screenshot(path=pictures / "backfill.png")
    for name in ("asset_graph", "materialization", "features", "backfill"):
        assert (pictures / f"{name}.png").stat().st_size > 20_000
    assert installation.processes() == []
