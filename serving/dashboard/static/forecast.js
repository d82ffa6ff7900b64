// What is read out of a forecast document in more than one place.

const SHOWN = [90, 80, 50];

/** Symmetric pairs of levels, widest first: `{low, high, mass}` with `mass` in percent. */
export function levels(forecast) {
  const keys = Object.keys(forecast.horizons[0].quantiles);
  const pairs = keys.slice(0, Math.floor(keys.length / 2)).map((low, at) => {
    const high = keys[keys.length - 1 - at];
    return { low, high, mass: Math.round(100 * (Number(high) - Number(low))) };
  });
  const usual = pairs.filter(({ mass }) => SHOWN.includes(mass));
  return usual.length ? usual : pairs;
}

/** The levels of a range of `mass` percent, or undefined where the model gives none. */
export const rangeOf = (forecast, mass) => levels(forecast).find((pair) => pair.mass === mass);

/** The horizon `h`, or the last one where it is shorter. */
export const horizonAt = (forecast, h) => forecast.horizons[Math.min(h, forecast.horizons.length) - 1];

/** Whether two documents are the same issue of the same model. */
export const sameIssue = (first, second) =>
  first?.issued_at === second.issued_at && first?.model_id === second.model_id && first?.origin === second.origin;

/** Negative where `first` is of an earlier origin, or of the same one and issued before. */
export const order = (first, second) =>
  Date.parse(first.origin) - Date.parse(second.origin) || Date.parse(first.issued_at) - Date.parse(second.issued_at);

/** The last close and its change on the one before: of the bars, or of the forecast where there are none. */
export function lastPrice(forecast, bars) {
  const [before, last] = bars.filter((bar) => bar.close !== null).slice(-2);
  if (!last) return { price: forecast.last_price, change: null };
  return { price: last.close, change: last.close / before.close - 1, pips: (last.close - before.close) / forecast.pip };
}
