// Questions and help that lie over everything. The browser keeps the focus inside, and Escape closes them.

import { el } from "./dom.js";

/** Ask; resolves to whether the person said yes. */
export async function confirm({ title, text, yes }) {
  const answer = await show("confirm", title,
    el("p", { text }),
    el("form", { method: "dialog", class: "dialog-buttons" },
      el("button", { value: "no", id: "confirm-no", text: "Keep it" }),
      el("button", { value: "yes", id: "confirm-yes", class: "danger", text: yes })));
  return answer === "yes";
}

/** Show which keys do what. */
export function showShortcuts(shortcuts) {
  const rows = shortcuts.flatMap(({ keys, does }) => [
    el("dt", {}, ...keys.map((key) => el("kbd", { text: key }))),
    el("dd", { text: does }),
  ]);
  return show("shortcuts", "Keyboard shortcuts",
    el("dl", { class: "keys" }, ...rows),
    el("form", { method: "dialog", class: "dialog-buttons" }, el("button", { id: "shortcuts-close", text: "Close" })));
}

/** Each time a dialog of its own, so that none hears of another's end. */
function show(id, title, ...content) {
  const heading = el("h2", { id: `${id}-title`, text: title });
  const dialog = el("dialog", { class: "dialog", id, "aria-labelledby": heading.id }, heading, ...content);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}
