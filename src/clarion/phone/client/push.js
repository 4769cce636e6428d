// Registering this browser for Web Push, and keeping the registration true. `clarion.js` owns it; what a push
// says is the service worker's business.

import * as device from "./device.js";
import { databaseName } from "./store.js";

const REFRESH_MS = 86_400_000;

/** Why a push cannot reach this browser, or null: pure, from what the browser says about itself. */
export function findObstacle(facts) {
  if (!facts.isSecure) return "insecure";
  if (!facts.hasPush && facts.isApplePhone && !facts.isInstalled) return "needs-install";
  if (!facts.hasPush) return "unsupported";
  if (facts.permission === "denied") return "denied";
  return null;
}

export class Push {
  #api;
  #options;
  #now;

  /** `options`: {baseUrl, organizationId, userId, serviceWorker: {url, scope}}. */
  constructor({ api, options, now }) {
    this.#api = api;
    this.#options = options;
    this.#now = now;
  }

  /** "on", "off", or the reason why it cannot be: nothing is asked of the person. */
  async state() {
    const obstacle = findObstacle(browserFacts());
    if (obstacle) return obstacle;
    const known = await this.#known();
    const subscription = known && (await (await this.registration())?.pushManager.getSubscription());
    return subscription && Notification.permission === "granted" ? "on" : "off";
  }

  /** Ask for permission, subscribe, and tell the service. Call it from a click. */
  async register({ channelId, name, appVersion, fallbackTitle } = {}) {
    const obstacle = findObstacle(browserFacts());
    if (obstacle) return no(obstacle);
    if (Notification.permission !== "granted") {
      if (navigator.userActivation?.isActive === false) return no("needs-gesture");
      const permission = await Notification.requestPermission();
      if (permission !== "granted") return no(permission === "denied" ? "denied" : "dismissed");
    }
    return this.#subscribeAndTell({ channelId, name, appVersion, fallbackTitle });
  }

  /**
   * At the beginning of a page: tell the service when the subscription, the key or the permission changed.
   */
  async refresh() {
    const known = await this.#known();
    if (!known) return;
    if (Notification.permission === "granted") await this.#subscribeAndTell(known.asked, known);
    else await this.unregister();
  }

  /** End the subscription here and at the service. Works offline; the service is told later. */
  async unregister() {
    const known = await this.#known();
    const registration = await this.registration();
    await (await registration?.pushManager?.getSubscription())?.unsubscribe().catch(() => false);
    if (known) await device.dismissDevice(known);
    await this.send();
  }

