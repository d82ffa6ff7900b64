"""A dashboard's page in chromium, and what tests measure in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.e2e.test_pictures import FLAGS
from tests.support.running_api import Api

PATIENCE_MS = 30_000

# Every text that can be seen: its colour over what lies behind it, by the formula of WCAG 2.2.
CONTRAST = """
() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((value, at) => a * value + (1 - a) * below[at]);
  const linear = (value) => ((value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, part, at) => sum + part * linear(colour[at]), 0);
  const ground = (node) =>
    node ? over(parse(getComputedStyle(node).backgroundColor), ground(node.parentElement)) : [255, 255, 255];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const [text, node] = [walker.currentNode.data.trim(), walker.currentNode.parentElement];
    if (!text || !node.checkVisibility({ visibilityProperty: true })) continue;
    if (node.closest(".unseen, .skip, option, noscript")) continue;
    const style = getComputedStyle(node);
    const below = ground(node);
    const ink = over(parse(node.namespaceURI.endsWith("svg") ? style.fill : style.color), below);
    const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), text, node.className.baseVal ?? node.className]);
  }
  return found;
}
"""
# Charts follow the width a moment later.
FITTED = "[...document.querySelectorAll('.main-svg')].every((svg) => svg.getBoundingClientRect().right <= innerWidth)"
OVERFLOW = """
() => [...document.querySelectorAll("body *")]
  .filter((node) => node.checkVisibility() && !node.closest(".scroll > *, .unseen, .skip, svg *"))
  .filter((node) => node.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
  .map((node) => `${node.tagName}.${node.className} ${node.textContent.slice(0, 40)}`)
"""


@contextmanager
def chromium() -> Iterator[BrowserContext]:
    """A browser for the tests of a file; its cache holds plotly's script after the first page."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE_MS)
        yield context
        browser.close()


@contextmanager
def opened(
    context: BrowserContext, api: Api, view: str = "/", *, quiet: bool = True, clock: bool = False
) -> Iterator[Page]:
    """A page of the dashboard. When it is left, nothing has been logged and no other host was asked (`quiet`)."""
    page = context.new_page()
    if clock:
        page.clock.install()
    said: list[str] = []
    host = f"http://127.0.0.1:{api.port}/"
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith((host, "blob:")) else None
    )
    try:
        page.goto(host + view.lstrip("/"))
        yield page
        if quiet:
            assert said == []
    finally:
        page.close()


def drawn(page: Page) -> None:
    """Wait until a pair's page shows everything."""
    expect(page.locator(".plot[data-drawn]:visible")).to_have_count(2)
    expect(page.get_by_role("table", include_hidden=False).nth(2)).to_be_visible()


def module(page: Page, name: str, expression: str) -> Any:
    """What an expression gives of a module of the page."""
    address = page.locator("script[type=module]").get_attribute("src")
    assert address is not None
    return page.evaluate(
        f"async (folder) => {{ const its = await import(folder + '{name}'); return {expression}; }}",
        page.url.partition("#")[0] + address.removesuffix("app.js"),
    )
