// Large charts by plotly, whose script is loaded when the first one is drawn, from this host.

import { write } from "./dom.js";
import { levels } from "./forecast.js";
import * as format from "./format.js";

const CONFIG = { displayModeBar: false, responsive: true, showTips: false };
// The page's policy takes no other text as the address of a script, nor any as markup; not every browser asks for it.
const policy = window.trustedTypes?.createPolicy("fx-assets", { createScriptURL: (address) => address });
const trusted = (address) => policy?.createScriptURL(address) ?? address;
const drawn = new Map();
let loading = null;

function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = trusted(document.querySelector("meta[name=plotly]").content);
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      reject(new Error("plotly"));
    };
    document.head.append(script);
  });
  return loading;
}

/** Draw `chart(colours)`, which gives `{traces, layout}`, into `node`; again whenever the theme changes. */
export async function draw(node, chart) {
  drawn.set(node, chart);
  let library;
  try {
    library = await plotly();
  } catch {
    // The page may be older than the service, whose files then have other addresses.
    write(node, "The chart cannot be drawn: its script did not load. Reload the page; the numbers are below.");
    return;
  }
  if (drawn.get(node) !== chart || !node.isConnected) return;
  const { traces, layout } = chart(colours());
  await library.react(node, traces, layout, CONFIG);
  node.dataset.drawn = "yes";
}

/** Forget a chart whose node is no longer shown. */
export function forget(node) {
  drawn.delete(node);
  window.Plotly?.purge(node);
  delete node.dataset.drawn;
}

window.addEventListener("themechange", () => drawn.forEach((chart, node) => void draw(node, chart)));

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "muted", "grid", "surface", "past", "median", "band-90", "band-80", "band-50", "hit", "miss"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const [HOUR, SECOND] = [3_600_000, 1_000];

const isDate = (text) => text?.length === 10;
const text = (time) => new Date(time).toISOString().slice(0, 19);

/** Of an axis of `dates`: what is not traded takes no room, and days of hours are told where their hours begin. */
function breaks(dates) {
  if (!dates.length) return {};
  if (isDate(dates[0])) {
    const weekdays = dates.every((date) => ![0, 6].includes(new Date(date).getUTCDay()));
    return { rangebreaks: weekdays ? [{ bounds: ["sat", "mon"] }] : [] };
  }
  const times = [...new Set(dates.map((date) => Date.parse(`${date}Z`)))].sort((a, b) => a - b);
  const steps = times.slice(1).map((time, before) => time - times[before]);
  const bar = Math.min(...steps);
  const rangebreaks = steps.flatMap((step, before) =>
    step > 24 * HOUR ? [{ bounds: [text(times[before] + SECOND), text(times[before + 1] - bar)] }] : [],
  );
  if (bar > 4 * HOUR) return { rangebreaks };
  const begins = times.filter((time, place) => !place || text(time).slice(0, 10) !== text(times[place - 1]).slice(0, 10));
  // The two hours of a Sunday leave no room for a label of their own.
  const days = begins.filter((time, place) => (begins[place + 1] ?? Infinity) - time > 3 * HOUR);
  const told = days.filter((_, place) => place % Math.ceil(days.length / 8) === 0);
  return { rangebreaks, tickvals: told.map(text), ticktext: told.map((time) => format.shortDay(text(time))) };
}

function layout(colour, pip, dates) {
  const axis = { color: colour.muted, gridcolor: colour.grid, linecolor: colour.grid, zeroline: false, tickfont: { size: 11 } };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: colour.ink },
    margin: { l: 8, r: 8, t: 8, b: 8 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour.surface, bordercolor: colour.grid, font: { color: colour.ink, size: 12 } },
    // A finger scrolls the page; a mouse drags a rectangle to zoom.
    dragmode: matchMedia("(pointer: fine)").matches ? "zoom" : false,
    legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12, color: colour.ink }, bgcolor: "rgba(0,0,0,0)" },
    xaxis: { ...axis, type: "date", automargin: true, ...breaks(dates), hoverformat: isDate(dates[0]) ? "%-d %b %Y" : "%-d %b %Y %H:%M UTC" },
    yaxis: { ...axis, automargin: true, side: "right", tickformat: `,.${format.places(pip)}f`, fixedrange: true },
  };
}

