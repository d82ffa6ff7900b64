"""The dashboard in a real browser on a small real installation: content, layout, keyboard, contrast, and news."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from fx_assets.forecasting.certificate import Certificate, to_row
from fx_assets.settings import Settings
from fx_assets.storage import keys
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end
from tests.e2e.dashboard_page import CONTRAST, FITTED, OVERFLOW, chromium, drawn, opened
from tests.evaluation.test_certify import made, scores
from tests.support.running_api import Api, running
from tests.support.tiny_lake import LAST, TinyLake, tiny_lake

pytestmark = pytest.mark.slow

NIGHTS = 12
NEXT = date(2026, 11, 2)
WIDTHS = (360, 1440)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
INK = {"light": "rgb(23, 33, 44)", "dark": "rgb(228, 234, 240)"}
VIEWS = {"grid": "/", "pair": "/#/EURUSD"}


def certified(model: str, pair: str, better: float) -> Certificate:
    """A measured certificate of a model that does so much better than what it is compared with."""
    return made(scores(better=better)).model_copy(update={"model_id": model, "pair": pair})


def issue(tiny: TinyLake, model: str, pair: str, last: date) -> None:
    """The forecast of one night, half an hour after its last bar ended."""
    tiny.forecast(model, pair, issued_at=bar_end(last) + timedelta(minutes=30), last=last)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Twelve nights of two pairs; a third waits for its first, and a fourth is misspelled."""
    tiny = tiny_lake(tmp_path_factory.mktemp("installation"))
    pairs = tiny.settings.configs / "pairs"
    euro = (pairs / "EURUSD.yaml").read_text()
    (pairs / "GBPUSD.yaml").write_text(euro.replace("EURUSD", "GBPUSD"))
    (pairs / "AUDUSD.yaml").write_text(euro.replace("EURUSD", "AUDUSD").replace("pip: 0.0001", "pip: small"))
    days = calendar("target").days(date(2026, 10, 1), LAST)[-NIGHTS:]
    for model, pair in (("random_walk", "EURUSD"), ("solo", "EURUSD"), ("random_walk", "USDJPY")):
        if model == "random_walk":
            tiny.bars(pair)
        tiny.train(model, pair)
        for day in days:
            issue(tiny, model, pair, day)
    tiny.score("random_walk", "EURUSD", 45.0)
    for pair, better in (("EURUSD", 0.05), ("USDJPY", -0.05)):
        row = to_row(certified("random_walk", pair, better))
        tiny.commit("certificates", pair, row, asset="certificates/random_walk", append=True)
    return tiny


@pytest.fixture(scope="module")
def api(built: TinyLake) -> Iterator[Api]:
    """The API on it, for tests that only look."""
    with running(built) as opened:
        yield opened


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with chromium() as opened:
        yield opened


def card(page: Page, pair: str) -> Any:
    return page.locator(f".card[data-pair={pair}]")


def test_every_pair_has_a_card_that_says_what_its_forecast_is_worth(context: BrowserContext, api: Api) -> None:
    with opened(context, api) as page:
        expect(page.locator(".card")).to_have_count(4)
        assert page.locator(".card h2").all_inner_texts() == ["AUDUSD", "EURUSD", "GBPUSD", "USDJPY"]
        euro, yen = card(page, "EURUSD"), card(page, "USDJPY")
        expect(euro.locator("svg[role=img]")).to_have_attribute(
            "aria-label", re.compile("^Fan chart of EURUSD: closes")
        )
        expect(euro.locator(".said")).to_have_text(re.compile("skill shown by random_walk"))
        expect(euro.locator(".sentence")).to_have_text(re.compile("has beaten"))
        expect(yen.locator(".said")).to_have_text(re.compile("worse by random_walk"))
        expect(yen.locator(".sentence")).to_have_text(re.compile("Did worse than a random walk"))
        expect(euro.locator(".fresh")).to_have_text(
            re.compile(r"stale Data as of 30 Oct 2026, .* 2 Nov 2026 22:00 UTC")
        )
        document = api.get("/v1/forecasts/EURUSD/latest").json()
        expect(euro.locator(".last")).to_have_text(f"{document['last_price']:.4f}")
        expect(yen.locator(".last")).to_have_text(re.compile(r"^\d+\.\d\d$"))
        expect(card(page, "GBPUSD")).to_contain_text("waiting")
        expect(card(page, "GBPUSD")).to_contain_text("No forecast has been published yet")
        expect(card(page, "AUDUSD")).to_contain_text("failed")
        expect(card(page, "AUDUSD")).to_contain_text(re.compile(r"AUDUSD\.yaml.*line 2.*pip"))
        expect(page.locator(".summary")).to_contain_text("1 skill shown")
        expect(page.locator("#connection")).to_have_text("live")


