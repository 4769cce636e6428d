// One live connection to the service: it says what changes, as it changes. `clarion.js` runs it in one tab.
//
// Read with fetch, because an EventSource cannot send the Authorization header. Nothing depends on it: an
// event that is lost is found by the next sync.

import { ClarionError, isPassing, isTooOld } from "./api.js";
import { EventParser } from "./events.js";

/** How long a silence may last, when to connect anew although all is well, and the bounds of the back-off. */
export const PATIENCE = { silenceMs: 45_000, renewMs: 1_200_000, leastPauseMs: 1_000, mostPauseMs: 60_000 };

const RENEWAL = "renewal";

export class Live {
  #open;
  #inbox;
  #isOnline;
  #tell;
  #state = "off";
  #now;
  #random;
  #patience;
  #current = null;
  #wake = () => {};

  /**
   * `open(headers, signal)` answers with a Response; `inbox` is asked for `watermark()`, `sync()`, `tell()`
   * and `apply(delta, expected)`; `told(word)` hears "connecting", "live", "waiting", "offline" and
   * "refused".
   */
  constructor({ open, inbox, isOnline, told, now, random, patience = PATIENCE }) {
    this.#open = open;
    this.#inbox = inbox;
    this.#isOnline = isOnline;
    this.#tell = told;
    this.#now = now;
    this.#random = random;
    this.#patience = patience;
  }

  /** Stay connected until the signal. Ends by itself only when the service refuses us for good. */
  async run(signal) {
    let failures = 0;
    this.#state = "off";
    while (!signal.aborted) {
      const end = this.#isOnline() ? await this.#connection(signal) : {};
      if (signal.aborted) return;
      if (end.isRefused) return void this.#note("refused");
      if (!this.#isOnline()) {
        this.#note("offline");
        await this.#pause(this.#patience.mostPauseMs, signal);
      } else {
        failures = end.wasSteady ? 0 : failures + Number(!end.isAgain);
        if (!end.isAgain) this.#note("waiting");
        await this.#pause(this.#backOff(end.isAgain ? 0 : failures, end.retryAfterMs ?? 0), signal);
      }
    }
  }

  /** The network came or went, or the person looks again: do not wait for what will not come. */
  look() {
    if (!this.#isOnline()) this.#current?.end();
    this.#wake();
  }

  #note(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#tell(state);
  }

  /** One connection from beginning to end; tells how it ended. */
  async #connection(outside) {
    const connection = (this.#current = new Connection(outside, this.#patience));
    const startedAt = this.#now();
    const ended = () => ({
      isAgain: connection.signal.reason === RENEWAL,
      wasSteady: this.#now() - startedAt > this.#patience.mostPauseMs,
    });
    try {
      const position = await this.#connect(connection);
      const isAgain = await this.#read(connection, ...position);
      return isAgain ? { isAgain } : ended();
    } catch (error) {
      return connection.signal.aborted ? ended() : { ...ended(), ...(await this.#judge(error)) };
    } finally {
      connection.end();
    }
  }

  /** Connect from where the inbox is; returns the answer and that watermark. */
  async #connect(connection) {
    if (this.#state !== "live") this.#note("connecting");
    if (!(await this.#inbox.watermark())) await this.#inbox.sync();
    const position = await this.#inbox.watermark();
    const headers = { Accept: "text/event-stream", "Last-Event-ID": position };
    const response = await this.#open(headers, connection.signal);
    this.#note("live");
    this.#inbox.tell().catch(() => {}); // what could not be told while there was no connection
    return [response, position];
  }

  /** Read to the end; returns whether we end it ourselves, to connect anew. */
  async #read(connection, response, position) {
    const parser = new EventParser();
    const reader = response.body.getReader();
    connection.signal.addEventListener("abort", () => reader.cancel().catch(() => {}), { once: true });
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      connection.heard();
      for (const event of parser.push(value)) {
        const continues = await this.#handle(event, position);
        if (!continues) return true;
        position = event.id || position;
      }
    }
  }

  /** Whether to go on reading: what does not continue our watermark is pulled, and we connect from there. */
  async #handle({ type, data }, position) {
    if (type === "bye") return false;
    if (type !== "changes" && type !== "hint") return true;
    if (type === "changes" && (await this.#inbox.apply(JSON.parse(data), position))) return true;
    await this.#inbox.sync();
    return false;
  }

  async #judge(error) {
    if (isTooOld(error)) {
      await this.#inbox.sync().catch(() => {}); // which is told the same, and lists anew
      return {};
    }
    return {
      isRefused: error instanceof ClarionError && !isPassing(error),
      retryAfterMs: error.retryAfterMs,
    };
  }

  /** Never at once: thousands may have been cut off in the same moment. */
  #backOff(failures, retryAfterMs) {
    const { leastPauseMs, mostPauseMs } = this.#patience;
    const most = Math.min(mostPauseMs, leastPauseMs * 2 ** failures);
    return Math.max(retryAfterMs, most * this.#random());
  }

  #pause(milliseconds, signal) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", this.#wake, { once: true });
    }).finally(() => {
      signal.removeEventListener("abort", this.#wake);
      this.#wake = () => {};
    });
  }
}

/** When a connection ends: told from outside, after a silence, or because it is time for a new one. */
class Connection {
  #controller = new AbortController();
  #silenceMs;
  #silence;
  #renewal;
  #outside;
  #abort = (reason) => this.#controller.abort(reason);

  constructor(outside, { silenceMs, renewMs }) {
    this.#silenceMs = silenceMs;
    this.#outside = outside;
    outside.addEventListener("abort", this.#abort);
    this.#renewal = setTimeout(this.#abort, renewMs, RENEWAL);
    this.heard();
  }

  get signal() {
    return this.#controller.signal;
  }

  heard() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(this.#abort, this.#silenceMs, "silence");
  }

  end() {
    clearTimeout(this.#silence);
    clearTimeout(this.#renewal);
    this.#outside.removeEventListener("abort", this.#abort);
    this.#abort("over");
  }
}
