"""Bars of crypto currencies as exchanges publish them, through `ccxt` (the extra `[crypto]`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.download import RetryPolicy
from fx_assets.prices.sources.base import Feed, PriceSource, Request, SourceError
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import Frequency, SourceSpec, Strict
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import FREQUENCIES, name_of, seconds_of
from fx_assets.timegrid.trading_dates import bar_start

if TYPE_CHECKING:
    import polars as pl
    import tenacity

POLICY = RetryPolicy(attempts=5, read=30.0, first_wait=1.0, longest_wait=30.0, longest_retry_after=120.0)
PAGE = 1_000
_DEFAULT: Frequency = "1h"
_RESOLUTIONS = tuple(name for name in FREQUENCIES if name != "1w")
_STABLE = {"USD": frozenset({"USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI"})}
"""Coins that are meant to be worth one of a currency; their prices are taken as that currency's, and it is said."""
_KEPT_MESSAGE = 300


class CryptoOptions(Strict):
    """What only this source knows."""

    exchange: str = Field(default="binance", pattern=r"^[a-z0-9_]{1,40}$", description="ccxt's name of the exchange")
    base_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s@]+$",
        description="The same service elsewhere, e.g. https://data-api.binance.vision",
    )


class CryptoSource(PriceSource):
    """Bars of trades at one exchange. `symbol`: ETHUSDT or ETH/USDT; `resolution`: 1min to 1d, 1h where not said.

    A dollar coin is taken as the dollar, and said so in the notes. A bar that has not ended is left out. Days are UTC's
    own. `volume` is in units of the base. `Feed.cursor`: `last`, the start of the newest bar; the next fetch asks for
    what comes after it.
    """

    kind: ClassVar[str] = "crypto"
    calendar: ClassVar[CalendarName] = "24x7"
    uses: ClassVar[frozenset[str]] = frozenset({"symbol", "resolution"})
    live: ClassVar[bool] = True
    Options: ClassVar[type[Strict]] = CryptoOptions

    def __init__(self, policy: RetryPolicy = POLICY, page: int = PAGE) -> None:
        self.policy = policy
        self.page = page

    def form(self, source: SourceSpec) -> Form:
        """Bars of trades, as long as `resolution` says."""
        return Form("bar", seconds_of(source.resolution or _DEFAULT), "trade")

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        if source.resolution is not None and source.resolution not in _RESOLUTIONS:
            yield (
                "resolution",
                f"{source.resolution} is not asked of exchanges; expected one of {', '.join(_RESOLUTIONS)}",
            )

    def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
        options = CryptoOptions.model_validate(request.source.options)
        symbol = _symbol(request, feed.notes)
        feed.cursor.update(request.cursor)
        last = datetime.fromisoformat(request.cursor["last"]) if "last" in request.cursor else None
        if not request.settings.live:
            feed.notes["live"] = "off"
            if last is None:
                raise SourceError(
                    f"{request.pair}: an exchange can only be asked, and the network is off (FX_LIVE=false)"
                )
            return
        form = self.form(request.source)
        exchange = _exchange(options, self.policy)
        feed.notes.update(live="reached", exchange=options.exchange, pages=0, incomplete=0)
        try:
            timeframe = self._open(exchange, symbol, request)
            line = 0
            for bars in self._pages(exchange, symbol, timeframe, last, form, request):
                feed.notes["pages"] = int(feed.notes["pages"]) + 1
                step = timedelta(seconds=form.seconds)
                ended = [bar for bar in bars if _instant(bar[0]) + step <= request.now]
                feed.notes["incomplete"] = int(feed.notes["incomplete"]) + len(bars) - len(ended)
                if ended:
                    feed.cursor["last"] = _instant(ended[-1][0]).isoformat()
                    yield Batch(f"{options.exchange} {symbol}", form, _rows(ended, line, form), no_rejects())
                line += len(bars)
        except _Failed as error:
            # Whole pages are whole: a long history goes on in the next run.
            if not feed.notes["pages"]:
                raise SourceError(f"{request.pair}: {options.exchange}: {error}") from error
            feed.notes["live"] = f"stopped at {feed.cursor.get('last')}: {error}; the next run goes on from there"
            request.log(f"{request.pair}: {feed.notes['live']}")
        if "last" not in feed.cursor:
            raise SourceError(
                f"{request.pair}: {options.exchange} answered no bars of {symbol} from {request.history_start}; "
                "set history_start to when its trading began"
            )

    def _open(self, exchange: Any, symbol: str, request: Request) -> str:
        """Ask which markets there are; the exchange's name of the resolution."""
        resolution = request.source.resolution or _DEFAULT
        timeframe = resolution.replace("min", "m")
        if timeframe not in (exchange.timeframes or {}):
            offered = ", ".join(exchange.timeframes or ())
            raise SourceError(f"{request.pair}: {exchange.id} has no bars of {resolution}, only {offered}")
        markets = self._ask(exchange, request, exchange.load_markets)
        if symbol not in markets:
            base = symbol.partition("/")[0]
            known = [name for name in markets if name.startswith(f"{base}/")] or list(markets)[:20]
            raise SourceError(f"{request.pair}: {exchange.id} has no market {symbol}.{nearest(symbol, known)}")
        return timeframe

    def _pages(
        self, exchange: Any, symbol: str, timeframe: str, last: datetime | None, form: Form, request: Request
    ) -> Iterator[list[list[Any]]]:
        """Bars after `last`, page by page, until one that has not ended or none. Raises `_Failed`."""
        step = timedelta(seconds=form.seconds)
        since = bar_start(request.history_start) if last is None else last + step
        while since + step <= request.now:
            first = int(since.timestamp() * 1000)
            answer = self._ask(exchange, request, partial(exchange.fetch_ohlcv, symbol, timeframe, first, self.page))
            bars = [bar for bar in _checked(answer, form) if bar[0] >= first]
            if not bars:
                return
            yield bars
            since = _instant(bars[-1][0]) + step

    def _ask(self, exchange: Any, request: Request, call: Callable[[], Any]) -> Any:
        """The answer to `call`, with retries of what may pass. Raises `_Failed` with the cause."""
        import ccxt
        import tenacity

        policy = self.policy
        backoff = tenacity.wait_random_exponential(multiplier=policy.first_wait, max=policy.longest_wait)

        def wait(state: tenacity.RetryCallState) -> float:
            asked = str((exchange.last_response_headers or {}).get("Retry-After", "")).strip()
            seconds = float(asked) if asked.isascii() and asked.isdigit() else 0.0
            return max(backoff(state), min(seconds, policy.longest_retry_after))

        def said(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            pause = state.next_action.sleep if state.next_action else 0.0
            request.log(f"{_short(error)}; attempt {state.attempt_number + 1} of {policy.attempts} in {pause:.1f} s")

        def whole() -> Any:
            exchange.last_response_headers = exchange.last_json_response = None
            found = call()
            if exchange.last_json_response is None:
                # ccxt takes text for an answer and finds nothing in it.
                raise _Failed("answered a web page, or half an answer, instead of data")
            return found

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(policy.attempts),
            wait=wait,
            retry=tenacity.retry_if_exception_type(ccxt.NetworkError),
            before_sleep=said,
            reraise=True,
        )
        try:
            return retrying(whole)
        except ccxt.BaseError as error:
            raise _Failed(_short(error)) from error
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise _Failed(f"ccxt could not read the answer ({_short(error)})") from error


