"""Two nights, the second with newer prices: what was served then, what is served now, and what came too late."""

from __future__ import annotations

from datetime import UTC, datetime

from fx_assets.forecasting.table import documents
from tests.support.csv_prices import KIND, trading_days, write_prices
from tests.support.running_api import running
from tests.support.whole_night import PLAIN, WholeNight


def test_as_of_between_two_issues_answers_the_first(on_csv: WholeNight) -> None:
    night = on_csv
    days = trading_days(datetime.now(UTC))
    night.pair("EURUSD", KIND)
    night.model(PLAIN.format(model="random_walk", kind="random_walk", target="log_return"), "random_walk")
    before = datetime.now(UTC)
    write_prices(night.settings, "EURUSD", days[:-2])
    assert night.run().failed == []
    between = datetime.now(UTC)
    write_prices(night.settings, "EURUSD", days)
    assert night.run().failed == []

    first, second = documents(night.tiny.lake.read("forecasts", "EURUSD"))
    assert [first.data_as_of, second.data_as_of] == [days[-3], days[-1]]
    assert before < first.issued_at < between < second.issued_at
    for document in (first, second):
        for horizon in document.horizons:
            assert horizon.retrospective == (document.issued_at >= horizon.target_time)
    # The first was issued when the prices of its first two targets were known to the world already.
    assert [horizon.target_date for horizon in first.horizons[:2]] == days[-2:]
    assert [horizon.retrospective for horizon in first.horizons[:2]] == [True, True]
    assert not first.horizons[-1].retrospective

    with running(night.tiny) as api:

        def latest(**parameters: str) -> dict[str, object]:
            answer = api.get("/v1/forecasts/EURUSD/latest", params=parameters)
            assert answer.status_code == 200, answer.text
            found: dict[str, object] = answer.json()
            return found

        served = latest(as_of=between.isoformat())
        assert served["data_as_of"] == first.data_as_of.isoformat()
        assert served["issued_at"] == first.model_dump(mode="json")["issued_at"]
        assert served["horizons"] == first.model_dump(mode="json")["horizons"]
        for newest in (latest(), latest(as_of=datetime.now(UTC).isoformat())):
            assert newest["horizons"] == second.model_dump(mode="json")["horizons"]
        assert api.get("/v1/forecasts/EURUSD/latest", params={"as_of": before.isoformat()}).status_code == 404