  /** The person's devices; `isThis` marks this browser. */
  async devices() {
    const [{ items }, known] = await Promise.all([this.#api.request("GET", "devices"), this.#known()]);
    return items.map((device) => ({ ...device, isThis: device.deviceId === known?.deviceId }));
  }

  /** End the pushes to another device; this one is unregistered instead. */
  async removeDevice(deviceId) {
    if ((await this.#known())?.deviceId === deviceId) await this.unregister();
    else await this.#api.request("DELETE", `devices/${encodeURIComponent(deviceId)}`);
  }

  /** Note that the person opened a notification. */
  async noteOpened(notificationId) {
    if (!(await this.#known())) return;
    await device.addReceipt(notificationId, "opened");
    await this.send();
  }

  /** Let the service worker send what is to be told. */
  async send() {
    (await this.registration())?.active?.postMessage({ type: "clarion.send" });
  }

  /** Take away the banners of these notifications; of all when none are named. */
  async closeBanners(ids = null) {
    const banners = (await (await this.registration())?.getNotifications?.()) ?? [];
    for (const banner of banners) {
      const id = banner.data?.clarion?.notificationId;
      if (id && (!ids || ids.includes(id))) banner.close();
    }
  }

  /** The service worker's registration; undefined when there is none. */
  async registration() {
    return navigator.serviceWorker?.getRegistration(this.#options.serviceWorker.scope);
  }

  /** The device, if it is this member's. */
  async #known() {
    const known = await device.readDevice();
    const { organizationId, userId } = this.#options;
    return known?.organizationId === organizationId && known.userId === userId ? known : null;
  }

  async #subscribeAndTell(asked, known = null) {
    const channel = await this.#findChannel(asked.channelId);
    if (!channel) return no("no-channel");
    let subscription;
    try {
      const registration = await this.#registerWorker();
      subscription = await subscribe(registration.pushManager, channel.applicationServerKey, known);
    } catch (error) {
      return no(error.name === "NotAllowedError" ? "denied" : "push-service", error);
    }
    const address = subscription.toJSON();
    if (known && !this.#isDue(known, channel, address)) return yes(known.deviceId);
    const registered = await this.#tell(asked, channel, address);
    await device.keepDevice(registered);
    await this.send();
    return yes(registered.deviceId);
  }

  #isDue(known, channel, address) {
    const isSame =
      JSON.stringify(known.address) === JSON.stringify(address) && known.channelId === channel.channelId;
    return !isSame || this.#now() - known.registeredAt > REFRESH_MS;
  }

  async #findChannel(channelId) {
    const { items } = await this.#api.request("GET", "channels");
    const fitting = items.filter(
      ({ provider, applicationServerKey }) => provider === "webpush" && applicationServerKey,
    );
    if (channelId) return fitting.find((channel) => channel.channelId === channelId);
    return fitting.find((channel) => !channel.solutionId) ?? fitting[0];
  }

  async #registerWorker() {
    const { url, scope } = this.#options.serviceWorker;
    const registration = await navigator.serviceWorker.register(url, { scope, updateViaCache: "none" });
    const worker = registration.active ?? registration.waiting ?? registration.installing;
    await isActive(worker);
    return registration;
  }

  async #tell(asked, channel, address) {
    const { organizationId, userId } = this.#options;
    const body = {
      channelId: channel.channelId,
      installationId: await device.installationId(),
      address,
      platform: "web",
      language: navigator.language,
      timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    };
    if (asked.name) body.name = asked.name;
    if (asked.appVersion) body.appVersion = asked.appVersion;
    const { deviceId, deviceToken } = await this.#api.request("POST", "devices", { body });
    return {
      organizationId,
      userId,
      deviceId,
      deviceToken,
      url: `${this.#api.organization}/devices/${encodeURIComponent(deviceId)}`,
      channelId: channel.channelId,
      applicationServerKey: channel.applicationServerKey,
      address,
      asked,
      inbox: databaseName(organizationId, userId),
      registeredAt: this.#now(),
    };
  }
}

/** The subscription for this key; one that was made for another key ends. */
async function subscribe(pushManager, applicationServerKey, known) {
  const existing = await pushManager.getSubscription();
  if (existing) {
    const key = existing.options?.applicationServerKey;
    const isOurs = key
      ? encodeKey(key) === applicationServerKey
      : known?.applicationServerKey === applicationServerKey;
    if (isOurs) return existing;
    await existing.unsubscribe();
  }
  const key = decodeKey(applicationServerKey);
  return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
}

function isActive(worker) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve();
      else if (worker.state === "redundant") reject(new Error("the service worker could not be installed"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

/** Base64url without padding, as the service spells keys. */
export function encodeKey(octets) {
  const text = btoa(String.fromCharCode(...new Uint8Array(octets)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export function decodeKey(text) {
  const octets = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(octets, (octet) => octet.charCodeAt(0));
}

function browserFacts() {
  const isTouchMac = navigator.platform === "MacIntel" && navigator.maxTouchPoints > 1;
  const hasNotification = "Notification" in globalThis;
  return {
    isSecure: globalThis.isSecureContext,
    hasPush: "serviceWorker" in navigator && "PushManager" in globalThis && hasNotification,
    isApplePhone: /iPad|iPhone|iPod/.test(navigator.userAgent) || isTouchMac,
    isInstalled: navigator.standalone === true || matchMedia("(display-mode: standalone)").matches,
    permission: hasNotification ? Notification.permission : "default",
  };
}

function yes(deviceId) {
  return { ok: true, deviceId };
}

function no(reason, cause) {
  return { ok: false, reason, cause };
}
