// One notification, opened: its words, and the jig that it names with the inputs that came with it.

import { backButton, exchange, wordButton } from "./buttons.js";
import { el, find } from "./dom.js";
import { icon } from "./icons.js";
import { drawInputs, drawJig, findJig } from "./jigs.js";
import { fully } from "./times.js";

const MISSING = {
  gone: {
    title: "It is not there any more",
    text: "Whoever sent this notification took it back, or you deleted it.",
  },
  unreachable: {
    title: "It cannot be loaded now",
    text: "You are offline, and this notification is not on this device yet.",
  },
};

const UNREADABLE = "Its screen cannot be loaded while you are offline; here is what it would show.";

export class Reader {
  #clarion;
  #actions;
  #back;
  #id = null;
  #entry = null;
  #openings = new Map();

  constructor({ clarion, actions, back }) {
    this.#clarion = clarion;
    this.#actions = actions;
    this.#back = back;
  }

  get entry() {
    return this.#entry;
  }

  /** What a tap brought: its inputs are shown even when the entry itself cannot be had. */
  noteOpening(opening) {
    this.#openings.set(opening.notificationId, opening);
  }

  /** Show a notification; it counts as read from now on. */
  async show(id) {
    this.#id = id;
    this.#entry = null;
    const [entry, missing] = await this.#find(id);
    const content = entry?.content ?? contentOf(this.#openings.get(id));
    if (this.#id !== id) return;
    if (!content) return this.#showMissing(missing);
    const [jig, isUnreadable] = await findJig(content.jigId).then((found) => [found, false], () => [null, true]);
    if (this.#id !== id) return;
    const isNew = entry?.state === "SENT";
    this.#entry = isNew ? { ...entry, state: "READ" } : entry; // so that no button moves under the finger
    this.#draw(content, this.#entry, jig, isUnreadable);
    if (isNew) await this.#clarion.markRead(id);
  }

  /** Nothing is open: there is room beside the list on a wide screen. */
  clear() {
    this.#id = this.#entry = null;
    const words = el("p", { class: "soft", text: "Choose a notification to read it here." });
    find("reader").replaceChildren(el("div", { class: "placeholder" }, icon("bell"), words));
  }

  /** The inbox changed: the buttons follow, and what was recalled leaves. */
  async refresh() {
    const id = this.#id;
    if (!id || !this.#entry) return;
    const [entry, missing] = await this.#find(id);
    if (this.#id !== id) return;
    if (missing === "gone") this.#showMissing(missing);
    if (!entry || entry.state === this.#entry?.state) return;
    this.#entry = entry;
    exchange(find("reader-buttons"), this.#buttons(entry));
  }

  async #find(id) {
    try {
      return [await this.#clarion.get(id), null];
    } catch (error) {
      return [null, error.status === 404 || error.status === 400 ? "gone" : "unreachable"];
    }
  }

  #draw(content, entry, jig, isUnreadable) {
    const { title, text, inputs = {} } = content;
    const heading = title || text || jig?.title || "Notification";
    const at = entry && Date.parse(entry.startAt);
    const about = { "data-jig": content.jigId, "data-id": this.#id, "aria-labelledby": "reader-title" };
    find("reader").replaceChildren(
      this.#bar(entry && this.#buttons(entry)),
      el("article", { class: "reader-scroller", id: "notification", ...about },
        el("header", { class: "reader-head" },
          jig ? el("p", { class: "chip", id: "jig-title", text: jig.title }) : null,
          el("h2", { id: "reader-title", tabindex: "-1", dir: "auto", text: heading }),
          title && text ? el("p", { class: "reader-text", dir: "auto", text }) : null,
          at ? el("p", { class: "soft" }, el("time", { datetime: entry.startAt, text: fully(at) })) : null),
        isUnreadable ? el("p", { class: "notice", text: UNREADABLE }) : null,
        jig ? drawJig(jig, inputs) : drawInputs(inputs)));
  }

  #showMissing(reason) {
    const { title, text } = MISSING[reason];
    this.#entry = null;
    find("reader").replaceChildren(
      this.#bar(null),
      el("div", { class: "placeholder", id: "missing", "data-reason": reason },
        icon("bell"),
        el("h2", { id: "reader-title", tabindex: "-1", text: title }),
        el("p", { class: "soft", text })));
  }

  #bar(buttons) {
    return el("header", { class: "bar" },
      backButton(this.#back),
      el("div", { class: "bar-buttons", id: "reader-buttons" }, ...(buttons ?? [])));
  }

  #buttons(entry) {
    return this.#actions.all(entry).map(({ name: action, label, icon: drawing, key, run }) =>
      wordButton({ action, label, hint: `${label} (${key})`, drawing, run }));
  }
}

/** The content that a push carried, if it carried one. */
function contentOf(opening) {
  if (!opening || opening.missing || !opening.jigId) return null;
  return { text: "", jigId: opening.jigId, screen: opening.screen, inputs: opening.inputs };
}
