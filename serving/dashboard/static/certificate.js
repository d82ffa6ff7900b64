// The certificate as tables: by horizon, and the value at risk.

import { h, table } from "./dom.js";
import * as format from "./format.js";
import { badge, tag } from "./verdicts.js";

/** Tables and sentences of a certificate, or why there is none. */
export function certificate(forecast) {
  const found = forecast.certificate;
  if (!found) return h("p", {}, "This model has not been measured on this pair yet: too few of its forecasts have come due, or no night has scored them.");
  const other = found.model_version !== forecast.model_version;
  return [
    h("p", {}, forecast.notes[0]?.startsWith(found.verdict) ? `${upper(forecast.notes[0])}.` : null),
    other && h("p", { class: "small" }, `Measured on version ${found.model_version}, the one before; this version has not been measured yet.`),
    byHorizon(found, forecast.frequency),
    h(
      "p",
      { class: "small" },
      "Ratio: loss divided by that of what it is compared with, under 1 is better; of volatility the difference of QLIKE, under 0 is better. " +
        "p: one-sided Diebold-Mariano, after Holm over the horizons. " +
        `Random walk of the ranges: with the volatility of ${found.density_benchmark}. Measured ${format.moment(found.measured_at)}; ` +
        `${found.trials} ${found.trials === 1 ? "trial" : "trials"} of searches on this pair.`,
    ),
    found.tails.length ? [h("h3", {}, "Value at risk, one bar ahead"), tails(found.tails)] : null,
  ].flat();
}

const upper = (text) => text[0].toUpperCase() + text.slice(1);

function byHorizon(found, frequency) {
  const references = found.horizons[0].volatility.map((finding) => `Volatility against ${finding.against}`);
  const head = ["Ahead", "Windows", "Location", "Ranges", ...references, "Inside 80\u00a0%", "Inside 90\u00a0%"];
  const rows = found.horizons.map((at) => [
    format.bars(at.horizon, frequency),
    [format.count(at.windows), h("span", { class: "under" }, `${format.count(at.independent_windows)} without overlap`)],
    finding(at.location),
    finding(at.density),
    ...at.volatility.map(finding),
    format.percent(at.coverage_80),
    format.percent(at.coverage_90),
  ]);
  return table("Certificate by horizon", head, rows);
}

function finding(found) {
  const size = found.ratio === null ? format.number(found.loss - found.benchmark, 4, { sign: true }) : found.ratio.toFixed(4);
  return [
    badge(found.verdict),
    h("span", { class: "under" }, `${size}, ${format.pValue(found.adjusted_p_value)}`),
    found.reason ? h("span", { class: "under reason" }, found.reason) : null,
  ];
}

const LIGHTS = { green: "good", yellow: "wait", red: "bad" };

function tails(found) {
  const rows = found.map((tail) => [
    `${format.percent(tail.level, Number.isInteger(100 * tail.level) ? 0 : 1)} ${tail.side}`,
    tag(tail.light, LIGHTS[tail.light]),
    format.count(tail.exceptions),
    format.percent(tail.share, 2),
    format.pValue(tail.kupiec),
    format.pValue(tail.christoffersen),
  ]);
  return table(
    "Value at risk",
    ["Beyond", "Light", "Exceptions", "Share", "Right number (Kupiec)", "No clusters (Christoffersen)"],
    rows,
  );
}
