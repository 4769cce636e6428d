// The settings: banners on this device, the person's devices, the keyboard, signing out.

import { backButton, plainButton, switchRow } from "./buttons.js";
import { confirm } from "./dialogs.js";
import { el, find } from "./dom.js";
import { icon } from "./icons.js";
import { prefer, preferences } from "./preferences.js";
import { hidePushCard, turnOn } from "./push-card.js";
import { stateInWords } from "./push-words.js";
import { dayOf } from "./times.js";
import { toast } from "./toasts.js";

const PROVIDERS = { apns: "iOS app", fcm: "Android app", webpush: "browser" };

export class SettingsView {
  #clarion;
  #account;
  #install;
  #back;
  #signOut;

  /** `install`: {prompt} when the browser offers to install the app. */
  constructor({ clarion, account, install, back, signOut }) {
    this.#clarion = clarion;
    this.#account = account;
    this.#install = install;
    this.#back = back;
    this.#signOut = signOut;
  }

  show() {
    find("reader").replaceChildren(
      el("header", { class: "bar" },
        backButton(this.#back),
        el("h2", { id: "reader-title", tabindex: "-1", text: "Settings" })),
      el("div", { class: "reader-scroller settings", id: "settings" },
        this.#drawAccount(), this.#drawBanners(), this.#drawDevices(), this.#drawApp()));
    this.#refreshBanners();
    this.#refreshDevices();
  }

  // ── Banners ────────────────────────────────────────────────────────────────────────────────────────────

  #drawBanners() {
    const press = () => this.#togglePush();
    return group("Banners",
      switchRow({ id: "push-toggle", label: "Banners on this device", says: "push-says", press }),
      el("p", { class: "soft", id: "push-says", text: "Looking…" }));
  }

  async #refreshBanners() {
    const state = await this.#clarion.pushState().catch(() => "unsupported");
    const toggle = find("push-toggle");
    if (!toggle) return;
    toggle.setAttribute("aria-checked", String(state === "on"));
    toggle.disabled = state !== "on" && state !== "off";
    toggle.dataset.state = state;
    find("push-says").textContent = stateInWords(state);
  }

  async #togglePush() {
    const toggle = find("push-toggle");
    toggle.disabled = true;
    prefer({ pushAsked: true });
    hidePushCard();
    if (toggle.getAttribute("aria-checked") === "true") await this.#clarion.unregisterPush();
    else await turnOn(this.#clarion);
    await this.#refreshBanners();
    await this.#refreshDevices();
  }

  // ── Devices ────────────────────────────────────────────────────────────────────────────────────────────

  #drawDevices() {
    const list = el("ul", { class: "devices", id: "devices", "aria-live": "polite" }, note("Looking…"));
    return group("Your devices", list);
  }

  async #refreshDevices() {
    const devices = await this.#clarion.devices().catch(() => null);
    const place = find("devices");
    if (!place) return;
    if (!devices) place.replaceChildren(note("The list cannot be loaded now."));
    else if (!devices.length) place.replaceChildren(note("No device gets banners yet."));
    else place.replaceChildren(...devices.map((device) => this.#drawDevice(device)));
  }

  #drawDevice(device) {
    const { deviceId, provider, registeredAt, isThis } = device;
    const name = device.name || "A device without a name";
    const about = `${PROVIDERS[provider] ?? provider}, since ${dayOf(Date.parse(registeredAt))}`;
    return el("li", { class: "device", "data-id": deviceId, "data-this": isThis },
      icon("phone"),
      el("div", { class: "device-words" },
        el("p", {},
          el("span", { text: name }),
          isThis ? el("span", { class: "chip", text: "this device" }) : null),
        el("p", { class: "soft", text: about })),
      plainButton({ label: "Remove", name: `Remove ${name}`, run: () => this.#remove(device, name) }));
  }

  async #remove({ deviceId }, name) {
    const text = "It gets no banners any more. Nothing else changes on it.";
    if (!(await confirm({ title: `Remove ${name}?`, text, yes: "Remove" }))) return;
    try {
      await this.#clarion.removeDevice(deviceId);
      toast({ text: `${name} was removed` });
    } catch (error) {
      toast({ title: "It could not be removed", text: error.message, kind: "fault" });
    }
    await this.#refreshBanners();
    await this.#refreshDevices();
  }

  // ── The app and the person ─────────────────────────────────────────────────────────────────────────────

  #drawApp() {
    const press = () => {
      const shortcuts = !preferences().shortcuts;
      prefer({ shortcuts });
      find("shortcuts-toggle").setAttribute("aria-checked", String(shortcuts));
    };
    const isOn = preferences().shortcuts;
    const toggle = switchRow({ id: "shortcuts-toggle", label: "Keyboard shortcuts", isOn, press });
    const offer = this.#install.prompt;
    const install = offer && plainButton({ id: "install", label: "Install the app", run: () => offer.prompt() });
    const help = el("p", { class: "soft" }, "Press ", el("kbd", { text: "?" }), " to see them.");
    return group("This app", toggle, help, install);
  }

  #drawAccount() {
    const { name, userId, organizationId } = this.#account;
    return group("You",
      el("dl", { class: "facts" },
        ...(name ? [el("dt", { text: "Name" }), el("dd", { dir: "auto", text: name })] : []),
        el("dt", { text: "User" }), el("dd", {}, el("code", { text: userId })),
        el("dt", { text: "Organization" }), el("dd", {}, el("code", { text: organizationId }))),
      plainButton({ id: "sign-out", label: "Sign out", look: "danger", run: () => this.#signOut() }),
      el("p", { class: "soft", text: "Nothing of yours stays on this device, and its banners end." }));
  }
}

function group(title, ...children) {
  return el("section", { class: "group" }, el("h3", { text: title }), ...children);
}

const note = (text) => el("li", { class: "soft", text });
