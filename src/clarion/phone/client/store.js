// The inbox on this device: entries as the service told them, how far it told, and changes that it was not
// told yet. One IndexedDB database per organization and member; `inbox.js` is its only user, and the service
// worker reads `entries`. What belongs together is written in one transaction, so that a crash never skips
// anything.

import { ClarionError } from "./api.js";
import { overlay, passes, supersedes, UNREAD } from "./changes.js";

const VERSION = 1;
const STORES = ["entries", "meta", "changes"];

/** The name of a member's database. */
export function databaseName(organizationId, userId) {
  return `clarion.${organizationId}.${userId}`;
}

export class Store {
  #name;
  #opening = null;
  #isEnded = false;

  constructor(name) {
    this.#name = name;
  }

  /** What a list shows, newest first; `after` is the last entry of the page before. */
  async list({ filter, limit, after }) {
    return this.#work("readonly", async ({ entries, changes }) => {
      const pending = await answer(changes.getAll());
      const range = after ? IDBKeyRange.upperBound([after.startAt, after.notificationId], true) : null;
      const found = [];
      await eachEntry(entries.index("newest").openCursor(range, "prev"), (entry) => {
        const seen = overlay(entry, pending);
        if (seen && passes(seen, filter)) found.push(seen);
        return found.length < limit;
      });
      return found;
    });
  }

  /** One entry as the person sees it; null when it is not here. */
  async get(notificationId) {
    return this.#work("readonly", async ({ entries, changes }) => {
      const entry = await answer(entries.get(notificationId));
      return entry ? overlay(entry, await answer(changes.getAll())) : null;
    });
  }

  /** How many entries are unread, changes included, and those that the service alone keeps. */
  async countUnread() {
    return this.#work("readonly", async ({ entries, meta, changes }) => {
      const pending = await answer(changes.getAll());
      const outside = pending.some((change) => change.kind === "all") ? 0 : await answer(meta.get("outside"));
      const told = await answer(entries.index("state").count(UNREAD));
      return (outside ?? 0) + told + (await unreadDifference(entries, pending));
    });
  }

  /** Where reading goes on: {watermark, walk, isWhole, count}; `walk` leads to the entries not listed yet. */
  async position() {
    return this.#work("readonly", async ({ entries, meta }) => ({
      watermark: (await answer(meta.get("watermark"))) ?? null,
      walk: (await answer(meta.get("walk"))) ?? null,
      isWhole: (await answer(meta.get("isWhole"))) ?? true,
      count: await answer(entries.count()),
    }));
  }

  /**
   * Keep a page of the first listing, with the way to the next one. The watermark is the walk's own, from its
   * first page; a change that came meanwhile is never overtaken.
   */
  async keepWalk(items, { watermark, walk, isWhole }) {
    return this.#work("readwrite", async ({ entries, meta }) => {
      for (const item of items) entries.put(item);
      if (watermark) meta.put(watermark, "watermark");
      if (walk) meta.put(walk, "walk");
      else meta.delete("walk");
      meta.put(isWhole, "isWhole");
    });
  }

  /**
   * Keep what changed, and how far that goes. With `expected`, only if that is as far as we got: returns null
   * when it is not. Otherwise {arrived, settled}: what is new and unread, and the ids of what no longer is.
   */
  async keepChanges(items, { watermark, expected }) {
    return this.#work("readwrite", async ({ entries, meta }) => {
      if (expected !== undefined && (await answer(meta.get("watermark"))) !== expected) return null;
      const told = { arrived: [], settled: [] };
      for (const item of items) {
        const isNew = !(await answer(entries.getKey(item.notificationId)));
        if (item.deleted) entries.delete(item.notificationId);
        else entries.put(item);
        if (item.deleted || item.state !== UNREAD) told.settled.push(item.notificationId);
        else if (isNew) told.arrived.push(item);
      }
      meta.put(watermark, "watermark");
      return told;
    });
  }

  /** Throw away what is too old to be in an inbox. The service does so without a word. */
  async sweep(now) {
    const past = IDBKeyRange.upperBound(new Date(now).toISOString());
    return this.#work("readwrite", async ({ entries }) => {
      const ids = await answer(entries.index("expires").getAllKeys(past));
      for (const id of ids) entries.delete(id);
      return ids;
    });
  }

  /** Remember how many are unread in all, by the service's count. */
  async keepUnread(unread) {
    await this.#work("readwrite", async ({ entries, meta }) => {
      const told = await answer(entries.index("state").count(UNREAD));
      meta.put(Math.max(0, unread - told), "outside");
    });
  }

  /** Note what the person did. An earlier change of the same entry need not be told any more. */
  async addChange(change) {
    await this.#work("readwrite", async ({ changes }) => {
      await eachEntry(changes.openCursor(), (earlier, cursor) => {
        if (supersedes(change, earlier)) cursor.delete();
        return true;
      });
      changes.add(change);
    });
  }

  /** Note that the person read everything that is here now. Returns the ids, for banners. */
  async addReadAll() {
    return this.#work("readwrite", async ({ entries, meta, changes }) => {
      const watermark = await answer(meta.get("watermark"));
      if (!watermark) return [];
      const pending = await answer(changes.getAll());
      const ids = await answer(entries.index("state").getAllKeys(UNREAD));
      const others = pending.filter(({ kind, state }) => kind === "state" && state === UNREAD);
      const all = [...new Set([...ids, ...others.map(({ notificationId }) => notificationId)])];
      changes.add({ kind: "all", upTo: watermark, ids: all });
      return all;
    });
  }

  /** The oldest change that the service was not told, as [key, change]; null when there is none. */
  async nextChange() {
    return this.#work("readonly", async ({ changes }) => {
      const cursor = await answer(changes.openCursor());
      return cursor ? [cursor.key, cursor.value] : null;
    });
  }

  /** A change was told: what the service answered takes its place. Nothing answered: what was meant does. */
  async settleChange(key, change, item) {
    await this.#work("readwrite", async ({ entries, meta, changes }) => {
      changes.delete(key);
      if (change.kind === "remove") entries.delete(change.notificationId);
      else if (change.kind === "state") item && entries.put(item);
      else await settleReadAll(entries, meta, change);
    });
  }

  /**
   * A change was refused for good: the service's word stands. `isGone`: it does not know the entry at all.
   */
  async dropChange(key, change, isGone) {
    await this.#work("readwrite", async ({ entries, changes }) => {
      changes.delete(key);
      if (isGone && change.notificationId) entries.delete(change.notificationId);
    });
  }

  /** Forget what the service told, not what it still has to be told. */
  async forget() {
    await this.#work("readwrite", async ({ entries, meta }) => {
      entries.clear();
      meta.clear();
    });
  }

  /** Delete the database; nothing can be read or kept any more. */
  async destroy() {
    this.#isEnded = true;
    (await this.#opening?.catch(() => null))?.close();
    await answer(indexedDB.deleteDatabase(this.#name));
  }

  /** Somebody else deletes the database. */
  end() {
    this.#isEnded = true;
    this.#opening?.then((database) => database.close()).catch(() => {});
  }

  async #work(mode, work) {
    const transaction = (await this.#open()).transaction(STORES, mode);
    const end = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error ?? new Error("a transaction was given up"));
    });
    end.catch(() => {}); // awaited below, unless the work itself fails
    try {
      const result = await work(
        Object.fromEntries(STORES.map((name) => [name, transaction.objectStore(name)])),
      );
      await end;
      return result;
    } catch (error) {
      if (!transaction.error) abort(transaction);
      throw error;
    }
  }

  #open() {
    if (this.#isEnded) throw new ClarionError("This person has signed out.", { code: "signed_out" });
    this.#opening ??= openDatabase(this.#name, {
      onEnd: () => this.end(),
      onClose: () => (this.#opening = null),
    });
    this.#opening.catch(() => (this.#opening = null));
    return this.#opening;
  }
}