def test_the_filter_takes_pairs_models_and_words(context: BrowserContext, api: Api) -> None:
    with opened(context, api) as page:
        expect(page.locator(".card svg")).to_have_count(2)
        for text, left in (("jpy", ["USDJPY"]), ("worse", ["USDJPY"]), ("waiting", ["GBPUSD"]), ("xyz", [])):
            page.get_by_label("Filter").fill(text)
            assert page.locator(".card:visible").evaluate_all("cards => cards.map(card => card.dataset.pair)") == left
        expect(page.get_by_text("No pair fits the filter.")).to_be_visible()
        expect(page.locator("#announcer")).to_have_text("0 pairs shown")


def test_a_pairs_page_shows_what_was_said_and_what_came(context: BrowserContext, api: Api) -> None:
    with opened(context, api, VIEWS["pair"]) as page:
        drawn(page)
        levels = page.locator("#pair :is(h1, h2, h3):visible").evaluate_all("all => all.map(node => node.tagName)")
        assert levels == ["H1", "H2", "H2", "H2", "H3", "H2", "H2"]
        layers = page.locator(".plot").first.locator(".main-svg")
        tops = layers.evaluate_all("all => all.map((svg) => svg.getBoundingClientRect().top)")
        assert len(tops) > 1
        assert len(set(tops)) == 1, "the layers of a chart lie on each other"
        box = page.locator(".plot").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(page.locator(".plot .hoverlayer").first).to_contain_text(re.compile(r"close 1\.\d{4}$"))
        came = api.get("/v1/forecasts/EURUSD/outcomes").json()["outcomes"]
        inside = sum(row["inside_80"] for row in came)
        assert 5 < len(came) <= NIGHTS
        expect(page.locator(".figures")).to_contain_text(f"{inside} of {len(came)}")
        for label in ("Certificate by horizon", "Value at risk", "Models compared"):
            expect(page.get_by_role("group", name=label)).to_be_visible()
        certificate = page.get_by_role("group", name="Certificate by horizon")
        expect(certificate).to_contain_text("Volatility against GARCH-t")
        expect(certificate.locator("tbody tr")).to_have_count(len(certified("solo", "EURUSD", 0.05).horizons))
        models = page.get_by_role("group", name="Models compared").locator("tbody tr")
        expect(models).to_have_count(2)
        expect(models.nth(1)).to_contain_text("untested")
        page.get_by_label("Ahead").select_option("5")
        later = api.get("/v1/forecasts/EURUSD/outcomes", params={"horizon": 5}).json()["outcomes"]
        expect(page.locator(".figures")).to_contain_text(f"of {len(later)}")
        for entry in ("Data version", "Configuration", "Code", "Run", "Trained until"):
            expect(page.locator(".lineage")).to_contain_text(entry)
        models.nth(1).get_by_role("link", name="solo").click()
        expect(page.locator("#pair .said")).to_have_text(re.compile("untested by solo"))
        expect(page.get_by_text("This pair is served by random_walk")).to_be_visible()


def test_forecasts_are_saved_as_files(context: BrowserContext, api: Api, tmp_path: Path) -> None:
    with opened(context, api, VIEWS["pair"]) as page:
        drawn(page)
        for form, start in (("JSON", b"{"), ("CSV", b"pair,")):
            with page.expect_download() as saved:
                page.get_by_role("button", name=f"Forecast as {form}").click()
            target = tmp_path / saved.value.suggested_filename
            saved.value.save_as(target)
            assert target.name == f"EURUSD_random_walk_2026-10-30.{form.lower()}"
            assert target.read_bytes().startswith(start)


