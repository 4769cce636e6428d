// What a notification's inputs are and how they read. Pure.

/** The words for what kind of JSON value it is. */
export function typeOf(value) {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "list";
  return { boolean: "yes or no", number: "number", string: "text", object: "object" }[typeof value];
}

/** The input at a name, or at a path of names into what is nested; undefined when there is none. */
export function inputAt(inputs, path) {
  let value = inputs;
  for (const name of [path].flat()) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** A template's text with inputs in the place of {names}; null when one of them is missing. */
export function fillIn(template, inputs, encode = (text) => text) {
  let isWhole = true;
  const text = template.replaceAll(/\{([^{}]+)\}/g, (_, name) => {
    const value = inputAt(inputs, name.split("."));
    if (value === undefined || value === null || typeof value === "object") isWhole = false;
    return encode(inWords(value));
  });
  return isWhole ? text : null;
}

/** Any value as text. */
export function inWords(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return new Intl.NumberFormat().format(value);
  if (typeof value === "boolean") return value ? "Yes" : "No";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** An amount; without a currency, a number with two decimals. What is no number reads as it is. */
export function asMoney(value, currency) {
  if (typeof value !== "number") return inWords(value);
  const isCurrency = typeof currency === "string" && /^[A-Z]{3}$/.test(currency);
  const plain = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return new Intl.NumberFormat(undefined, isCurrency ? { style: "currency", currency } : plain).format(value);
}

export function asNumber(value, { decimals, unit } = {}) {
  if (typeof value !== "number") return inWords(value);
  const exactly = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  const text = new Intl.NumberFormat(undefined, decimals === undefined ? {} : exactly).format(value);
  return unit ? `${text} ${unit}` : text;
}

/** A moment or a day, as the person's country writes it. What is no date reads as it is. */
export function asDate(value) {
  const at = typeof value === "string" || typeof value === "number" ? new Date(value) : null;
  if (!at || Number.isNaN(at.getTime())) return inWords(value);
  const isDay = typeof value === "string" && /^\d{4}-\d{2}-\d{2}$/.test(value);
  const options = isDay ? { dateStyle: "long", timeZone: "UTC" } : { dateStyle: "long", timeStyle: "short" };
  return new Intl.DateTimeFormat(undefined, options).format(at);
}

/** An address that may be opened or shown: https alone. Null for everything else. */
export function safeUrl(value) {
  try {
    const url = new URL(value);
    return url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
