// Making elements. Text is only ever put in as text: there is no way in here to put in HTML.

/** An element. `text` is its text, `on…` listens, everything else is an attribute; empty ones are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(node, name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "text") node.textContent = value;
  else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else node.setAttribute(name, value === true ? "" : value);
}

export const find = (id) => document.getElementById(id);

/** Words for a screen reader alone. */
export const unseen = (text) => el("span", { class: "unseen", text });

/** Make a parent's children these, touching only what moved, so that focus and swipes survive. */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) {
    if (!wanted.has(child)) child.remove();
  }
  nodes.forEach((node, place) => {
    const there = parent.children[place];
    if (there !== node) parent.insertBefore(node, there ?? null);
  });
}
