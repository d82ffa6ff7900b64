// Starts the page: which view is shown, the stream of news, and what minutes change.

import { Problem, readiness } from "./api.js";
import { h, show, write } from "./dom.js";
import { Grid } from "./grid.js";
import { ask, showForget } from "./keys.js";
import { PairPage } from "./pair.js";
import { Stream } from "./stream.js";

const MINUTE = 60_000;
// Freshness changes without a new forecast; the stream does not tell.
const REFRESH = 5 * MINUTE;

const part = (id) => document.getElementById(id);
const grid = new Grid(part("grid"));
const page = new PairPage(part("pair"));
let before = null;

/** `#/EURUSD?model=garch` as `{pair, model, frequency}`; null for the grid. */
function route() {
  const [, path, search] = location.hash.match(/^#\/([^?]*)(?:\?(.*))?$/) ?? [];
  if (!path) return null;
  const values = new URLSearchParams(search);
  return { pair: decoded(path), model: values.get("model"), frequency: values.get("frequency") };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // no encoding at all, so no pair either: the service says so
  }
}

async function navigate({ first = false } = {}) {
  if (location.hash && !location.hash.startsWith("#/")) return;
  const asked = route();
  part("grid").hidden = Boolean(asked);
  part("pair").hidden = !asked;
  if (asked) {
    before = asked.pair;
    const opened = page.open({ ...asked, frequencies: grid.pairs.get(asked.pair)?.frequencies });
    if (!first) {
      window.scrollTo(0, 0);
      page.title.focus();
    }
    await opened;
  } else {
    page.close();
    document.title = "Forecasts · fx-assets";
    if (!first) grid.focus(before);
  }
}

/** Notices above everything: what fails, in words, and what can be done about it. */
function notice(error, report) {
  const lines = [];
  if (error?.status === 401) lines.push("This service answers only with a key.");
  else if (error) lines.push(error.message);
  for (const problem of report?.lake?.problems ?? []) lines.push(problem);
  // A pair that fails says so on its card.
  const failed = (report?.failed ?? []).filter((name) => !name.startsWith("pairs/"));
  for (const name of failed) lines.push(`The configuration ${name} has problems; v1/models says which.`);
  show(part("notices"), lines, () =>
    lines.map((line) =>
      h("p", { class: "notice bad" }, line, error?.status === 401 && [" ", h("button", { type: "button", onclick: again }, "Enter a key")]),
    ),
  );
}

async function again() {
  if (await ask({ again: true })) await load();
}

async function load() {
  try {
    await grid.refresh();
    notice(null, await readiness());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    notice(error);
  }
}

async function refresh() {
  await load();
  await page.refresh();
}

const stream = new Stream({
  onForecast(forecast) {
    if (grid.receive(forecast) && page.shows(forecast.pair)) void page.refresh();
  },
  onState(state) {
    part("connection").dataset.state = state;
    write(part("connection").querySelector(".words"), state);
  },
});

window.addEventListener("hashchange", () => void navigate());
document.addEventListener("keydown", (event) => {
  const busy = event.target.closest("input, select, textarea") || part("key-dialog").open;
  if (event.key === "Escape" && !busy && route()) location.hash = "#/";
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  part("main").focus();
});
setInterval(() => {
  grid.tick();
  page.tick();
}, MINUTE);
setInterval(() => void refresh(), REFRESH);

showForget();
await load();
void stream.run();
await navigate({ first: true });