def test_the_keyboard_opens_a_card_and_comes_back(context: BrowserContext, api: Api) -> None:
    with opened(context, api) as page:
        expect(card(page, "EURUSD").locator("svg")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the forecasts")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("main")).to_be_focused()
        link = page.get_by_role("link", name="EURUSD")
        for leave in ("Escape", "back"):
            page.get_by_label("Filter").focus()
            for _ in range(2):
                page.keyboard.press("Tab")
            expect(link).to_be_focused()
            outline = link.evaluate("node => getComputedStyle(node, '::after').outlineStyle")
            assert outline == "solid", "where the keyboard is must be seen"
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="EURUSD", level=1)).to_be_focused()
            assert page.title() == "EURUSD · fx-assets"
            drawn(page)
            page.keyboard.press("Escape") if leave == "Escape" else page.go_back()
            expect(link).to_be_focused()
        assert page.url.endswith(("/", "#/"))


@pytest.mark.parametrize("view", VIEWS)
def test_it_fits_and_can_be_read(context: BrowserContext, api: Api, view: str) -> None:
    with opened(context, api, VIEWS[view]) as page:
        expect(page.locator(".card svg")).to_have_count(2)
        if view == "pair":
            drawn(page)
        for width, theme in itertools.product(WIDTHS, THEMES):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme)
            expect(page.locator("html")).to_have_attribute("data-theme", theme)
            for chart in page.locator(".plot").all() if view == "pair" else ():
                expect(chart.locator(".legendtext").first).to_have_css("fill", INK[theme])
                page.wait_for_function("() => " + FITTED)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(OVERFLOW) == []
            contrasts = page.evaluate(CONTRAST)
            assert len(contrasts) > 30
            assert [each for each in contrasts if each[0] < 4.5] == []


def test_the_theme_is_chosen_and_remembered(context: BrowserContext, api: Api) -> None:
    with opened(context, api, VIEWS["pair"]) as page:
        drawn(page)
        page.get_by_role("button", name="Switch to the dark theme").click()
        expect(page.locator(".plot .legendtext").first).to_have_css("fill", INK["dark"])
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.get_by_role("button", name="Switch to the light theme").click()
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.evaluate("localStorage.clear()")


def test_a_pair_that_is_not_there_is_said(context: BrowserContext, api: Api) -> None:
    # The browser itself logs the answer 404.
    with opened(context, api, "/#/<b>XXXYYY", quiet=False) as page:
        expect(page.get_by_text("There is no such pair; /v1/pairs lists them.")).to_be_visible()
        expect(page.locator("#pair b")).to_have_count(0)


def copy(built: TinyLake, folder: Path) -> TinyLake:
    """The installation once more, to be written to."""
    shutil.copytree(built.settings.home.parent, folder)
    return TinyLake(Settings(home=folder / "var", configs=folder / "configs", poll_seconds=0.1, live=False))


def test_minutes_later_everything_is_asked_for_again_and_stays_in_place(context: BrowserContext, api: Api) -> None:
    with opened(context, api, clock=True) as page:
        chart = card(page, "EURUSD").locator("svg")
        expect(chart).to_have_attribute("aria-label", re.compile("closes"))
        kept = chart.element_handle()
        page.get_by_role("link", name="USDJPY").focus()
        with page.expect_response("**/v1/forecasts:batchGet"), page.expect_response("**/readyz?verbose"):
            page.clock.fast_forward("05:01")
        assert kept is not None
        assert kept.evaluate("node => node.isConnected")
        expect(page.get_by_role("link", name="USDJPY")).to_be_focused()
        # So long a silence is a broken connection: it is opened again.
        expect(page.locator("#connection")).to_have_text("live")


