// The small fan chart of a card, drawn as SVG: colours come from the style sheet, so a theme needs no new drawing.

import { h, svg } from "./dom.js";
import * as format from "./format.js";
import { levels } from "./forecast.js";

// In units of the drawing. The ends of the fan are told at the right, dates below.
const [WIDTH, HEIGHT] = [340, 140];
const [TOP, BOTTOM, RIGHT] = [6, 22, 46];
const LINE = 13;
// What a label of a date, and of a time, wants of the line below.
const [DATE, TIME] = [62, 100];

/** History and fan in words, for those who do not see them. */
export function describe(forecast, bars) {
  const last = forecast.horizons.at(-1);
  const [low, high] = [last.quantiles["0.1"], last.quantiles["0.9"]];
  const past = bars.length > 1 ? `closes since ${format.day(bars[0].end)}, then ` : "";
  const ranged = low === undefined ? "" : `, 80\u00a0% range ${format.range(low, high, forecast.pip)}`;
  return (
    `Fan chart of ${forecast.pair}: ${past}from ${format.price(forecast.last_price, forecast.pip)}; in ` +
    `${format.bars(last.h, forecast.frequency)} median ${format.price(last.median, forecast.pip)}${ranged}.`
  );
}

/** A figure of the last closes and the forecast's ranges; every bar takes the same room. */
export function spark(forecast, bars) {
  const past = bars.filter((bar) => bar.close !== null && Date.parse(bar.end) <= Date.parse(forecast.origin));
  const closes = past.length ? past.map((bar) => bar.close) : [forecast.last_price];
  const [bands, ahead, now] = [levels(forecast), forecast.horizons, closes.length - 1];
  const { x, y } = scales(closes, ahead);
  const line = (points) => points.map(([step, value], at) => `${at ? "L" : "M"}${x(step)} ${y(value)}`).join("");
  const fanned = (pick) => [[now, forecast.last_price], ...ahead.map((at) => [now + at.h, pick(at)])];
  const band = ({ low, high, mass }) => {
    const back = line(fanned((at) => at.quantiles[high]).reverse()).replace("M", "L");
    return svg("path", { class: "band", "data-mass": mass, d: `${line(fanned((at) => at.quantiles[low]))}${back}Z` });
  };
  return h(
    "figure",
    { class: "spark" },
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": describe(forecast, past) },
      bands.map(band),
      svg("line", { class: "origin", x1: x(now), x2: x(now), y1: 0, y2: HEIGHT - BOTTOM + 4 }),
      svg("path", { class: "past", d: line(closes.map((close, step) => [step, close])) }),
      svg("path", { class: "median", d: line(fanned((at) => at.median)) }),
      svg("circle", { class: "here", cx: x(now), cy: y(forecast.last_price), r: 2.6 }),
      ends(forecast, bands, y),
      dates(forecast, past, x, now),
    ),
  );
}

function scales(closes, ahead) {
  const all = [...closes, ...ahead.flatMap((at) => [at.median, ...Object.values(at.quantiles)])];
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const steps = closes.length - 1 + ahead.length;
  const inside = HEIGHT - TOP - BOTTOM;
  return {
    x: (step) => Number((((WIDTH - RIGHT) * step) / steps).toFixed(1)),
    y: (value) => Number((TOP + (inside * (most - value)) / (most - least || 1)).toFixed(1)),
  };
}

/** Prices at the end of the fan: the median, and the 80 % range as far as there is room. */
function ends(forecast, bands, y) {
  const last = forecast.horizons.at(-1);
  const shown = bands.find(({ mass }) => mass === 80) ?? bands[0];
  const middle = y(last.median);
  const text = (name, value, place) =>
    svg("text", { class: name, x: WIDTH - RIGHT + 5, y: place }, format.price(value, forecast.pip));
  if (!shown) return text("high", last.median, middle);
  return [
    text("high", last.quantiles[shown.high], Math.min(y(last.quantiles[shown.high]), middle - LINE)),
    text("high", last.median, middle),
    text("low", last.quantiles[shown.low], Math.max(y(last.quantiles[shown.low]), middle + LINE)),
  ];
}

function dates(forecast, past, x, now) {
  const daily = format.isDaily(forecast.frequency);
  const room = daily ? DATE : TIME;
  const label = (time) => (daily ? format.shortDay(time) : format.moment(time).replace(/ \d{4} | UTC/g, " ").trim());
  const last = forecast.horizons.at(-1);
  const [right, here] = [WIDTH - RIGHT, x(now)];
  const text = (name, at, time) => svg("text", { class: name, x: at, y: HEIGHT - 5 }, label(time));
  return [
    past.length && here > room && text("start", 0, past[0].end),
    here > 2 * room && right - here > room && text("middle", here, daily ? forecast.data_as_of : forecast.origin),
    text("end", right, daily ? last.target_date : last.target_time),
  ];
}
