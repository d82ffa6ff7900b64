// The stream of new forecasts: by fetch, so that a key goes into a header. Comes back by itself where it left off.

import { ask, authorization } from "./keys.js";
import { Events } from "./events.js";

const FIRST_WAIT = 1;
const LONGEST_WAIT = 30;
// Heartbeats come far more often; a connection that says nothing for so long is dead.
const SILENCE_MS = 60_000;
const OFFLINE_AFTER = 3;

export class Stream {
  #onForecast;
  #onState;
  #failures = 0;
  #id = "";
  #abort = null;
  #wake = null;

  /** `onForecast(document)` for each event; `onState(word)` of live, reconnecting and offline. */
  constructor({ onForecast, onState }) {
    this.#onForecast = onForecast;
    this.#onState = onState;
    for (const event of ["online", "keychange"]) window.addEventListener(event, () => this.#wake?.());
    window.addEventListener("offline", () => this.#abort?.abort());
  }

  /** Read until the page is closed. */
  async run() {
    for (;;) {
      try {
        await this.#read();
      } catch (error) {
        // A network that is away is what this loop is for; anything else is a fault of ours, and is seen.
        if (!(error instanceof TypeError || error.name === "AbortError")) console.error(error);
      }
      this.#failures += 1;
      this.#onState(this.#failures < OFFLINE_AFTER && navigator.onLine ? "reconnecting" : "offline");
      await this.#pause();
    }
  }

  async #read() {
    this.#abort = new AbortController();
    const headers = { Accept: "text/event-stream", ...authorization(), ...(this.#id ? { "Last-Event-ID": this.#id } : {}) };
    const answer = await fetch("v1/forecasts/stream", { headers, cache: "no-store", signal: this.#abort.signal });
    if (answer.status === 401 && (await ask())) this.#failures = -1;
    if (!answer.ok) {
      await answer.body?.cancel();
      // An identifier that the service no longer knows: begin again, with the newest of each pair.
      if (answer.status === 400 || answer.status === 410 || answer.status === 422) this.#id = "";
      return;
    }
    this.#onState("live");
    const events = new Events();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let silence;
    try {
      for (;;) {
        silence = setTimeout(() => this.#abort.abort(), SILENCE_MS);
        const { done, value } = await reader.read();
        clearTimeout(silence);
        if (done) return;
        this.#failures = 0;
        for (const { event, data } of events.feed(value)) if (event === "forecast") this.#onForecast(JSON.parse(data));
        this.#id = events.id || this.#id;
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #pause() {
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.max(0, this.#failures - 1));
    return new Promise((resolve) => {
      // Spread, so that many pages do not come back at the same moment.
      const timer = setTimeout(resolve, 1000 * wait * (0.5 + Math.random() / 2));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
