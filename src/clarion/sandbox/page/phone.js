// Draws one phone, or the window of a browser. page.js makes the views and hands them what the server says; a view hands back what a person did.
// Everything that came with a push goes into the document as text, never as markup.

const RING_MS = 700;
const LEAVE_MS = 260;
const HEADS_UP_MS = 4000;
const KINDS = {
  apns: { kind: "iphone", back: "Lock screen" },
  fcm: { kind: "android", back: "Lock screen" },
  webpush: { kind: "browser", back: "Notifications" },
};

/** Make an element: el("p", {class: "x", text: "…"}, child, …). */
export function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter(Boolean));
  return node;
}

/** How long ago, as a lock screen says it. */
export function ago(at, now) {
  const minutes = Math.floor((now - at) / 60000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

function typeOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "list";
  return { string: "text", number: "number", boolean: "boolean" }[typeof value] ?? "object";
}

function hueOf(token) {
  let hash = 7;
  for (const character of token) hash = (hash * 31 + character.codePointAt(0)) % 3600;
  return 205 + (hash % 105); // blue to plum: the wallpaper stays clear of mud
}

const icon = (options) => el("img", { src: "/page/icon.svg", alt: "", ...options });

export class PhoneView {
  constructor(phone, act, serverNow) {
    this.token = phone.token;
    this.act = act;
    this.serverNow = serverNow;
    this.banners = new Map();
    this.build(KINDS[phone.provider]);
    this.node.style.setProperty("--hue", hueOf(phone.token));
    this.update(phone, "first");
    this.tick();
  }

  build({ kind, back }) {
    this.clocks = [el("span"), el("p", { class: "time", "aria-hidden": "true" })];
    this.day = el("p", { class: "day" });
    this.list = el("ul", { class: "banners", "aria-label": "Notifications" });
    this.quiet = el("p", { class: "quiet", text: "No notifications" });
    this.count = el("span");
    this.clear = el("button", { class: "clear", type: "button", text: "Clear all", on: { click: () => this.dismiss(null) } });
    this.shade = el("div", { class: "shade-bar" }, this.count, this.clear);
    this.badge = el("span", { class: "badge" });
    const dock = el("div", { class: "dock" }, el("span", { class: "app-icon" }, icon(), this.badge));
    this.lock = el("div", { class: "lock" }, this.day, this.clocks[1], this.shade, this.list, this.quiet, dock);
    this.backButton = el("button", { class: "back", type: "button", text: back, on: { click: () => this.back() } });
    this.appBody = el("div", { class: "app-body", tabindex: "0", role: "region" });
    this.app = el("div", { class: "app" }, el("div", { class: "app-bar" }, this.backButton), this.appBody);
    this.address = kind === "browser" && el("span", { class: "address" });
    const inBar = this.address ? [el("span", { class: "window-buttons" }), this.address] : [this.clocks[0], el("span", { class: "battery" })];
    const bar = el("div", { class: "bar", "aria-hidden": "true" }, ...inBar);
    this.headsUp = el("div", { class: "heads-up" });
    const screen = el("div", { class: "screen" }, bar, this.lock, this.app, this.headsUp, el("span", { class: "home" }));
    this.owner = el("p", { class: "whose-owner", dir: "auto" });
    this.device = el("p", { class: "whose-device", dir: "auto" });
    this.bundle = el("p", { class: "whose-app" });
    this.network = el("button", { class: "network", type: "button", on: { click: () => this.switchNetwork() } });
    const whose = el("div", { class: "whose" }, this.owner, this.device, this.bundle, this.network);
    this.node = el("li", { class: "phone", "data-kind": kind }, el("div", { class: "case" }, screen), whose);
  }

  /** Show what the server says; `reason` is what changed it. */
  update(phone, reason) {
    this.phone = phone;
    this.owner.textContent = phone.owner || phone.name;
    this.owner.title = phone.email;
    this.device.textContent = [phone.owner ? phone.name : "", phone.model].filter(Boolean).join(", ");
    this.bundle.textContent = phone.topic;
    this.bundle.title = `Address ${phone.token}`;
    this.node.classList.toggle("away", phone.away);
    this.network.textContent = phone.away ? `Offline, ${phone.waiting} waiting` : "Online";
    this.network.setAttribute("aria-label", phone.away ? `Go online; ${phone.waiting} waiting` : "Go offline");
    if (this.address) this.address.textContent = phone.opened?.app.navigate ?? phone.topic;
    this.node.setAttribute("aria-label", [phone.owner, phone.name].filter(Boolean).join(", "));
    const fresh = this.updateBanners(phone.banners, reason === "first");
    this.updateCounts(phone);
    this.updateApp(phone.opened);
    this.updateHeadsUp(phone, fresh && reason !== "first");
    if (fresh && reason !== "first") this.ring();
  }

  /** While the app is open a new banner drops in over it, for a while. */
  updateHeadsUp(phone, fresh) {
    const gone = !phone.opened || phone.banners[0]?.id !== this.headsUpId;
    if (fresh && phone.opened) {
      const [newest] = phone.banners;
      this.headsUpId = newest.id;
      this.headsUp.replaceChildren(this.drawBanner(newest).open);
      clearTimeout(this.headsUpEnd);
      this.headsUpEnd = setTimeout(() => this.headsUp.replaceChildren(), HEADS_UP_MS);
    } else if (gone) {
      this.headsUp.replaceChildren();
    }
  }

  updateCounts(phone) {
    const many = phone.banners.length;
    this.count.textContent = many === 1 ? "1 notification" : `${many} notifications`;
    this.shade.hidden = this.list.hidden = many === 0;
    this.quiet.hidden = many > 0;
    this.badge.hidden = !phone.badge;
    this.badge.textContent = phone.badge > 999 ? "999+" : phone.badge;
  }

  updateBanners(banners, first) {
    const wanted = new Set(banners.map((banner) => banner.id));
    for (const [id, view] of this.banners) if (!wanted.has(id)) this.removeBanner(id, view);
    let place = this.list.firstElementChild;
    let fresh = false;
    for (const banner of banners) {
      const known = this.banners.get(banner.id);
      if (known && known.at === banner.at) {
        while (place && place.classList.contains("leaving")) place = place.nextElementSibling;
        if (place === known.node) place = place.nextElementSibling;
        else this.list.insertBefore(known.node, place);
        continue;
      }
      if (known) known.node.remove();
      if (known && place === known.node) place = this.list.firstElementChild;
      this.list.insertBefore(this.makeBanner(banner, !first), place);
      fresh = true;
    }
    if (fresh && !first) this.list.scrollTop = 0;
    return fresh;
  }

  drawBanner(banner) {
    const when = el("span", { class: "banner-when", text: ago(banner.at, this.serverNow()) });
    const title = el("span", { class: "banner-title", dir: "auto", text: banner.title || appName(this.phone.topic) });
    const line = (name, text) => text && el("span", { class: name, dir: "auto", text });
    const lines = [line("banner-subtitle", banner.subtitle), line("banner-body", banner.text)];
    // An iPhone shows whose it is by the icon alone; Android and browsers write it as well.
    const from = this.phone.provider !== "apns" && el("span", { class: "banner-from", text: appName(this.phone.topic) });
    const text = el("span", { class: "banner-text" }, from, el("span", { class: "banner-head" }, title, when), ...lines);
    const open = el("button", { class: "banner-open", type: "button", on: { click: () => this.tap(banner.id) } }, icon(), text);
    return { open, when };
  }

  makeBanner(banner, arriving) {
    const { open, when } = this.drawBanner(banner);
    const label = `Dismiss: ${banner.title || banner.text}`;
    const dismiss = { class: "banner-dismiss", type: "button", "aria-label": label, text: "×", on: { click: () => this.dismiss(banner.id) } };
    const node = el("li", { class: arriving ? "banner arriving" : "banner" }, open, el("button", dismiss));
    this.banners.set(banner.id, { node, when, at: banner.at });
    return node;
  }

  removeBanner(id, view) {
    this.banners.delete(id);
    if (view.node.contains(document.activeElement)) this.focusBeside(view.node);
    view.node.classList.add("leaving");
    setTimeout(() => view.node.remove(), LEAVE_MS);
  }

  focusBeside(node) {
    const beside = node.nextElementSibling ?? node.previousElementSibling;
    beside?.querySelector(".banner-open")?.focus();
  }

  updateApp(opened) {
    const was = this.node.classList.contains("in-app");
    this.node.classList.toggle("in-app", Boolean(opened));
    this.lock.inert = Boolean(opened);
    this.app.inert = !opened;
    if (opened && this.shown !== opened.id) {
      this.appBody.replaceChildren(...describeOpened(opened));
      this.appBody.setAttribute("aria-label", `${nameOf(opened.app)} on ${this.phone.name}`);
      this.appBody.scrollTop = 0;
    }
    this.shown = opened?.id;
    if (opened && this.acted && (!was || !this.node.contains(document.activeElement))) this.backButton.focus();
    this.acted = false;
  }

  ring() {
    this.node.classList.remove("ringing");
    void this.node.offsetWidth; // so that a second push within the same ring starts it anew
    this.node.classList.add("ringing");
    clearTimeout(this.ringEnd);
    this.ringEnd = setTimeout(() => this.node.classList.remove("ringing"), RING_MS);
  }

  /** Show the time and the ages of the banners. */
  tick() {
    const now = new Date();
    const time = now.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" }).replace(/\s?[AP]M$/i, "");
    for (const clock of this.clocks) if (clock.textContent !== time) clock.textContent = time;
    this.day.textContent = now.toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long" });
    for (const view of this.banners.values()) view.when.textContent = ago(view.at, this.serverNow());
  }

  tap(id) {
    this.acted = true;
    return this.act(this.token, "tap", { id });
  }

  dismiss(id) {
    return this.act(this.token, "dismiss", { id });
  }

  switchNetwork() {
    return this.act(this.token, this.phone.away ? "online" : "offline", {});
  }

  async back() {
    await this.act(this.token, "back", {});
    (this.list.querySelector(".banner-open") ?? this.clear).focus();
  }
}

function nameOf(app) {
  return app.jigId || app.screen || "Home";
}

function describeOpened(opened) {
  const app = opened.app;
  const from = el("div", { class: "app-from" }, ...[opened.title, opened.subtitle, opened.text].filter(Boolean)
    .map((text) => el("p", { dir: "auto", text })));
  const ids = [["notification", app.notificationId], ["solution", app.solutionId], ["organization", app.organizationId], ["link", app.navigate]];
  const lines = ids.filter(([, id]) => id).map(([name, id]) => el("p", { text: `${name} ${id}` }));
  return [
    el("p", { class: "app-kind", text: app.jigId ? app.screen || "jig" : "screen" }),
    el("h3", { dir: "auto", text: nameOf(app) }),
    from,
    describeInputs(app),
    lines.length > 0 && el("div", { class: "app-ids" }, ...lines),
  ].filter(Boolean);
}

function describeInputs(app) {
  if (app.inputsOmitted) {
    return el("p", { class: "app-note", text: "The inputs were too large for the push. The app fetches them from the inbox." });
  }
  const inputs = Object.entries(app.inputs ?? {});
  if (inputs.length === 0) return el("p", { class: "app-note", text: "Opened without inputs." });
  return el("dl", {}, ...inputs.map(([name, value]) => describeInput(name, value)));
}

function describeInput(name, value) {
  const type = typeOf(value);
  const nested = type === "list" || type === "object";
  const shown = nested ? el("pre", { text: JSON.stringify(value, null, 2) }) : value === "" ? "(empty)" : String(value);
  const label = el("dt", {}, el("span", { class: "input-name", dir: "auto", text: name }), el("span", { class: "input-type", text: type }));
  return el("div", { class: "input" }, label, el("dd", { dir: "auto", "data-type": type }, shown));
}

// Whose a notification is: a site's host, or an app's name, here the last part of its bundle id or package.
function appName(topic) {
  if (topic.includes("://")) return topic.split("://")[1];
  const last = topic.split(".").at(-1);
  return last.charAt(0).toUpperCase() + last.slice(1);
}
