// One entry in the list: a link that opens it, buttons beside it, and a face that can be swiped.

import { isUnread } from "./actions.js";
import { exchange, iconButton } from "./buttons.js";
import { el, unseen } from "./dom.js";
import { icon } from "./icons.js";
import { findJig } from "./jigs.js";
import { swipeable } from "./swipe.js";
import { fully, shortly } from "./times.js";
import { inputAt, safeUrl } from "./values.js";

export class Row {
  #actions;
  #open;
  #status = unseen("");
  #time;
  #buttons = el("div", { class: "row-buttons" });
  #extras = el("span", { class: "row-extras" });
  #drawnState = null;

  constructor(entry, { actions, open }) {
    this.entry = entry;
    this.#actions = actions;
    this.#open = open;
    this.node = this.#draw(entry);
    this.update(entry);
    this.#drawJig(entry.content).catch(() => {}); // without its jig it is a plain row
  }

  update(entry) {
    this.entry = entry;
    if (entry.state === this.#drawnState) return;
    this.#drawnState = entry.state;
    this.node.dataset.state = entry.state;
    this.#status.textContent = isUnread(entry) ? "Unread: " : "";
    this.#drawButtons();
  }

  tick(now) {
    this.#time.textContent = shortly(Date.parse(this.entry.startAt), now);
  }

  focus() {
    this.link.focus();
    this.node.scrollIntoView({ block: "nearest" });
  }

  #draw({ notificationId, startAt, content }) {
    const at = Date.parse(startAt);
    this.#time = el("time", { datetime: startAt, title: fully(at), text: shortly(at, Date.now()) });
    this.link = el("a", { class: "row-link", href: `#/n/${notificationId}`, onclick: this.#clicked },
      el("span", { class: "row-head" },
        el("span", { class: "dot", "aria-hidden": "true" }),
        this.#status,
        el("span", { class: "row-title", dir: "auto", text: content.title || content.text }),
        this.#time),
      content.title ? el("span", { class: "row-text", dir: "auto", text: content.text }) : null,
      this.#extras);
    const face = el("div", { class: "row-face" }, this.link, this.#buttons);
    const node = el("li", { class: "row", id: `row-${notificationId}`, "data-id": notificationId },
      el("div", { class: "row-under", "aria-hidden": "true" },
        el("span", { class: "under-right" }),
        el("span", { class: "under-left" })),
      face);
    node.addEventListener("focusin", () => this.#noteFocus(true));
    node.addEventListener("focusout", (event) => this.#noteFocus(node.contains(event.relatedTarget)));
    swipeable(face, (direction) => this.#swiped(direction));
    return node;
  }

  #drawButtons() {
    const actions = this.#actions.for(this.entry);
    const name = this.entry.content.title || this.entry.content.text;
    const buttons = actions.map(({ name: action, label, icon: drawing, key, run }) =>
      iconButton({ action, label: `${label}: ${name}`, hint: `${label} (${key})`, drawing, run }));
    exchange(this.#buttons, buttons);
    this.#noteFocus(this.node.contains(document.activeElement));
    const [right, left] = actions;
    this.#label("under-right", right);
    this.#label("under-left", left);
  }

  #label(place, { short, icon: drawing, name }) {
    const side = this.node.querySelector(`.${place}`);
    side.dataset.action = name;
    side.replaceChildren(icon(drawing), el("span", { text: short }));
  }

  async #drawJig({ jigId, inputs }) {
    const jig = await findJig(jigId);
    if (!jig) return;
    this.#extras.append(el("span", { class: "chip", text: jig.title }));
    const src = jig.thumbnail && safeUrl(inputAt(inputs, jig.thumbnail));
    if (!src) return;
    const image = el("img", { class: "row-image", src, alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
    image.addEventListener("error", () => image.remove());
    this.link.append(image);
  }

  /** Tab goes through the buttons of the row that one is in, not through those of all rows. */
  #noteFocus(isIn) {
    for (const button of this.#buttons.children) button.tabIndex = isIn ? 0 : -1;
  }

  #swiped(direction) {
    const [right, left] = this.#actions.for(this.entry);
    (direction === "right" ? right : left).run();
  }

  #clicked = (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return; // a tab of its own
    event.preventDefault();
    this.#open(this.entry.notificationId);
  };
}
