// Short messages that come and go, read aloud as they come. One that is pointed at or has the focus stays.

import { iconButton } from "./buttons.js";
import { el, find } from "./dom.js";

const STAY_MS = 7000;
const MOST = 3;

/** Show one. `action`: {label, run}. Returns a function that takes it away. */
export function toast({ title, text, action, kind = "note" }) {
  const shelf = find("toasts");
  const close = () => {
    clearTimeout(timer);
    node.remove();
  };
  const act = () => {
    close();
    action.run();
  };
  const node = el(
    "div",
    { class: "toast", "data-kind": kind },
    el("div", { class: "toast-words" },
      title && el("p", { class: "toast-title", dir: "auto", text: title }),
      text && el("p", { class: "toast-text", dir: "auto", text })),
    action && el("button", { class: "toast-action", type: "button", text: action.label, onclick: act }),
    iconButton({ label: "Close this message", drawing: "close", run: close }),
  );
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(close, STAY_MS);
  };
  for (const event of ["pointerenter", "focusin"]) node.addEventListener(event, () => clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) node.addEventListener(event, wait);
  while (shelf.childElementCount >= MOST) shelf.firstElementChild.remove();
  shelf.append(node);
  wait();
  return close;
}
