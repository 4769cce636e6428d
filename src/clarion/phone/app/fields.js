// One field of a jig: a type, a label, and the input that it shows. A field whose input is missing is left out.

import { el } from "./dom.js";
import { icon } from "./icons.js";
import { asDate, asMoney, asNumber, fillIn, inputAt, inWords, safeUrl, typeOf } from "./values.js";

const TYPES = {
  heading: (field, inputs, value) => el("p", { class: "field-heading", dir: "auto", text: inWords(value) }),
  text: (field, inputs, value) => labelled(field, value, inWords(value)),
  code: (field, inputs, value) => labelled(field, value, inWords(value), "code"),
  number: (field, inputs, value) => labelled(field, value, asNumber(value, field)),
  money: (field, inputs, value) => labelled(field, value, asMoney(value, currencyOf(field, inputs))),
  date: (field, inputs, value) => labelled(field, value, asDate(value)),
  image: drawImage,
  list: drawList,
  steps: drawSteps,
  link: drawLink,
};

const CELLS = {
  number: (value, column) => asNumber(value, column),
  money: (value, column, inputs) => asMoney(value, currencyOf(column, inputs)),
};

/** The field with its input in place, or null. */
export function drawField(field, inputs) {
  const encode = field.type === "link" ? encodeURIComponent : undefined;
  const value = field.template ? fillIn(field.template, inputs, encode) : inputAt(inputs, field.input);
  const isMissing = value === undefined || value === null || value === "";
  if (isMissing || !TYPES[field.type]) return null;
  const node = TYPES[field.type](field, inputs, value);
  if (node && field.input) node.dataset.field = [field.input].flat().join(".");
  return node;
}

/** A label and a value, or the value alone; its element says of which type the input is. */
function labelled({ label }, value, text, tag = "span") {
  if (!label) return el("p", { class: "field-plain", dir: "auto", "data-type": typeOf(value) }, el(tag, { text }));
  return el("dl", { class: "field" },
    el("dt", { text: label }),
    el("dd", { dir: "auto", "data-type": typeOf(value) }, el(tag, { text })));
}

function currencyOf({ currency }, inputs) {
  return currency?.input ? inputAt(inputs, currency.input) : currency;
}

function drawImage({ alt, label }, inputs, value) {
  const src = safeUrl(value);
  if (!src) return null;
  const described = (alt && fillIn(alt, inputs)) ?? label ?? "";
  const attributes = { class: "field-image", src, alt: described, loading: "lazy", referrerpolicy: "no-referrer" };
  const image = el("img", attributes);
  image.addEventListener("error", () => image.remove());
  return image;
}

/** Texts below each other or, with columns, a table. */
function drawList({ label, columns }, inputs, value) {
  if (!Array.isArray(value) || !value.length) return null;
  if (!columns) {
    const items = value.map((item) => el("li", { dir: "auto", text: inWords(item) }));
    return el("div", { class: "field-list" }, el("h4", { text: label }), el("ul", {}, ...items));
  }
  const head = columns.map((column) => el("th", { scope: "col", "data-kind": column.type, text: column.label }));
  const rows = value.map((item) => el("tr", {}, ...columns.map((column) => drawCell(column, inputs, item))));
  return el("table", { class: "field-table" },
    el("caption", { text: label }), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

function drawCell(column, inputs, item) {
  const value = inputAt(item, column.input);
  const text = CELLS[column.type]?.(value, column, inputs) ?? inWords(value);
  return el("td", { dir: "auto", "data-kind": column.type, text });
}

/** How far something has come: the input names one of the steps. */
function drawSteps({ label, steps }, inputs, value) {
  const reached = steps.findIndex((step) => step.toLowerCase() === String(value).toLowerCase());
  if (reached < 0) return labelled({ label }, value, inWords(value));
  const items = steps.map((step, place) => {
    const state = place < reached ? "done" : place === reached ? "now" : "ahead";
    const isNow = place === reached;
    const mark = el("span", { class: "step-mark" }, state === "ahead" ? null : icon("check"));
    return el("li", { "data-state": state, "aria-current": isNow && "step" }, mark, el("span", { text: step }));
  });
  return el("ol", { class: "field-steps", "aria-label": label }, ...items);
}

/** A button that leads out of the app: to an input that is an address, or to an address with inputs in it. */
function drawLink({ label, look }, inputs, value) {
  const href = safeUrl(value);
  if (!href) return null;
  const looks = look === "quiet" ? "button" : "button primary";
  const attributes = { class: looks, href, target: "_blank", rel: "noopener noreferrer" };
  return el("a", attributes, el("span", { text: label }), icon("open"));
}
