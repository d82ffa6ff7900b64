// Server-sent events from text that comes in pieces (HTML Living Standard 9.2.6).

/** Collects lines and gives whole events: `{event, id, data}`. Comments and unknown fields are passed over. */
export class Events {
  #rest = "";
  #fields = { event: "message", data: [] };
  /** Identifier of the last whole event, for `Last-Event-ID`. */
  id = "";

  /** The events that `text` completes. */
  feed(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line)).filter(Boolean);
  }

  #line(line) {
    if (line === "") return this.#finish();
    const [, name, value] = line.match(/^([^:]*)(?:: ?(.*))?$/s);
    if (name === "data") this.#fields.data.push(value ?? "");
    else if (name === "event") this.#fields.event = value;
    else if (name === "id") this.#fields.id = value ?? "";
    return null;
  }

  #finish() {
    const { event, data, id } = this.#fields;
    this.#fields = { event: "message", data: [] };
    if (id !== undefined) this.id = id;
    return data.length ? { event, id: this.id, data: data.join("\n") } : null;
  }
}
