// Server-sent events: octets in, events out. Pure; `live.js` feeds it. By the HTML standard's rules: a byte
// order mark at the beginning, lines that end in CR, LF or CRLF, chunks that are cut anywhere, also within a
// character.

export const MOST_CHARACTERS = 4_194_304;

/** Reads a stream piece by piece. `lastEventId` is that of the last event that was complete. */
export class EventParser {
  lastEventId = "";

  #decoder = new TextDecoder();
  #line = "";
  #afterReturn = false;
  #id = "";
  #type = "";
  #data = [];
  #size = 0;

  /** The events that these octets complete. Throws RangeError when an event grows beyond all measure. */
  push(octets) {
    let text = this.#decoder.decode(octets, { stream: true });
    if (this.#afterReturn && text) {
      this.#afterReturn = false;
      text = text.startsWith("\n") ? text.slice(1) : text;
    }
    this.#afterReturn ||= text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop();
    const events = lines.map((line) => this.#read(line)).filter(Boolean);
    if (this.#size + this.#line.length > MOST_CHARACTERS) throw new RangeError("an event is too large");
    return events;
  }

  #read(line) {
    if (!line) return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") {
      this.#data.push(value);
      this.#size += value.length + 1;
    } else if (field === "event") {
      this.#type = value;
    } else if (field === "id" && !value.includes("\0")) {
      this.#id = value;
    }
    return null;
  }

  #dispatch() {
    const [type, data] = [this.#type || "message", this.#data];
    this.#type = "";
    this.#data = [];
    this.#size = 0;
    this.lastEventId = this.#id;
    return data.length ? { type, data: data.join("\n"), id: this.#id } : null;
  }
}
