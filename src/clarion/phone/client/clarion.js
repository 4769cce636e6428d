// Clarion in a web app: a member's inbox, live and offline, Web Push, and what a tap opens. The whole of it
// on one screen; each part has a file of its own. `clarion.d.ts` has the types.

import { Api, ClarionError } from "./api.js";
import { forgetInstallation } from "./device.js";
import { Inbox } from "./inbox.js";
import { Live } from "./live.js";
import { readLink, readOpening, withoutLink } from "./opening.js";
import { Push } from "./push.js";
import { databaseName, Store } from "./store.js";
import { Tabs } from "./tabs.js";

export { ClarionError };

const HISTORY = 1000;
const FAREWELL_MS = 3000;

/** One signed-in member. Events: `change`, `arrived`, `opened`, `live`, `signedout`. */
export class Clarion extends EventTarget {
  #options;
  #api;
  #store;
  #tabs;
  #inbox;
  #push;
  #stopping = new AbortController();
  #leading = null;
  #liveState = "off";
  #isLeader = false;
  #live = null;
  #opened = null;

  constructor(options) {
    super();
    const serviceWorker = { url: new URL("service-worker.js", import.meta.url), ...options.serviceWorker };
    this.#options = { history: HISTORY, badge: true, ...options, serviceWorker };
    const now = () => Date.now();
    const random = () => Math.random();
    const name = databaseName(options.organizationId, options.userId);
    this.#api = new Api({ fetch: (...request) => fetch(...request), now, ...options });
    this.#store = new Store(name);
    this.#tabs = new Tabs(name, (message) => this.#hear(message));
    this.#inbox = new Inbox({
      api: this.#api,
      store: this.#store,
      alone: (work) => this.#tabs.alone(work),
      told: (told) => this.#tell(told),
      history: this.#options.history,
      now,
      random,
    });
    this.#push = new Push({ api: this.#api, options: this.#options, now });
    this.#live = new Live({
      open: (headers, signal) => this.#api.open("notifications/stream", { headers, signal }),
      inbox: this.#inbox,
      isOnline: () => navigator.onLine !== false,
      told: (state) => this.#noteLive(state, true),
      now,
      random,
    });
    this.#listen(this.#stopping.signal);
  }

  // ── The inbox ──────────────────────────────────────────────────────────────────────────────────────────

  /** Read the inbox on this device, newest first. */
  list(options) {
    return this.#inbox.list(options);
  }

  /** One entry; asks the service for one that is not on this device. */
  get(notificationId) {
    return this.#inbox.get(notificationId);
  }

  /** How many entries are unread. */
  unread() {
    return this.#inbox.countUnread();
  }

  markRead(notificationId) {
    return this.#inbox.setState(notificationId, "READ");
  }

  markUnread(notificationId) {
    return this.#inbox.setState(notificationId, "SENT");
  }

  dismiss(notificationId) {
    return this.#inbox.setState(notificationId, "DISMISSED");
  }

  /** Bring back what was dismissed, as read. */
  restore(notificationId) {
    return this.#inbox.setState(notificationId, "READ");
  }

  /** Delete for this member, on all their devices. */
  remove(notificationId) {
    return this.#inbox.remove(notificationId);
  }

  /** Everything that is on this device now. */
  markAllRead() {
    return this.#inbox.readAll();
  }

  /** Tell the service what was done here and learn what changed there. */
  sync() {
    return this.#inbox.sync();
  }

  /** Call `listener({unread})` now and after every change; returns a function that ends it. */
  subscribe(listener) {
    const look = async () => {
      const unread = await this.unread().catch(() => null);
      if (unread !== null) listener({ unread });
    };
    this.addEventListener("change", look);
    look();
    return () => this.removeEventListener("change", look);
  }

  // ── Live ───────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * At the beginning of a page: open what its address names, refresh the push registration, sync, and stay
   * live. Nothing of it needs the network to succeed now.
   */
  start() {
    this.#openFromAddress();
    this.#push.refresh().catch(() => {});
    this.sync().catch(() => {});
    this.live();
  }

  /** Stay connected; one tab does it for all. */
  live() {
    if (this.#leading || this.#stopping.signal.aborted) return;
    this.#tabs.tell({ kind: "live?" });
    this.#lead();
  }

  /** "live", "connecting", "waiting", "offline", "refused" or "off". */
  get liveState() {
    return this.#liveState;
  }

  /** End the live connection and all listening; the inbox stays on this device. */
  stop() {
    this.#stopping.abort();
    this.#leading?.abort();
    this.#inbox.stop();
    this.#tabs.close();
    this.#liveState = "off";
  }

  // ── Web Push ───────────────────────────────────────────────────────────────────────────────────────────

  /** Ask for permission and register this browser. Call it from a click. */
  async registerPush(options = {}) {
    try {
      return await this.#push.register(options);
    } catch (error) {
      return { ok: false, reason: error.code === "unreachable" ? "unreachable" : "refused", cause: error };
    }
  }

  /** "on", "off", or the reason why it cannot be. */
  pushState() {
    return this.#push.state();
  }

  unregisterPush() {
    return this.#push.unregister();
  }

  /** All devices of this person that get pushes. */
  devices() {
    return this.#push.devices();
  }

  removeDevice(deviceId) {
    return this.#push.removeDevice(deviceId);
  }

  /** Call `listener(opening)` for every tap on a banner, and for the one that opened this page. */
  onOpen(listener) {
    const hear = (event) => listener(event.detail);
    this.addEventListener("opened", hear);
    if (this.#opened) queueMicrotask(() => listener(this.#opened));
    return () => this.removeEventListener("opened", hear);
  }

  /** Leave nothing of this person on this device. What was done offline is told first, if it can be. */
  async signOut() {
    await Promise.race([this.#inbox.tell().catch(() => {}), pause(FAREWELL_MS)]);
    this.#tabs.tell({ kind: "signed-out" });
    this.stop();
    await Promise.allSettled([this.#push.unregister(), this.#push.closeBanners()]);
    await forgetInstallation().catch(() => {});
    await this.#store.destroy();
    this.#showBadge(0);
    this.#emit("signedout");
  }

  // ── Between the parts ──────────────────────────────────────────────────────────────────────────────────

  #listen(signal) {
    navigator.serviceWorker?.addEventListener("message", this.#hearWorker, { signal });
    for (const type of ["online", "offline"]) addEventListener(type, this.#look, { signal });
    document.addEventListener("visibilitychange", this.#look, { signal });
    addEventListener("pagehide", () => this.#leading?.abort(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#leading && this.#lead(), { signal });
  }

  /** Something changed in this tab. */
  #tell({ arrived, settled }) {
    if (this.#stopping.signal.aborted) return;
    this.#tabs.tell({ kind: "changed", arrived });
    this.#changed(arrived);
    if (settled.length) this.#push.closeBanners(settled).catch(() => {});
    if (this.#options.badge)
      this.unread().then(
        (unread) => this.#showBadge(unread),
        () => {},
      );
  }

  #changed(arrived) {
    if (arrived.length) this.#emit("arrived", { entries: arrived });
    this.#emit("change");
  }

  /** Something happened in another tab. */
  #hear(message) {
    if (message.kind === "changed") this.#changed(message.arrived);
    else if (message.kind === "live") this.#noteLive(message.state, false);
    else if (message.kind === "live?" && this.#isLeader)
      this.#tabs.tell({ kind: "live", state: this.#liveState });
    else if (message.kind === "signed-out") this.#leave();
  }

  #leave() {
    this.#store.end();
    this.stop();
    this.#emit("signedout");
  }

  #hearWorker = (event) => {
    const { type, ...told } = event.data ?? {};
    if (type === "clarion.pushed" && this.#liveState !== "live") this.sync().catch(() => {});
    if (told.organizationId !== this.#options.organizationId) return;
    if (type === "clarion.ask") event.ports[0]?.postMessage("here");
    if (type === "clarion.opened") this.#open(told);
  };

  #openFromAddress() {
    const notificationId = readLink(location.href, this.#options.organizationId);
    if (!notificationId) return;
    history.replaceState(history.state, "", withoutLink(location.href));
    this.#push.noteOpened(notificationId).catch(() => {});
    this.#open({ notificationId });
  }

  async #open(told) {
    const opening = await readOpening(told, (id) => this.get(id));
    this.#opened = opening;
    this.#emit("opened", opening);
  }

  /** Be the tab that is connected, or wait to be. A page that is put aside must not keep the others waiting. */
  #lead() {
    this.#leading = new AbortController();
    const { signal } = this.#leading;
    const work = async () => {
      this.#isLeader = true;
      await this.#live.run(signal);
      this.#isLeader = false;
      if (!signal.aborted) this.#leading = null; // refused: somebody has to sign in
    };
    this.#tabs.lead(signal, work).catch(() => {});
  }

  #look = () => {
    this.#live.look();
    if (document.visibilityState === "visible" && navigator.onLine !== false)
      this.#inbox.tell().catch(() => {});
  };

  #noteLive(state, isOurs) {
    this.#liveState = state;
    if (isOurs && !this.#stopping.signal.aborted) this.#tabs.tell({ kind: "live", state });
    this.#emit("live", { state });
  }

  #showBadge(unread) {
    const showing = unread ? navigator.setAppBadge?.(unread) : navigator.clearAppBadge?.();
    showing?.catch(() => {});
  }

  #emit(type, detail = null) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