class _Failed(RuntimeError):
    """What the exchange could not be asked, and why."""


def _exchange(options: CryptoOptions, policy: RetryPolicy) -> Any:
    """ccxt's client of the exchange: public data only, spot markets, within its rate limit."""
    try:
        import ccxt
    except ImportError as error:
        raise SourceError("crypto prices need ccxt, which is not installed: pip install 'fx-assets[crypto]'") from error
    if options.exchange not in ccxt.exchanges:
        raise SourceError(f"ccxt knows no exchange {options.exchange!r}.{nearest(options.exchange, ccxt.exchanges)}")
    exchange = getattr(ccxt, options.exchange)(
        {
            "enableRateLimit": True,
            "enableLastJsonResponse": True,
            "requests_trust_env": True,
            "timeout": int(policy.read * 1000),
        }
    )
    spot = exchange.options.get("fetchMarkets")
    if isinstance(spot, dict) and "types" in spot:
        spot["types"] = ["spot"]  # else each run asks for the markets of all derivatives too
    if options.base_url is not None:
        exchange.urls["api"] = _elsewhere(exchange.urls["api"], options.base_url.rstrip("/"))
    return exchange


def _elsewhere(address: Any, base: str) -> Any:
    """The same addresses, whatever their nesting, below `base`."""
    if isinstance(address, dict):
        return {name: _elsewhere(each, base) for name, each in address.items()}
    return f"{base}{urlsplit(address).path}" if isinstance(address, str) else address


