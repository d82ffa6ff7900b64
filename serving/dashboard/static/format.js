// Numbers, times and units in words. Prices have the places of the pair's pip; every time is UTC and says so.

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const BARS = { "1d": "trading day", "1w": "week", "1h": "hour" };

/** Places after the point in which prices of a pair are shown. */
export function places(pip) {
  return Math.max(0, pip.toFixed(10).replace(/0+$/, "").split(".")[1].length);
}

/** A price: 1.0843, 67,120.5. */
export function price(value, pip) {
  const digits = places(pip);
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Two prices as a range. */
export const range = (low, high, pip) => `${price(low, pip)} to ${price(high, pip)}`;

/** A number with a true minus, and a plus where asked for. */
export function number(value, digits, { sign = false } = {}) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "\u2212" : sign ? "+" : "") + text;
}

/** A share as percent: .791 is 79.1 %. */
export const percent = (share, digits = 1, options = {}) => `${number(100 * share, digits, options)}\u00a0%`;

/** A p value as statisticians print it. */
export function pValue(value) {
  if (value === null) return "no p";
  if (value < 0.001) return "p < .001";
  return value > 0.999 ? "p > .999" : `p ${value.toFixed(3).slice(1)}`;
}

/** A count: 1,751. */
export const count = (value) => value.toLocaleString("en");

/** A date without a time: 30 Oct 2026. */
export function day(text) {
  const [year, month, date] = text.slice(0, 10).split("-").map(Number);
  return `${date} ${MONTHS[month - 1]} ${year}`;
}

/** A date without its year: 30 Oct. */
export const shortDay = (text) => day(text).slice(0, -5);

/** A moment: 30 Oct 2026 21:30 UTC. */
export function moment(text) {
  const iso = new Date(text).toISOString();
  return `${day(iso)} ${iso.slice(11, 16)} UTC`;
}

/** When a price is of: its trading date, or its moment where bars are shorter than a day. */
export const when = (frequency, date, time) => (isDaily(frequency) ? day(date) : moment(time));

/** Whether bars are labelled by dates. */
export const isDaily = (frequency) => frequency === "1d" || frequency === "1w";

/** A number of bars: 5 trading days. */
export function bars(count, frequency) {
  const unit = BARS[frequency] ?? `bar of ${frequency}`;
  const plural = unit.startsWith("bar ") ? unit.replace("bar", "bars") : `${unit}s`;
  return `${count} ${count === 1 ? unit : plural}`;
}

/** The first twelve digits of a hash or of a run's id; other text as it is. */
export const short = (text) => (/^[0-9a-f-]{32,}$/.test(text) ? `${text.slice(0, 12)}…` : text);
