// All models of a pair side by side, at one horizon.

import * as api from "./api.js";
import { h, table } from "./dom.js";
import { horizonAt, rangeOf } from "./forecast.js";
import * as format from "./format.js";
import { badge, tag } from "./verdicts.js";

/** Newest forecasts of every model of the pair at this frequency: `[{model, forecast}]`, by name. */
export async function rivals(pair, frequency) {
  const fitting = (await api.models()).filter((model) => model.frequency === frequency && model.pairs?.includes(pair));
  const found = fitting.map(async (model) => {
    const published = model.versions?.[pair]?.published;
    return { model, forecast: published ? await api.latest(pair, { model: model.model_id, frequency }) : null };
  });
  return (await Promise.all(found)).sort((a, b) => a.model.model_id.localeCompare(b.model.model_id));
}

/** The page of a pair as one model sees it. */
const pageOf = (pair, model, frequency) =>
  `#/${encodeURIComponent(pair)}?${new URLSearchParams({ model, ...(frequency ? { frequency } : {}) })}`;

/** Their table. */
export function comparison(found, shown, horizon) {
  const rows = found.map(({ model, forecast }) => cells(model, forecast, shown, horizon));
  const head = ["Model", "Verdict", "CRPS ratio", "Data as of", "Median", "80\u00a0% range", "Volatility"];
  return [
    table("Models compared", head, rows),
    h(
      "p",
      { class: "small" },
      "CRPS ratio: to a random walk with constant volatility, one bar ahead in the held-out year, under 1 is better. " +
        "The verdict asks for more: to beat a random walk with the volatility of the champion.",
    ),
  ];
}

function cells(model, forecast, shown, horizon) {
  const here = model.model_id === shown.model_id;
  const link = { href: pageOf(shown.pair, model.model_id, shown.frequency), "aria-current": here ? "page" : null };
  const name = [
    forecast ? h("a", link, model.model_id) : model.model_id,
    model.model_id === shown.champion ? [" ", tag("serves", "good")] : null,
    h("span", { class: "under" }, model.kind),
  ].flat();
  if (!forecast) return [name, model.problems?.length ? tag("failed", "bad") : tag("waiting", "wait"), "–", "–", "–", "–", "–"];
  const at = horizonAt(forecast, horizon);
  const range = rangeOf(forecast, 80);
  return [
    name,
    badge(forecast.verdict),
    forecast.evaluation ? forecast.evaluation.ratio.toFixed(4) : "–",
    [format.when(forecast.frequency, forecast.data_as_of, forecast.origin), forecast.stale ? [" ", tag("stale", "bad")] : null].flat(),
    format.price(at.median, forecast.pip),
    range ? format.range(at.quantiles[range.low], at.quantiles[range.high], forecast.pip) : "–",
    format.percent(at.volatility, 2),
  ];
}