def _symbol(request: Request, notes: dict[str, str | int]) -> str:
    """ccxt's name of the market, e.g. ETH/USDT; `notes` says where its quote is taken for the pair's."""
    base, quote = request.pair[:3], request.pair[3:]
    given, _, named = request.symbol.partition("/")
    if not named:
        if not given.startswith(base) or given == base:
            raise SourceError(f"{request.pair}: symbol {request.symbol!r}: expected e.g. {base}USDT or {base}/USDT")
        given, named = base, given.removeprefix(base)
    if named != quote:
        if named not in _STABLE.get(quote, ()):
            raise SourceError(f"{request.pair}: symbol {request.symbol!r} is quoted in {named}, the pair in {quote}")
        notes["quote"] = f"{named} taken as {quote}"
    return f"{given}/{named}"


def _checked(answer: Any, form: Form) -> list[list[Any]]:
    """The bars of an answer, if it is one. Raises `_Failed`: a web page or half an answer is not an empty one."""
    if not isinstance(answer, list) or any(
        not isinstance(bar, list) or len(bar) < 6 or not isinstance(bar[0], int) for bar in answer
    ):
        raise _Failed(f"answered something else than bars: {str(answer)[:80]!r}")
    for bar in answer:
        if bar[0] % (form.seconds * 1000):
            raise _Failed(
                f"a bar of {name_of(form.seconds)} begins at {_instant(bar[0])}, which is no such time in UTC"
            )
    return sorted(answer, key=lambda bar: int(bar[0]))


def _rows(bars: list[list[Any]], line: int, form: Form) -> pl.DataFrame:
    import polars as pl

    times = [_instant(bar[0]) for bar in bars]
    prices = {name: [bar[at] for bar in bars] for at, name in enumerate(("open", "high", "low", "close", "volume"), 1)}
    utc = pl.Datetime("us", "UTC")
    types: dict[str, pl.DataType | type[pl.DataType]] = {
        "line": pl.Int64,
        "time": utc,
        **dict.fromkeys(prices, pl.Float64),
    }
    columns: dict[str, Any] = {"line": range(line + 1, line + 1 + len(bars)), "time": times, **prices}
    if form.seconds == seconds_of("1d"):
        # UTC's day ends after 17:00 New York, so that it is known later than the trading date's other prices.
        days: list[date] = [time.date() for time in times]
        columns |= {"known_at": [time + timedelta(days=1) for time in times], "trading_date": days}
        types |= {"known_at": utc, "trading_date": pl.Date}
    return pl.DataFrame(columns, schema=types)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _short(error: BaseException | None) -> str:
    """ccxt's messages may hold a whole web page."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_KEPT_MESSAGE]}"