async function openDatabase(name, { onEnd, onClose }) {
  const request = indexedDB.open(name, VERSION);
  request.onupgradeneeded = () => {
    const entries = request.result.createObjectStore("entries", { keyPath: "notificationId" });
    entries.createIndex("newest", ["startAt", "notificationId"]);
    entries.createIndex("state", "state");
    entries.createIndex("expires", "expiresAt");
    request.result.createObjectStore("meta");
    request.result.createObjectStore("changes", { autoIncrement: true });
  };
  const database = await answer(request);
  database.onversionchange = onEnd;
  database.onclose = onClose;
  return database;
}

async function unreadDifference(entries, pending) {
  const ids = new Set(pending.flatMap((change) => change.ids ?? [change.notificationId]));
  let difference = 0;
  for (const id of ids) {
    const entry = await answer(entries.get(id));
    if (!entry) continue;
    const isUnread = overlay(entry, pending)?.state === UNREAD;
    difference += Number(isUnread) - Number(entry.state === UNREAD);
  }
  return difference;
}

async function settleReadAll(entries, meta, change) {
  meta.put(0, "outside");
  for (const id of change.ids) {
    const entry = await answer(entries.get(id));
    if (entry?.state === UNREAD) entries.put({ ...entry, state: "READ" });
  }
}

function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Hand over one value after the other, until the visitor answers false. */
function eachEntry(request, visit) {
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor && visit(cursor.value, cursor)) cursor.continue();
      else resolve();
    };
  });
}

function abort(transaction) {
  try {
    transaction.abort();
  } catch {
    // it has ended by itself
  }
}