def test_a_new_forecast_is_shown_as_it_comes(context: BrowserContext, built: TinyLake, tmp_path: Path) -> None:
    tiny = copy(built, tmp_path / "live")
    with running(tiny) as api, opened(context, api) as page:
        euro, yen = card(page, "EURUSD"), card(page, "USDJPY")
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator(".card svg")).to_have_count(2)
        # Marks that a reload, or a card made anew, would lose.
        page.evaluate("window.mark = 1")
        kept = yen.locator("svg").element_handle()
        page.get_by_role("link", name="EURUSD").focus()
        tiny.bars("EURUSD", NEXT)
        issue(tiny, "random_walk", "EURUSD", NEXT)
        expect(euro.locator(".fresh")).to_contain_text("Data as of 2 Nov 2026")
        expect(page.locator("#announcer")).to_have_text("EURUSD: new forecast, data as of 2 Nov 2026.")
        expect(page.get_by_role("link", name="EURUSD")).to_be_focused()
        expect(yen.locator(".fresh")).to_contain_text("Data as of 30 Oct 2026")
        assert page.evaluate("window.mark") == 1
        assert kept is not None
        assert kept.evaluate("node => node.isConnected"), "what did not change was drawn anew"

        page.get_by_role("link", name="USDJPY").click()
        drawn(page)
        tiny.bars("USDJPY", NEXT)
        issue(tiny, "random_walk", "USDJPY", NEXT)
        expect(page.locator("#pair .fresh")).to_contain_text("Data as of 2 Nov 2026")
        expect(page.locator("#pair .lineage")).to_contain_text("2 Nov 2026 22:00 UTC")


def test_what_came_while_the_network_was_away_is_shown_when_it_is_back(
    context: BrowserContext, built: TinyLake, tmp_path: Path
) -> None:
    tiny = copy(built, tmp_path / "away")
    with running(tiny) as api, opened(context, api, quiet=False) as page:
        expect(page.locator("#connection")).to_have_text("live")
        page.context.set_offline(True)
        expect(page.locator("#connection")).to_have_text("offline")
        asked: list[str | None] = []
        page.on(
            "request", lambda sent: asked.append(sent.headers.get("last-event-id")) if "stream" in sent.url else None
        )
        tiny.bars("EURUSD", NEXT)
        issue(tiny, "random_walk", "EURUSD", NEXT)
        api.refresh()
        page.context.set_offline(False)
        expect(card(page, "EURUSD").locator(".fresh")).to_contain_text("Data as of 2 Nov 2026")
        expect(page.locator("#connection")).to_have_text("live")
        assert asked[-1], "it went on after the last event that it had seen"


def test_a_key_is_asked_for_and_never_put_in_an_address(
    context: BrowserContext, built: TinyLake, tmp_path: Path
) -> None:
    tiny = copy(built, tmp_path / "keys")
    key = keys.make("page", ("read",), created_at=bar_end(LAST), expires_at=None)
    store = keys.KeyStore(tiny.settings.control_database)
    store.add(key.record)
    store.close()
    addresses: list[str] = []
    with running(tiny) as api, opened(context, api, quiet=False) as page:
        page.on("request", lambda sent: addresses.append(sent.url))
        dialog = page.get_by_role("dialog", name="A key is needed")
        expect(dialog).to_be_visible()
        dialog.get_by_role("button", name="Not now").click()
        expect(page.locator("#notices")).to_contain_text("This service answers only with a key.")
        page.get_by_role("button", name="Enter a key").click()
        dialog.get_by_label("Key", exact=True).fill("fxk_wrong")
        dialog.get_by_role("button", name="Use key").click()
        expect(dialog).to_contain_text("The key was refused")
        dialog.get_by_label("Key", exact=True).fill(key.secret)
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        expect(page.locator(".card svg")).to_have_count(2)
        expect(page.locator("#connection")).to_have_text("live")
        page.get_by_role("link", name="EURUSD").click()
        drawn(page)
        assert addresses
        assert [address for address in (*addresses, page.url) if "fxk" in address] == []
        page.get_by_role("button", name="Forget key").click()
        expect(dialog).to_be_visible()
        assert page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])") == "[{},{}]"
