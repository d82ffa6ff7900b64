// A card of the grid: one pair, kept up to date in place.

import { h, show, write } from "./dom.js";
import * as format from "./format.js";
import { horizonAt, lastPrice, rangeOf } from "./forecast.js";
import { spark } from "./spark.js";
import { badge, freshness, sentence, tag } from "./verdicts.js";

const AHEAD = 5;

/** Last price and its change, as in the head of a card and of a pair's page. */
export function priceParts(forecast, bars) {
  const { price, change, pips } = lastPrice(forecast, bars);
  const way = !change ? "same" : change > 0 ? "up" : "down";
  const moved =
    change === null
      ? null
      : h(
          "span",
          { class: "change", "data-way": way },
          `${{ up: "▲", down: "▼", same: "•" }[way]} ${format.percent(change, 2, { sign: true })}`,
          h("span", { class: "pips" }, ` ${format.number(pips, Math.abs(pips) < 10 ? 1 : 0, { sign: true })} pips`),
        );
  return [h("span", { class: "last" }, format.price(price, forecast.pip)), moved];
}

/** Freshness as a sentence: data as of, and the next forecast. */
export function freshParts(forecast, now) {
  const { words, tone, overdue } = freshness(forecast, now);
  const next = overdue ? "next was expected by" : "next expected by";
  return [
    tag(words, tone),
    ` Data as of ${format.when(forecast.frequency, forecast.data_as_of, forecast.origin)}, ${next} ${format.moment(forecast.valid_until)}`,
  ];
}

export class Card {
  #parts = {};

  constructor(name) {
    const part = (key, tagName, attributes = {}) => (this.#parts[key] = h(tagName, { class: key, ...attributes }));
    const title = h("h2", {}, h("a", { href: `#/${encodeURIComponent(name)}` }, name));
    this.element = h(
      "li",
      { class: "card", "data-pair": name },
      h("article", {}, h("header", {}, title, part("price", "p")), part("body", "div")),
    );
    Object.assign(this.#parts, {
      chart: h("div"),
      outlook: h("dl", { class: "outlook" }),
      said: h("p", { class: "said" }),
      sentence: h("p", { class: "sentence" }),
      fresh: h("p", { class: "fresh" }),
    });
  }

  /** The link that opens the pair's page. */
  get link() {
    return this.element.querySelector("h2 a");
  }

  /** Show what is known of the pair: `{entry, forecast, bars}`. */
  update({ entry, forecast, bars, reason }) {
    this.element.dataset.state = forecast ? "ready" : entry.state;
    this.element.dataset.words = [entry.pair, forecast?.model_id, forecast?.verdict, forecast?.stale ? "stale" : "", this.element.dataset.state]
      .join(" ")
      .toLowerCase();
    if (!forecast) {
      show(this.#parts.price, null, () => []);
      show(this.#parts.body, [entry.state, reason], () => [
        h("p", { class: "said" }, tag(entry.state, entry.state === "failed" ? "bad" : "wait")),
        reason.map((line) => h("p", { class: "sentence" }, line)),
      ]);
      return;
    }
    const { chart, outlook, said, sentence: words, fresh, price, body } = this.#parts;
    show(body, "ready", () => [chart, outlook, said, words, fresh]);
    show(price, [forecast.last_price, forecast.pip, bars.slice(-2)], () => priceParts(forecast, bars));
    show(chart, [forecast.origin, forecast.horizons, bars], () => spark(forecast, bars));
    show(outlook, [forecast.horizons, forecast.frequency], () => outlookOf(forecast));
    show(said, [forecast.verdict, forecast.model_id], () => [badge(forecast.verdict), ` by ${forecast.model_id}`]);
    write(words, sentence(forecast));
    this.tick(forecast);
  }

  /** What changes with the clock alone. */
  tick(forecast, now = Date.now()) {
    const { words, overdue } = freshness(forecast, now);
    show(this.#parts.fresh, [words, overdue, forecast.valid_until, forecast.data_as_of], () => freshParts(forecast, now));
  }

  /** Draw the eye to a forecast that has just come. */
  flash() {
    this.element.classList.remove("changed");
    void this.element.offsetWidth;
    this.element.classList.add("changed");
  }
}

function outlookOf(forecast) {
  const at = horizonAt(forecast, AHEAD);
  const range = rangeOf(forecast, 80);
  const entry = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  return [
    entry(`In ${format.bars(at.h, forecast.frequency)}`, format.price(at.median, forecast.pip)),
    range && entry("80\u00a0% range", format.range(at.quantiles[range.low], at.quantiles[range.high], forecast.pip)),
  ];
}
