// The grid of pairs: one card each, a filter, and how the verdicts are spread.

import * as api from "./api.js";
import { Card } from "./card.js";
import { announce, h, show, write } from "./dom.js";
import { order, sameIssue } from "./forecast.js";
import * as format from "./format.js";
import { WORDS } from "./verdicts.js";

const BARS = 60;

export class Grid {
  #cards = new Map();
  #known = new Map();
  #list = h("ul", { class: "cards" });
  #summary = h("p", { class: "summary" });
  #none = h("p", { class: "notice", hidden: true }, "No pair fits the filter.");
  #filter = h("input", { id: "filter", type: "search", autocomplete: "off", spellcheck: "false", placeholder: "EUR, garch, worse, stale …" });

  constructor(section) {
    this.section = section;
    this.title = h("h1", { id: "grid-title", tabindex: "-1" }, "Forecasts");
    const search = h("div", { class: "search", role: "search" }, h("label", { for: "filter" }, "Filter"), this.#filter);
    section.append(h("div", { class: "head" }, h("div", {}, this.title, this.#summary), search), this.#list, this.#none);
    this.#filter.addEventListener("input", () => this.#sift());
  }

  /** Pairs as the API names them, by name. */
  get pairs() {
    return new Map([...this.#known].map(([name, { entry }]) => [name, entry]));
  }

  /** Ask for everything again; cards stay where they are and change in place. */
  async refresh() {
    const entries = (await api.pairs()).sort((a, b) => a.pair.localeCompare(b.pair));
    const names = entries.filter((entry) => entry.state !== "failed").map((entry) => entry.pair);
    const forecasts = names.length ? (await api.newest(names)).forecasts : [];
    const newest = new Map(forecasts.map((forecast) => [forecast.pair, forecast]));
    this.#keep(entries);
    for (const entry of entries) {
      const held = this.#known.get(entry.pair);
      this.#known.set(entry.pair, { bars: [], ...held, entry, forecast: newest.get(entry.pair) });
      this.#draw(entry.pair);
    }
    this.#count();
    await Promise.all(forecasts.map((forecast) => this.#bars(forecast)));
  }

  /** A forecast has come: true where it is another one than the card shows. */
  receive(forecast) {
    const held = this.#known.get(forecast.pair);
    if (!held || forecast.frequency !== (held.entry.frequencies?.[0] ?? forecast.frequency)) return false;
    // A backfill publishes forecasts of earlier origins; they are history, not news.
    if (held.forecast && order(forecast, held.forecast) < 0) return false;
    const other = !sameIssue(held.forecast, forecast);
    this.#known.set(forecast.pair, { ...held, forecast });
    this.#draw(forecast.pair);
    this.#count();
    if (!other) return false;
    this.#cards.get(forecast.pair).flash();
    announce(`${forecast.pair}: new forecast, data as of ${format.when(forecast.frequency, forecast.data_as_of, forecast.origin)}.`);
    void this.#bars(forecast);
    return true;
  }

  /** Minutes have passed: forecasts may have become due. */
  tick() {
    for (const [name, { forecast }] of this.#known) if (forecast) this.#cards.get(name).tick(forecast);
  }

  /** Give the keyboard back to the card it came from. */
  focus(name) {
    (this.#cards.get(name)?.link ?? this.title).focus();
  }

  async #bars(forecast) {
    try {
      const bars = await api.bars(forecast.pair, { frequency: forecast.frequency, limit: BARS });
      this.#known.set(forecast.pair, { ...this.#known.get(forecast.pair), bars });
      this.#draw(forecast.pair);
    } catch (error) {
      // The forecast stands without its history; its page says what is wrong with that.
      if (!(error instanceof api.Problem)) throw error;
    }
  }

  #keep(entries) {
    const names = entries.map((entry) => entry.pair);
    for (const name of this.#cards.keys()) {
      if (names.includes(name)) continue;
      this.#cards.get(name).element.remove();
      this.#cards.delete(name);
      this.#known.delete(name);
    }
    names.forEach((name, place) => {
      if (!this.#cards.has(name)) this.#cards.set(name, new Card(name));
      const { element } = this.#cards.get(name);
      if (this.#list.children[place] !== element) this.#list.insertBefore(element, this.#list.children[place] ?? null);
    });
  }

  #draw(name) {
    const known = this.#known.get(name);
    this.#cards.get(name).update({ ...known, reason: known.forecast ? [] : reasons(known.entry) });
    this.#sift();
  }

  #count() {
    const forecasts = [...this.#known.values()].map(({ forecast }) => forecast);
    const verdicts = WORDS.map((word) => [word, forecasts.filter((found) => found?.verdict === word).length]);
    const states = [
      ["stale", forecasts.filter((found) => found?.stale).length],
      ["without a forecast", forecasts.filter((found) => !found).length],
    ];
    const counts = [...verdicts, ...states].filter(([, count]) => count);
    show(this.#summary, [forecasts.length, counts], () => [
      h("span", {}, `${forecasts.length} ${forecasts.length === 1 ? "pair" : "pairs"}`),
      counts.map(([word, count]) => h("span", {}, h("b", {}, String(count)), ` ${word}`)),
    ]);
  }

  #sift() {
    const wanted = this.#filter.value.trim().toLowerCase();
    let left = 0;
    for (const { element } of this.#cards.values()) {
      element.hidden = !(element.dataset.words ?? "").includes(wanted);
      left += element.hidden ? 0 : 1;
    }
    this.#none.hidden = left > 0 || !wanted;
    if (document.activeElement === this.#filter) write(document.getElementById("announcer"), `${left} pairs shown`);
  }
}

/** Why a pair has no forecast, in sentences. */
function reasons(entry) {
  if (entry.state === "failed") {
    return entry.problems.map(({ file, line, field, message }) => {
      const where = [file, line && `line ${line}`, field].filter(Boolean).join(", ");
      return `${where}: ${message}`;
    });
  }
  if (!entry.models?.length) return ["No model forecasts this pair yet: name it in a model's file, or use one for all pairs."];
  return [`No forecast has been published yet. The next night makes one with ${entry.models.join(", ")}.`];
}
