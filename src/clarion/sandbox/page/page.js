// The page: keeps the phones, the log and the fault in step with the server, by one event stream and, when that
// says so, by reading everything anew. phone.js draws a phone.

import { PhoneView, el } from "./phone.js";

const ASK_MS = 300;
const VISIT_MS = 5000;
const REREAD_MS = 1000;
const LOGGED = 100;
const UNITS = {
  slow: "ms", goaway: "requests apart", reset: "requests apart", drop: "requests apart",
  tls_cut: "requests apart", stalled: "ms", limit: "streams",
};
const PROVIDERS = { apns: "APNs", fcm: "FCM", webpush: "Web Push" };
const ACCEPTED = { apns: "200 accepted", fcm: "200 accepted", webpush: "201 accepted" };

const find = (id) => document.getElementById(id);
const views = new Map();
let serverAhead = 0;
let rereadAt = 0;
let rereadTimer = 0;

const serverNow = () => Date.now() + serverAhead;

async function call(path, body) {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.message ?? content.detail ?? answer.statusText);
  return content;
}

async function act(token, what, body) {
  try {
    showPhone(await call(`/api/phones/${encodeURIComponent(token)}/${what}`, body), what);
  } catch {
    readAll(); // it went in the meantime, or the server did: show what is true
  }
}

// --- everything ---

async function readAll() {
  try {
    show(await call("/api/phones"));
  } catch {
    return; // the stream reconnects and then reads anew
  }
}

function show(state) {
  serverAhead = state.now - Date.now();
  showPhones(state.phones);
  find("log").replaceChildren(...state.log.map((entry) => makeEntry(entry, false)));
  find("log-empty").hidden = state.log.length > 0;
  showFault(state.fault);
  showHint(state);
}

function readAllSoon() {
  clearTimeout(rereadTimer);
  const wait = Math.max(0, rereadAt + REREAD_MS - Date.now());
  rereadTimer = setTimeout(() => {
    rereadAt = Date.now();
    readAll();
  }, wait);
}

function showHint(state) {
  const quiet = state.phones.every((phone) => phone.banners.length === 0 && !phone.opened);
  const hint = find("hint");
  const known = state.credentials > 0 || state.phones.length > 0;
  hint.hidden = !quiet && known;
  hint.replaceChildren(...(known ? nothingYet(state.phones.length > 0) : nothingKnown()));
}

function nothingKnown() {
  const what = "Without a registered credential the stand-ins refuse every push. ";
  const how = el("p", { text: what }, "Start everything with ", el("code", { text: "scripts/run" }), ", which registers some.");
  return [el("h2", { text: "No credential is registered yet" }), how];
}

function nothingYet(anyPhone) {
  const title = anyPhone ? "The phones are listening" : "No phones yet";
  const rest = anyPhone ? " printed into a terminal and watch them ring." : " printed into a terminal; a phone appears with the first push.";
  const how = el("p", { text: "Paste one of the requests that " }, el("code", { text: "scripts/run" }), rest);
  return [el("h2", { text: title }), how];
}

// --- phones ---

function showPhones(phones) {
  const wanted = new Set(phones.map((phone) => phone.token));
  for (const [token, view] of views) {
    if (wanted.has(token)) continue;
    view.node.remove();
    views.delete(token);
  }
  for (const phone of phones) showPhone(phone, views.has(phone.token) ? "banner" : "first");
}

function showPhone(phone, reason) {
  const known = views.get(phone.token);
  if (known) {
    known.update(phone, reason);
  } else {
    const view = new PhoneView(phone, act, serverNow);
    views.set(phone.token, view);
    find("phones").append(view.node);
    if (reason === "banner") view.ring();
  }
  if (phone.banners.length > 0) find("hint").hidden = true;
}

function announce(phone) {
  const [newest] = phone.banners;
  if (newest) find("live").textContent = `${phone.owner || phone.name}: ${newest.title}. ${newest.text}`;
}

// --- the log ---

function makeEntry(entry, fresh) {
  const phone = views.get(entry.token)?.phone;
  const answer = entry.answer === "accepted" ? ACCEPTED[entry.provider] : entry.what;
  const time = new Date(entry.at).toLocaleTimeString(undefined, { hour12: false });
  const title = entry.title || (entry.answer === "accepted" ? entry.what : "");
  const whom = el("p", { class: "entry-whom", title: entry.token });
  if (phone) whom.textContent = [phone.owner, phone.name].filter(Boolean).join(", ");
  else if (!entry.token) whom.textContent = "no device";
  else whom.append("to ", el("code", { text: entry.token.length > 14 ? `…${entry.token.slice(-12)}` : entry.token }));
  const parts = [
    el("div", { class: "entry-head" },
      el("span", { class: "entry-answer", text: answer }),
      el("span", { class: "entry-provider", text: PROVIDERS[entry.provider] }),
      el("time", { datetime: new Date(entry.at).toISOString(), text: time })),
    title && el("p", { class: "entry-title", dir: "auto", text: title }),
    whom,
    entry.advice && el("p", { class: "entry-advice", text: entry.advice }),
  ];
  return el("li", { class: fresh ? "entry fresh" : "entry", "data-answer": entry.answer, title: entry.id && `id ${entry.id}` }, ...parts);
}

function addEntry(entry) {
  const list = find("log");
  list.prepend(makeEntry(entry, true));
  while (list.childElementCount > LOGGED) list.lastElementChild.remove();
  find("log-empty").hidden = true;
}

// --- the fault ---

function showFault(fault) {
  const form = find("fault");
  form.dataset.active = fault.mode === "none" ? "no" : "yes";
  if (form.contains(document.activeElement) && find("fault-mode").value === fault.mode) return;
  find("fault-mode").value = fault.mode;
  find("fault-value-box").hidden = !(fault.mode in UNITS);
  find("fault-value").value = fault.value;
  find("fault-unit").textContent = UNITS[fault.mode] ?? "";
}

async function setFault(body) {
  try {
    showFault(await call("/api/faults", body));
  } catch {
    readAll();
  }
}

find("fault-mode").addEventListener("change", (event) => setFault({ mode: event.target.value }));
find("fault-value").addEventListener("change", (event) => {
  if (event.target.reportValidity()) setFault({ mode: find("fault-mode").value, value: Number(event.target.value) });
});
find("fault").addEventListener("submit", (event) => event.preventDefault());

// --- the stream ---

function showLink(state, text) {
  find("link").dataset.state = state;
  find("link-text").textContent = text;
}

function listen() {
  const stream = new EventSource("/api/stream");
  stream.addEventListener("open", () => {
    showLink("live", "live");
    readAll();
  });
  stream.addEventListener("error", () => showLink("waiting", "reconnecting"));
  stream.addEventListener("reread", readAllSoon);
  stream.addEventListener("push", (event) => addEntry(JSON.parse(event.data)));
  stream.addEventListener("phone", (event) => {
    const { phone, reason } = JSON.parse(event.data);
    showPhone(phone, reason);
    if (reason === "banner") announce(phone);
  });
}

// A page that was just opened asks now and then; only one that stays holds a connection open. What takes a
// picture of a page waits until all its requests have ended, so a stream would keep it waiting for ever.
function visit(until) {
  if (Date.now() >= until) return listen();
  readAll();
  setTimeout(visit, ASK_MS, until);
}

show(JSON.parse(find("state").textContent));
showLink("live", "live");
visit(Date.now() + VISIT_MS);
setInterval(() => views.forEach((view) => view.tick()), 1000);
