// The verdicts of a certificate: their badge, in colour and in words, and what they mean in one honest sentence.

import { h } from "./dom.js";

const LOOKS = {
  "skill shown": { tone: "good", mark: "▲" },
  "no skill shown": { tone: "plain", mark: "=" },
  worse: { tone: "bad", mark: "▼" },
  "too little data": { tone: "wait", mark: "…" },
  untested: { tone: "none", mark: "?" },
};

/** In the order in which they are counted. */
export const WORDS = Object.keys(LOOKS);

/** A verdict as a badge. */
export function badge(verdict) {
  const look = LOOKS[verdict] ?? { tone: "none", mark: "?" };
  return h("span", { class: "badge", "data-tone": look.tone }, h("span", { "aria-hidden": "true" }, look.mark), verdict);
}

/** A state in words with a colour, in the looks of a badge. */
export const tag = (words, tone) => h("span", { class: "badge quiet", "data-tone": tone }, words);

/** What the verdict of a forecast means to somebody who reads its numbers, in one sentence. */
export function sentence(forecast) {
  const found = forecast.certificate;
  if (forecast.verdict === "untested" || !found) return "Has not been measured against a random walk yet.";
  if (forecast.verdict === "no skill shown" && forecast.kind === "random_walk") {
    return "Is the random walk itself: its median is the last price, and only its range says something.";
  }
  return MEANINGS[forecast.verdict](found);
}

const MEANINGS = {
  "skill shown": ({ location }) =>
    location === "skill shown"
      ? "Its range has beaten that of a random walk, and its median has beaten the last price."
      : "Its range has beaten that of a random walk; its median has not beaten the last price.",
  "no skill shown": ({ volatility }) =>
    volatility === "skill shown"
      ? "Has not beaten a random walk, although its volatility has beaten GARCH-t and HAR."
      : "Has not beaten a random walk: read its median as no more than the last price.",
  worse: () => "Did worse than a random walk: rather read the forecast of random_walk.",
  "too little data": () => "Too few of its forecasts have come due to say whether it beats a random walk.",
};

/** Freshness in words: whether the data are as new as they should be, and when the next forecast is expected. */
export function freshness(forecast, now = Date.now()) {
  if (forecast.stale) return { words: "stale", tone: "bad", overdue: true };
  const overdue = Date.parse(forecast.valid_until) < now;
  return overdue ? { words: "due", tone: "wait", overdue } : { words: "up to date", tone: "good", overdue };
}
