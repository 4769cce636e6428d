// The list: what the inbox on this device holds, under the headings of its days, as far as one has scrolled.

import { arrange, el, find } from "./dom.js";
import { icon } from "./icons.js";
import { Row } from "./row.js";
import { pullable } from "./swipe.js";
import { period } from "./times.js";

const PAGE = 40;
const TICK_MS = 30_000;

const EMPTY = {
  inbox: { drawing: "bell", title: "Nothing here yet", text: "What is sent to you arrives here by itself." },
  unread: { drawing: "checks", title: "All read", text: "You have seen everything. Enjoy the quiet." },
  dismissed: { drawing: "trash", title: "The trash is empty", text: "What you move here can be restored." },
};

const LOADING = { drawing: "refresh", title: "Looking…", text: "" };

export class InboxView {
  #clarion;
  #actions;
  #open;
  #rows = new Map();
  #headings = new Map();
  #shown = [];
  #filter = "inbox";
  #most = PAGE;
  #openId = null;
  #isFirstSync = true;
  #drawing = Promise.resolve();
  #isStopped = false;
  #stopping = new AbortController();

  constructor({ clarion, actions, open }) {
    this.#clarion = clarion;
    this.#actions = actions;
    this.#open = open;
    const { signal } = this.#stopping;
    for (const button of find("filters").children) {
      button.addEventListener("click", () => this.choose(button.dataset.filter), { signal });
    }
    find("mark-all").addEventListener("click", () => this.#actions.readAll(), { signal });
    find("refresh").addEventListener("click", () => this.refresh(), { signal });
    pullable(find("scroller"), find("pull"), () => this.refresh());
    this.#watchTheEnd();
    const ticking = setInterval(() => this.#rows.forEach((row) => row.tick(Date.now())), TICK_MS);
    signal.addEventListener("abort", () => clearInterval(ticking));
  }

  stop() {
    this.#isStopped = true;
    this.#stopping.abort();
    find("list").replaceChildren();
  }

  /** Draw again, after what is being drawn. */
  draw() {
    this.#drawing = this.#drawing.then(() => this.#draw()).catch(() => {});
    return this.#drawing;
  }

  /** Ask the service now; returns the error, or null. */
  async refresh() {
    find("refresh").toggleAttribute("data-busy", true);
    const error = await this.#clarion.sync().then(() => null, (fault) => fault);
    this.#isFirstSync = false;
    find("refresh").toggleAttribute("data-busy", false);
    await this.draw();
    return error;
  }

  choose(filter) {
    this.#filter = filter;
    this.#most = PAGE;
    find("inbox").dataset.filter = filter;
    for (const button of find("filters").children) {
      button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
    }
    find("scroller").scrollTop = 0;
    return this.draw();
  }

  /** The entry that is open beside the list stays in it, even when the filter would not show it any more. */
  noteOpen(id) {
    this.#openId = id;
    return this.draw();
  }

  /** New ones glow for a moment. */
  noteArrived(entries) {
    this.draw().then(() => {
      for (const { notificationId } of entries) this.#rows.get(notificationId)?.node.classList.add("fresh");
    });
  }

  /** The row with the focus, the one beside it, or the first. */
  focus(step = 0) {
    const focused = this.#focusedPlace();
    const place = focused < 0 ? 0 : Math.max(0, Math.min(this.#shown.length - 1, focused + step));
    const row = this.#rows.get(this.#shown[place]?.notificationId);
    if (row) row.focus();
    else find("inbox-title").focus();
  }

  focusEntry(id) {
    const row = this.#rows.get(id);
    if (row?.node.isConnected) row.focus();
    else this.focus();
  }

  /** Before an entry leaves: the focus goes to its neighbour when it is in its row. */
  leave(id) {
    const row = this.#rows.get(id);
    if (!row?.node.contains(document.activeElement)) return;
    const place = this.#shown.findIndex((entry) => entry.notificationId === id);
    const neighbour = this.#shown[place + 1] ?? this.#shown[place - 1];
    if (neighbour) this.#rows.get(neighbour.notificationId)?.focus();
    else find("inbox-title").focus();
  }

  get focusedEntry() {
    return this.#shown[this.#focusedPlace()] ?? null;
  }

  #focusedPlace() {
    const id = document.activeElement?.closest?.(".row")?.dataset.id;
    return this.#shown.findIndex((entry) => entry.notificationId === id);
  }

  async #draw() {
    const entries = await this.#listed();
    if (this.#isStopped) return;
    this.#shown = entries;
    const rows = entries.map((entry) => this.#row(entry));
    arrange(find("list"), this.#withHeadings(rows));
    for (const id of [...this.#rows.keys()]) {
      if (!this.#rows.get(id).node.isConnected) this.#rows.delete(id);
    }
    this.#drawEmpty(entries.length === 0);
  }

  async #listed() {
    const entries = await this.#clarion.list({ filter: this.#filter, limit: this.#most });
    const isKept = this.#openId && this.#filter === "unread" && this.#rows.has(this.#openId);
    if (!isKept || entries.some((entry) => entry.notificationId === this.#openId)) return entries;
    const open = await this.#clarion.get(this.#openId).catch(() => null);
    if (!open || open.state === "DISMISSED") return entries;
    return [...entries, open].sort((one, other) => Date.parse(other.startAt) - Date.parse(one.startAt));
  }

  #row(entry) {
    const known = this.#rows.get(entry.notificationId);
    const row = known ?? new Row(entry, { actions: this.#actions, open: this.#open });
    if (known) row.update(entry);
    else this.#rows.set(entry.notificationId, row);
    const isOpen = entry.notificationId === this.#openId;
    if (isOpen) row.link.setAttribute("aria-current", "true");
    else row.link.removeAttribute("aria-current");
    return row;
  }

  #withHeadings(rows) {
    const nodes = [];
    let last = null;
    for (const row of rows) {
      const heading = period(Date.parse(row.entry.startAt), Date.now());
      if (heading !== last) nodes.push(this.#heading(heading));
      last = heading;
      nodes.push(row.node);
    }
    return nodes;
  }

  #heading(text) {
    if (!this.#headings.has(text)) {
      this.#headings.set(text, el("li", { class: "period" }, el("h2", { text })));
    }
    return this.#headings.get(text);
  }

  #drawEmpty(isEmpty) {
    const box = find("empty");
    box.hidden = !isEmpty;
    if (!isEmpty) return;
    const isLoading = this.#isFirstSync && this.#filter === "inbox";
    const { drawing, title, text } = isLoading ? LOADING : EMPTY[this.#filter];
    const words = [el("p", { class: "empty-title", text: title }), el("p", { class: "soft", text })];
    box.toggleAttribute("data-loading", isLoading);
    box.replaceChildren(icon(drawing), ...words);
  }

  /** More of the list when its end comes into sight. */
  #watchTheEnd() {
    const watcher = new IntersectionObserver(([seen]) => {
      if (!seen.isIntersecting || this.#shown.length < this.#most) return;
      this.#most += PAGE;
      this.draw();
    }, { root: find("scroller"), rootMargin: "600px" });
    watcher.observe(find("sentinel"));
    this.#stopping.signal.addEventListener("abort", () => watcher.disconnect());
  }
}
