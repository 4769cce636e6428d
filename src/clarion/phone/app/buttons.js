// Buttons with drawings on them.

import { el } from "./dom.js";
import { icon } from "./icons.js";

/** A drawing alone; `label` is what it is called, `hint` what shows when one points at it. */
export function iconButton({ id, action, label, hint = label, drawing, run }) {
  const attributes = { class: "icon-button", id, type: "button", "data-action": action, "aria-label": label };
  return el("button", { ...attributes, title: hint, onclick: run }, icon(drawing));
}

/** A drawing and words. */
export function wordButton({ action, label, hint = label, drawing, run }) {
  const attributes = { class: "button", type: "button", "data-action": action, title: hint, onclick: run };
  return el("button", attributes, icon(drawing), el("span", { text: label }));
}

/** Words alone; `look` is one of the stylesheet's: primary, danger. */
export function plainButton({ id, label, name, look, run }) {
  const attributes = { class: look ? `button ${look}` : "button", id, type: "button", "aria-label": name };
  return el("button", { ...attributes, text: label, onclick: run });
}

/** A switch with its words beside it; `says` is the id of what explains it. */
export function switchRow({ id, label, says, isOn = false, press }) {
  const words = el("span", { id: `${id}-label`, text: label });
  const about = { "aria-checked": String(isOn), "aria-labelledby": words.id, "aria-describedby": says };
  const attributes = { class: "switch", id, type: "button", role: "switch", ...about, onclick: press };
  return el("div", { class: "switch-row" }, words, el("button", attributes, el("span", { class: "knob" })));
}

/** Put other buttons in a place; the focus stays where it was. */
export function exchange(place, buttons) {
  const focused = [...place.children].indexOf(document.activeElement);
  place.replaceChildren(...buttons);
  if (focused >= 0) buttons[Math.min(focused, buttons.length - 1)].focus();
}

/** The way back from what is open. */
export const backButton = (run) =>
  iconButton({ id: "back", label: "Back to the inbox", hint: "Back (Escape)", drawing: "back", run });