/** When a bar or a target is, for an axis: a date, or a time in UTC without its zone. */
const at = (frequency, date, time) =>
  format.isDaily(frequency) ? date.slice(0, 10) : text(time);

const plain = { mode: "lines", line: { width: 0 }, hoverinfo: "skip" };

/** Past closes, median and ranges of a forecast. */
export const fan = (forecast, bars) => (colour) => {
  const { frequency, pip, horizons } = forecast;
  const past = bars.filter((bar) => bar.close !== null);
  const dates = [at(frequency, forecast.data_as_of, forecast.origin), ...horizons.map((h) => at(frequency, h.target_date, h.target_time))];
  const said = (pick) => [forecast.last_price, ...horizons.map(pick)];
  const bands = levels(forecast);
  const hover = horizons.map((h) =>
    [`median ${format.price(h.median, pip)}`, ...bands.map((band) => `${band.mass} %: ${format.range(h.quantiles[band.low], h.quantiles[band.high], pip)}`)].join("<br>"),
  );
  const traces = bands.flatMap(({ low, high, mass }) => [
    { ...plain, x: dates, y: said((h) => h.quantiles[low]), showlegend: false },
    { ...plain, x: dates, y: said((h) => h.quantiles[high]), fill: "tonexty", fillcolor: colour[`band-${mass}`] ?? colour["band-80"], name: `${mass} % range` },
  ]);
  traces.push({
    x: past.map((bar) => at(frequency, bar.end, bar.end)),
    y: past.map((bar) => bar.close),
    mode: "lines",
    line: { color: colour.past, width: 1.6 },
    name: "close",
    hovertemplate: `close %{y:,.${format.places(pip)}f}<extra></extra>`,
  });
  traces.push({
    x: dates,
    y: said((h) => h.median),
    text: [`from ${format.price(forecast.last_price, pip)}`, ...hover],
    mode: "lines",
    line: { color: colour.median, width: 1.8, dash: "dash" },
    name: "median",
    hovertemplate: "%{text}<extra></extra>",
  });
  return { traces, layout: layout(colour, pip, [...past.map((bar) => at(frequency, bar.end, bar.end)), ...dates]) };
};

/** What was said, its 80 % range, and what came. */
export const history = (outcomes, { pip, frequency }) => (colour) => {
  const dates = outcomes.map((row) => at(frequency, row.target_time, row.target_time));
  const points = (inside) => outcomes.map((row) => (row.inside_80 === inside ? row.close : null));
  const text = outcomes.map(
    (row) => `came ${format.price(row.close, pip)}<br>said ${format.price(row.median, pip)}, 80 %: ${format.range(row.quantiles["0.1"], row.quantiles["0.9"], pip)}`,
  );
  const came = (inside, name, marker) => ({ x: dates, y: points(inside), text, mode: "markers", marker, name, hovertemplate: "%{text}<extra></extra>" });
  const scale = matchMedia("(max-width: 640px)").matches ? 0.6 : 1;
  const traces = [
    { ...plain, x: dates, y: outcomes.map((row) => row.quantiles["0.1"]), showlegend: false },
    { ...plain, x: dates, y: outcomes.map((row) => row.quantiles["0.9"]), fill: "tonexty", fillcolor: colour["band-80"], name: "80 % range as it was said" },
    { x: dates, y: outcomes.map((row) => row.median), mode: "lines", line: { color: colour.median, width: 1, dash: "dot" }, name: "median as it was said", hoverinfo: "skip" },
    came(true, "came inside", { color: colour.hit, size: 5 * scale, symbol: "circle" }),
    came(false, "came outside", { color: colour.miss, size: 8 * scale, symbol: "x" }),
  ];
  return { traces, layout: layout(colour, pip, dates) };
};
