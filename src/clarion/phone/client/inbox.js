// A member's inbox: what is on this device and what the service has, brought together. `clarion.js` owns it.
//
// Reading never waits for the network. A change is kept first and told later, in order; until then it lies
// over what the service says. Whatever touches what the service told runs alone, among all tabs.

import { isPassing, isTooOld } from "./api.js";

const FIRST_PAGE = 50;
const PAGE = 200;
const LEAST_RETRY_MS = 2_000;
const MOST_RETRY_MS = 300_000;

export class Inbox {
  #api;
  #store;
  #alone;
  #told;
  #history;
  #now;
  #random;
  #syncing = null;
  #retry = null;
  #failures = 0;

  /** `alone(work)` runs it when no other tab does the like; `told({arrived, settled})` after every change. */
  constructor({ api, store, alone, told, history, now, random }) {
    this.#api = api;
    this.#store = store;
    this.#alone = alone;
    this.#told = told;
    this.#history = history;
    this.#now = now;
    this.#random = random;
  }

  list({ filter = "inbox", limit = 100, after } = {}) {
    return this.#store.list({ filter, limit, after });
  }

  /** From this device; from the service when it is not here. Throws a ClarionError, 404 when it is gone. */
  async get(notificationId) {
    const entry = await this.#store.get(notificationId);
    return entry ?? this.#api.request("GET", `notifications/${encodeURIComponent(notificationId)}`);
  }

  countUnread() {
    return this.#store.countUnread();
  }

  async watermark() {
    return (await this.#store.position()).watermark;
  }

  async setState(notificationId, state) {
    await this.#store.addChange({ kind: "state", notificationId, state });
    this.#afterChange(state === "SENT" ? [] : [notificationId]);
  }

  async remove(notificationId) {
    await this.#store.addChange({ kind: "remove", notificationId });
    this.#afterChange([notificationId]);
  }

  async readAll() {
    this.#afterChange(await this.#store.addReadAll());
  }

  /** Tell what the service does not know, and learn what changed. Throws what kept us from learning. */
  sync() {
    this.#syncing ??= this.#alone(async () => {
      this.#syncing = null; // who asks from now on may know of something newer
      await this.#sweep();
      await this.#tellAll();
      await this.#pull();
    });
    return this.#syncing;
  }

  /** Tell the service what it does not know yet; tries again later by itself. */
  tell() {
    return this.#alone(() => this.#tellAll());
  }

  /** Keep what the live stream brought, if it continues what we have; returns whether it did. */
  apply({ items, watermark, unread }, expected) {
    return this.#alone(async () => {
      const told = await this.#store.keepChanges(items, { watermark, expected });
      if (!told) return false;
      if (!(await this.#store.position()).isWhole) await this.#store.keepUnread(unread);
      this.#told(told);
      return true;
    });
  }

  stop() {
    clearTimeout(this.#retry);
    this.#retry = null;
  }

  #afterChange(settled) {
    this.#told({ arrived: [], settled });
    this.tell().catch(() => {}); // the change is kept, and told at the next occasion
  }

  // ── Telling ────────────────────────────────────────────────────────────────────────────────────────────

  async #tellAll() {
    this.stop();
    for (let next = await this.#store.nextChange(); next; next = await this.#store.nextChange()) {
      const isTold = await this.#tellOne(...next);
      if (!isTold) return;
    }
    this.#failures = 0;
  }

  async #tellOne(key, change) {
    try {
      await this.#store.settleChange(key, change, await this.#send(change));
    } catch (error) {
      if (isPassing(error)) this.#tellLater(error.retryAfterMs);
      if (isPassing(error) || !error.status || error.status === 401) return false;
      await this.#store.dropChange(key, change, error.status === 404);
      this.#told({ arrived: [], settled: [] });
    }
    return true;
  }

  async #send(change) {
    if (change.kind === "all") {
      return this.#api.request("PATCH", "notifications", { body: { state: "READ", upTo: change.upTo } });
    }
    const path = `notifications/${encodeURIComponent(change.notificationId)}`;
    if (change.kind === "remove") return this.#api.request("DELETE", path);
    return this.#api.request("PATCH", path, { body: { state: change.state } });
  }

  #tellLater(retryAfterMs = 0) {
    const most = Math.min(MOST_RETRY_MS, LEAST_RETRY_MS * 2 ** this.#failures++);
    const pause = Math.max(retryAfterMs, most / 2 + (this.#random() * most) / 2);
    this.#retry = setTimeout(() => this.tell().catch(() => {}), pause);
  }

  async #sweep() {
    const settled = await this.#store.sweep(this.#now());
    if (settled.length) this.#told({ arrived: [], settled });
  }

  // ── Learning ───────────────────────────────────────────────────────────────────────────────────────────

  async #pull() {
    try {
      await this.#pullChanges();
      await this.#walk();
    } catch (error) {
      if (!isTooOld(error)) throw error;
      await this.#store.forget();
      await this.#walk();
    }
    await this.#countOutside();
  }

  async #pullChanges() {
    let { watermark } = await this.#store.position();
    while (watermark) {
      const query = { syncToken: watermark, limit: PAGE };
      const page = await this.#api.request("GET", "notifications", { query });
      const told = await this.#store.keepChanges(page.items, { watermark: page.watermark });
      if (page.items.length) this.#told(told);
      watermark = page.continuationToken && page.watermark !== watermark ? page.watermark : null;
    }
  }

  /** List what is not here yet, newest first, until the history is long enough; goes on where it stopped. */
  async #walk() {
    let { watermark, walk, count } = await this.#store.position();
    while (!watermark || walk) {
      const limit = watermark ? PAGE : FIRST_PAGE;
      const query = { filterMode: "all", limit, continuationToken: walk };
      const page = await this.#api.request("GET", "notifications", { query });
      count += page.items.length;
      walk = count < this.#history ? page.continuationToken : undefined;
      const isWhole = !page.continuationToken || Boolean(walk);
      const first = watermark ? null : page.watermark;
      await this.#store.keepWalk(page.items, { watermark: first, walk, isWhole });
      watermark = page.watermark;
      this.#told({ arrived: [], settled: [] });
    }
  }

  async #countOutside() {
    if ((await this.#store.position()).isWhole) return;
    const { unread } = await this.#api.request("GET", "notifications/summary");
    await this.#store.keepUnread(unread);
    this.#told({ arrived: [], settled: [] });
  }
}
