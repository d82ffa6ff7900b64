// History against outcomes: how often what came lay inside what was said, in numbers.

import { h, table } from "./dom.js";
import * as format from "./format.js";

const PROMISED = 0.8;
// 95 of 100 samples of ranges that hold lie within so many standard errors.
const NORMAL_95 = 1.96;

/** Coverage of the 80 % range over outcomes, and what chance gives to ranges that hold. */
export function coverage(outcomes, horizon) {
  const inside = outcomes.filter((row) => row.inside_80).length;
  const below = outcomes.filter((row) => row.close < row.quantiles["0.1"]).length;
  // Forecasts of h bars that start a bar apart overlap: so many of them do not.
  const independent = Math.max(1, Math.floor(outcomes.length / horizon));
  const error = NORMAL_95 * Math.sqrt((PROMISED * (1 - PROMISED)) / independent);
  const share = inside / outcomes.length;
  const [least, most] = [Math.max(0, PROMISED - error), Math.min(1, PROMISED + error)];
  return { count: outcomes.length, inside, below, above: outcomes.length - inside - below, independent, share, least, most };
}

/** Figures and a sentence on them; `outcomes` are not empty. */
export function figures(outcomes, { horizon, frequency }) {
  const found = coverage(outcomes, horizon);
  const holds = found.share >= found.least && found.share <= found.most;
  const judged = holds ? "Within" : found.share < PROMISED ? "Below" : "Above";
  return [
    h(
      "dl",
      { class: "figures" },
      figure("Inside the 80\u00a0% range", format.percent(found.share), `${found.inside} of ${found.count}`),
      figure("Below it", format.percent(found.below / found.count), `${found.below}, 10\u00a0% expected`),
      figure("Above it", format.percent(found.above / found.count), `${found.above}, 10\u00a0% expected`),
    ),
    h(
      "p",
      {},
      `${judged} what chance gives ranges that hold: ${format.percent(found.least, 0)} to ${format.percent(found.most, 0)} inside, with ` +
        `${found.independent} forecasts of ${format.bars(horizon, frequency)} that do not overlap, from ${format.day(outcomes[0].target_time)} to ${format.day(outcomes.at(-1).target_time)}.`,
    ),
  ];
}

const figure = (name, value, note) => h("div", {}, h("dt", {}, name), h("dd", {}, h("b", {}, value), h("span", {}, note)));

/** The chart's numbers, newest first. */
export function numbers(outcomes, { pip, frequency }) {
  const rows = [...outcomes].reverse().map((row) => [
    format.when(frequency, row.target_time, row.target_time),
    format.price(row.median, pip),
    format.range(row.quantiles["0.1"], row.quantiles["0.9"], pip),
    format.price(row.close, pip),
    row.inside_80 ? "inside" : row.close < row.quantiles["0.1"] ? "below" : "above",
  ]);
  return table("What was said and what came", ["Price of", "Median", "80\u00a0% range", "Came", "Lay"], rows);
}
