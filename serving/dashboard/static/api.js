// Requests to the API of the same host. Addresses are relative, so that a proxy may serve the page under a path.

import { ask, authorization } from "./keys.js";

const TRIES = 4;
const LONGEST_WAIT = 20;

/** An answer that is not what was asked for: `status` 0 where the host could not be reached. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? "The service cannot be reached.");
    this.status = status;
    this.body = body;
  }
}

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const part = (text) => encodeURIComponent(text);

function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** One request; asks for a key on 401, waits as told on 429 and 503. Raises `Problem`. */
export async function request(path, { method = "GET", body, accept = "application/json", patient = true } = {}) {
  for (let turn = 1; ; turn += 1) {
    const headers = { Accept: accept, ...authorization(), ...(body ? { "Content-Type": "application/json" } : {}) };
    let answer;
    try {
      // Answers may be kept until the next forecast is expected, but one may come before: ask, mostly for a 304.
      answer = await fetch(path, { method, body, headers, cache: "no-cache" });
    } catch {
      throw new Problem(0, {});
    }
    if (answer.ok) return answer;
    if (answer.status === 401 && (await ask())) continue;
    const wait = Number(answer.headers.get("Retry-After"));
    if (patient && turn < TRIES && [429, 503].includes(answer.status) && wait > 0 && wait <= LONGEST_WAIT) {
      await sleep(wait);
      continue;
    }
    throw new Problem(answer.status, await answer.json().catch(() => ({})));
  }
}

const json = async (path, options) => (await request(path, options)).json();

export const pairs = async () => (await json("v1/pairs")).pairs;
export const models = async () => (await json("v1/models")).models;

/** Newest forecasts of many pairs, as of one moment. */
export const newest = (names) =>
  json("v1/forecasts:batchGet", { method: "POST", body: JSON.stringify({ pairs: names }) });

/** The address of a pair's newest forecast: of the champion, or of `model`. */
export const address = (pair, values = {}) => `v1/forecasts/${part(pair)}/latest${query(values)}`;
export const certificateAddress = (model, pair) => `v1/models/${part(model)}/certificate${query({ pair })}`;

export const latest = (pair, values) => json(address(pair, values));
export const outcomes = async (pair, values) =>
  (await json(`v1/forecasts/${part(pair)}/outcomes${query(values)}`)).outcomes;
export const bars = async (pair, values) => (await json(`v1/bars/${part(pair)}${query(values)}`)).bars;

/** What the service says of itself; it answers 503, with the same report, until it has a forecast. */
export async function readiness() {
  try {
    return await json("readyz?verbose", { patient: false });
  } catch (error) {
    if (error.status === 503) return error.body;
    throw error;
  }
}

/** Save an answer as a file: a link could send neither a key nor a format. */
export async function save(path, accept, name) {
  const answer = await request(path, { accept });
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
