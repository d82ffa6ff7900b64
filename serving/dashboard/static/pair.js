// A pair's page: the forecast large, what came of earlier ones, the certificate, all models, and the lineage.

import * as api from "./api.js";
import { certificate } from "./certificate.js";
import { freshParts, priceParts } from "./card.js";
import { comparison, rivals } from "./compare.js";
import { announce, h, show, table, write } from "./dom.js";
import { levels, sameIssue } from "./forecast.js";
import * as format from "./format.js";
import { lineage, links } from "./lineage.js";
import * as outcomes from "./outcomes.js";
import * as plots from "./plots.js";
import { describe } from "./spark.js";
import { badge, sentence } from "./verdicts.js";

const BARS = 120;
const OUTCOMES = 250;

const chart = () => h("div", { class: "plot", role: "img" });
const more = (summary, body) => h("details", {}, h("summary", {}, summary), body);

export class PairPage {
  #asked = null;
  #seen = {};
  #horizon = 1;
  #parts = { said: h("p", { class: "said" }), price: h("p", { class: "price" }), served: h("p"), sentence: h("p", { class: "sentence" }) };

  constructor(section) {
    this.section = section;
    const parts = this.#parts;
    for (const name of ["fresh", "fanCaption", "outcomesCaption"]) parts[name] = h("p", { class: name === "fresh" ? "fresh" : "small" });
    for (const name of ["fanNumbers", "figures", "outcomeNumbers", "certificate", "models", "lineage"]) parts[name] = h("div");
    Object.assign(parts, { fan: chart(), history: chart(), links: h("p", { class: "actions" }), frequencies: h("p", { class: "frequencies" }) });
    this.title = h("h1", { id: "pair-title", tabindex: "-1" });
    parts.select = h("select", { id: "horizon", onchange: () => this.#choose(Number(parts.select.value)) });
    parts.fault = h("p", { class: "notice bad", hidden: true });
    parts.content = h("div", {}, this.#sections());
    section.append(
      h("p", {}, h("a", { class: "back", href: "#/" }, "← All pairs")),
      h("div", { class: "head" }, this.title, parts.price),
      parts.fault,
      parts.content,
    );
  }

  /** Whether it shows this pair now. */
  shows(pair) {
    return this.#asked?.pair === pair;
  }

  /** Show a pair, as its champion or `model` sees it. */
  async open(asked) {
    if (this.#asked?.pair !== asked.pair) this.#clear();
    this.#asked = asked;
    write(this.title, asked.pair);
    document.title = `${asked.pair} · fx-assets`;
    await this.refresh();
  }

  /** Nothing is shown any more. */
  close() {
    this.#asked = null;
    this.#clear();
  }

  /** Ask for everything again and change what is different. */
  async refresh() {
    const asked = this.#asked;
    if (!asked) return;
    const { pair, model, frequency } = asked;
    try {
      const forecast = await api.latest(pair, { model, frequency });
      if (this.#asked !== asked) return;
      const before = this.#seen.forecast;
      this.#seen = { ...this.#seen, forecast, bars: this.#seen.bars ?? [] };
      this.#head(asked);
      if (before && !sameIssue(before, forecast)) announce(`${pair}: new forecast, ${this.#parts.fan.getAttribute("aria-label")}`);
      await Promise.all([this.#bars(asked), this.#outcomes(asked), this.#models(asked)]);
      this.#complain(null);
    } catch (error) {
      if (!(error instanceof api.Problem)) throw error;
      if (this.#asked === asked) this.#complain(error);
    }
  }

  /** Minutes have passed. */
  tick() {
    const { forecast } = this.#seen;
    if (forecast) this.#parts.fresh.replaceChildren(...freshParts(forecast, Date.now()));
  }

  #sections() {
    const { said, served, sentence: words, fresh, frequencies, select, ...parts } = this.#parts;
    const block = (id, title, ...children) =>
      h("section", { class: "block", "aria-labelledby": id }, h("h2", { id }, title), children);
    return [
      h("div", { class: "lead" }, said, words, served, fresh, frequencies),
      block("forecast-title", "Forecast", parts.fan, parts.fanCaption, more("The chart's numbers", parts.fanNumbers)),
      h("p", { class: "controls" }, h("label", { for: "horizon" }, "Ahead"), select, h("span", { class: "small" }, "for outcomes and models compared")),
      block("outcomes-title", "What was said, and what came", parts.figures, parts.history, parts.outcomesCaption, more("The chart's numbers", parts.outcomeNumbers)),
      block("certificate-title", "Certificate", parts.certificate),
      block("models-title", "Models compared", parts.models),
      block("lineage-title", "Lineage", parts.lineage, parts.links),
    ];
  }

  #clear() {
    this.#seen = {};
    plots.forget(this.#parts.fan);
    plots.forget(this.#parts.history);
    this.#parts.content.hidden = true;
    this.#parts.fault.hidden = true;
    this.#parts.price.replaceChildren();
    show(this.#parts.price, "", () => []);
  }

  #complain(error) {
    this.#parts.fault.hidden = !error;
    if (error) write(this.#parts.fault, error.message);
  }

  #head({ pair, model }) {
    const { forecast, bars } = this.#seen;
    const parts = this.#parts;
    parts.content.hidden = false;
    show(parts.price, [forecast.last_price, forecast.pip, bars.slice(-2)], () => priceParts(forecast, bars));
    show(parts.said, [forecast.verdict, forecast.model_id], () => [badge(forecast.verdict), ` by ${forecast.model_id}`]);
    write(parts.sentence, sentence(forecast));
    const other = model && forecast.model_id !== forecast.champion;
    show(parts.served, [pair, other && forecast.champion], () =>
      other ? [`This pair is served by ${forecast.champion}: `, h("a", { href: `#/${encodeURIComponent(pair)}` }, "see its forecast"), "."] : [],
    );
    parts.served.hidden = !other;
    this.tick();
    this.#options(forecast);
    show(parts.certificate, [forecast.certificate, forecast.notes], () => certificate(forecast));
    show(parts.lineage, [forecast.lineage, forecast.issued_at, forecast.notes], () => lineage(forecast));
    show(parts.links, [forecast.pair, forecast.model_id, forecast.data_as_of], () => links(forecast, (error) => this.#complain(error)));
    show(parts.frequencies, [pair, this.#asked.frequencies, forecast.frequency], () => frequencyLinks(pair, this.#asked.frequencies ?? [], forecast.frequency));
    parts.frequencies.hidden = (this.#asked.frequencies ?? []).length < 2;
    this.#fan();
  }

  #options({ horizons, frequency }) {
    this.#horizon = Math.min(this.#horizon, horizons.length);
    show(this.#parts.select, [horizons.length, frequency], () =>
      horizons.map(({ h: step }) => h("option", { value: step, selected: step === this.#horizon }, format.bars(step, frequency))),
    );
    this.#parts.select.value = String(this.#horizon);
  }

  #fan() {
    const { forecast, bars } = this.#seen;
    const parts = this.#parts;
    const words = describe(forecast, bars);
    parts.fan.setAttribute("aria-label", words);
    write(parts.fanCaption, words);
    show(parts.fanNumbers, [forecast.horizons], () => fanNumbers(forecast));
    const signature = JSON.stringify([forecast.origin, forecast.model_id, forecast.horizons, bars]);
    if (parts.fan.dataset.drawn && this.#seen.drawn === signature) return;
    this.#seen.drawn = signature;
    void plots.draw(parts.fan, plots.fan(forecast, bars));
  }

  async #bars(asked) {
    const { forecast } = this.#seen;
    const bars = await api.bars(asked.pair, { frequency: forecast.frequency, limit: BARS });
    if (this.#asked !== asked) return;
    this.#seen.bars = bars;
    show(this.#parts.price, [forecast.last_price, forecast.pip, bars.slice(-2)], () => priceParts(forecast, bars));
    this.#fan();
  }

  async #outcomes(asked) {
    const { forecast } = this.#seen;
    const [horizon, parts] = [this.#horizon, this.#parts];
    const { model_id: model, frequency } = forecast;
    const found = await api.outcomes(asked.pair, { model, frequency, horizon, limit: OUTCOMES });
    if (this.#asked !== asked || this.#horizon !== horizon) return;
    const usable = found.filter((row) => "0.1" in row.quantiles && "0.9" in row.quantiles);
    const words = usable.length
      ? `Prices that came of ${asked.pair} against the 80\u00a0% range that ${model} had said ${format.bars(horizon, frequency)} before.`
      : "None of this model's forecasts has come due yet at this horizon.";
    parts.history.hidden = !usable.length;
    parts.outcomeNumbers.parentElement.hidden = !usable.length;
    parts.history.setAttribute("aria-label", words);
    write(parts.outcomesCaption, words);
    show(parts.figures, [usable, horizon], () => (usable.length ? outcomes.figures(usable, { horizon, frequency }) : []));
    const changed = show(parts.outcomeNumbers, [usable, horizon], () => (usable.length ? outcomes.numbers(usable, forecast) : []));
    if (usable.length && (changed || !parts.history.dataset.drawn)) void plots.draw(parts.history, plots.history(usable, forecast));
  }

  async #models(asked) {
    const found = await rivals(asked.pair, this.#seen.forecast.frequency);
    if (this.#asked !== asked) return;
    this.#seen.rivals = found;
    this.#compare();
  }

  #compare() {
    const { forecast, rivals: found } = this.#seen;
    if (found) show(this.#parts.models, [found, forecast.model_id, this.#horizon], () => comparison(found, forecast, this.#horizon));
  }

  async #choose(horizon) {
    this.#horizon = horizon;
    this.#compare();
    await this.#outcomes(this.#asked).catch((error) => this.#complain(error));
    announce(`${format.bars(horizon, this.#seen.forecast.frequency)} ahead`);
  }
}

function fanNumbers(forecast) {
  const bands = levels(forecast);
  const head = ["Ahead", "Price of", "Median", ...bands.map(({ mass }) => `${mass}\u00a0% range`), "Volatility"];
  const rows = forecast.horizons.map((at) => [
    format.bars(at.h, forecast.frequency),
    format.moment(at.target_time),
    format.price(at.median, forecast.pip),
    ...bands.map(({ low, high }) => format.range(at.quantiles[low], at.quantiles[high], forecast.pip)),
    format.percent(at.volatility, 2),
  ]);
  return table("The forecast by horizon", head, rows);
}

const frequencyLinks = (pair, frequencies, shown) => [
  "Bars of ",
  frequencies.map((frequency) =>
    h("a", { href: `#/${encodeURIComponent(pair)}?${new URLSearchParams({ frequency })}`, "aria-current": frequency === shown ? "page" : null }, frequency),
  ),
].flat();
