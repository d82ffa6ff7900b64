// Elements made and changed. Data become text and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element; an attribute that is null, undefined or false is left out, `on…` is a listener. */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** Write a text only where it is another one, so that nothing is announced or painted for no reason. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const shown = new WeakMap();

/** Build the content of `element` anew where `data` differ from those it shows; returns whether it did. */
export function show(element, data, build) {
  const signature = JSON.stringify(data);
  if (shown.get(element) === signature) return false;
  shown.set(element, signature);
  element.replaceChildren(...[build(data)].flat(Infinity).filter(Boolean));
  return true;
}

/** A table that scrolls within itself where the screen is narrow; reachable and named for the keyboard. */
export function table(label, head, rows) {
  const heads = head.map((cell) => h("th", { scope: "col" }, cell));
  return h(
    "div",
    { class: "scroll", role: "group", tabindex: "0", "aria-label": label },
    h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows.map((cells) => row(cells)))),
  );
}

function row(cells) {
  const [first, ...rest] = cells;
  return h("tr", {}, h("th", { scope: "row" }, first), rest.map((cell) => h("td", {}, cell)));
}

let clearing;

/** Say something to people who do not see the page change; what was said is taken away again. */
export function announce(text) {
  const announcer = document.getElementById("announcer");
  announcer.textContent = text;
  clearTimeout(clearing);
  clearing = setTimeout(() => (announcer.textContent = ""), 8000);
}
