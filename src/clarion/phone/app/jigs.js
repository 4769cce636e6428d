// The jigs: screens as plain data, one file each in jigs/, found by the id that a notification names.
// docs/phone.md describes the files; fields.js draws their fields.

import { el } from "./dom.js";
import { drawField } from "./fields.js";
import { inWords, typeOf } from "./values.js";

let index = null;
const loaded = new Map();

/** A jig; null when the app has none of this id. Throws when it cannot be read now. */
export async function findJig(id) {
  if (!id || !(await listJigs()).includes(id)) return null;
  if (!loaded.has(id)) loaded.set(id, await read(`jigs/${id}.json`));
  return loaded.get(id);
}

/** The ids of all jigs. */
async function listJigs() {
  index ??= await read("jigs/index.json");
  return index;
}

async function read(path) {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok) throw new Error(`${path} cannot be read`);
  return response.json();
}

/** The screen of a jig with the inputs of a notification. */
export function drawJig(jig, inputs) {
  const sections = jig.sections.map((section) => drawSection(section, inputs)).filter(Boolean);
  return el("div", { class: "jig", "data-jig": jig.id }, ...sections);
}

function drawSection({ title, look, fields }, inputs) {
  const drawn = fields.map((field) => drawField(field, inputs)).filter(Boolean);
  if (!drawn.length) return null;
  const heading = title ? el("h3", { text: title }) : null;
  return el("section", { class: "jig-section", "data-look": look }, heading, ...drawn);
}

/** For a jig that this app does not have: what came, and of which type. */
export function drawInputs(inputs) {
  const rows = Object.entries(inputs).map(([name, value]) => drawInput(name, value));
  if (!rows.length) return null;
  const head = ["Input", "Value", "Type"].map((text) => el("th", { scope: "col", text }));
  return el("table", { class: "inputs" },
    el("caption", { text: "What came with it" }),
    el("thead", {}, el("tr", {}, ...head)),
    el("tbody", {}, ...rows));
}

function drawInput(name, value) {
  const type = typeOf(value);
  return el("tr", { "data-input": name },
    el("th", { scope: "row", text: name }),
    el("td", { class: "input-value", dir: "auto", "data-type": type }, el("span", { text: inWords(value) })),
    el("td", { class: "input-type", text: type }));
}
