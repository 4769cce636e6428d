// The service worker: shows pushes, opens what is tapped, and tells the service about it. It lives longer
// than any session, so all it has is the device's token, in the database `clarion-push` that `device.js`
// describes.
//
// A classic script without imports, so that every browser runs it, and an app can take it into its own
// service worker with importScripts(). Whatever happens, a push ends with a banner: browsers end
// subscriptions otherwise.

(() => {
  const MOST_LETTERS = 500;
  const MOST_RECEIPTS = 100; // in one request
  const MOST_AGE_MS = 7 * 86_400_000;
  const ANSWER_MS = 300;
  const STALE_MS = 1000;

  self.addEventListener("push", (event) => event.waitUntil(receive(event.data)));
  self.addEventListener("notificationclick", (event) => event.waitUntil(open(event.notification)));
  self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(changeAddress(event)));
  self.addEventListener("sync", (event) => event.tag === "clarion-letters" && event.waitUntil(sendLetters()));
  self.addEventListener(
    "message",
    (event) => event.data?.type === "clarion.send" && event.waitUntil(sendLetters()),
  );

  // ── A push ───────────────────────────────────────────────────────────────────────────────────────────────

  async function receive(data) {
    const message = readMessage(data);
    const id = message.clarion.notificationId;
    // Before the new banner: Chromium forgets one that is not yet on the screen when it is asked for the others.
    await Promise.race([closeStale(id).catch(() => {}), pause(STALE_MS)]);
    await show(message);
    await Promise.allSettled([
      showBadge(message.badge),
      tellPages({ type: "clarion.pushed", notificationId: id ?? null }),
      id ? leave({ kind: "receipt", notificationId: id, event: "displayed" }).then(sendLetters) : null,
    ]);
  }

  /** What the push says, as far as it can be read. Never throws. */
  function readMessage(data) {
    let told;
    try {
      told = data.json();
    } catch {
      told = null; // no data, or no JSON
    }
    const said = objectOr(told?.notification);
    return {
      title: textOr(said.title),
      body: textOr(said.body),
      tag: textOr(said.tag),
      icon: textOr(said.icon),
      lang: textOr(said.lang),
      silent: said.silent === true ? true : undefined,
      navigate: textOr(said.navigate),
      data: objectOr(said.data),
      badge: told?.app_badge,
      clarion: objectOr(told?.clarion),
    };
  }

  async function show({ title, body, tag, icon, lang, silent, navigate, data, clarion }) {
    const shown = title ?? (await fallbackTitle());
    const options = { data: { ...data, navigate, clarion } };
    for (const [name, value] of Object.entries({ body, tag, icon, lang, silent })) {
      if (value !== undefined) options[name] = value;
    }
    if (tag) options.renotify = !silent; // a newer one with the same tag is news
    try {
      await self.registration.showNotification(shown, options);
    } catch {
      await self.registration.showNotification(shown, { body, data: options.data }); // the simplest one
    }
  }

  async function fallbackTitle() {
    const device = await readDevice().catch(() => null);
    return device?.asked?.fallbackTitle ?? "New notification";
  }

  async function showBadge(badge) {
    const number = typeof badge === "string" && /^\d+$/.test(badge) ? Number(badge) : badge;
    if (!Number.isSafeInteger(number) || !navigator.setAppBadge) return;
    await (number > 0 ? navigator.setAppBadge(number) : navigator.clearAppBadge());
  }

  /** Take away banners of what was read or dismissed elsewhere, as far as the inbox on this device knows. */
  async function closeStale(id) {
    const banners = await self.registration.getNotifications();
    const states = await readStates(banners.map(idOf).filter((other) => other && other !== id));
    for (const banner of banners) {
      if (["READ", "DISMISSED"].includes(states.get(idOf(banner)))) banner.close();
    }
  }

  function idOf(banner) {
    return banner.data?.clarion?.notificationId;
  }

  // ── A tap ────────────────────────────────────────────────────────────────────────────────────────────────

  async function open(banner) {
    banner.close();
    const { clarion = {}, navigate } = banner.data ?? {};
    const id = clarion.notificationId;
    const opened = id && clarion.organizationId ? await openInPage(clarion) : false;
    if (!opened) await self.clients.openWindow(safeAddress(navigate)).catch(() => null);
    if (id) await leave({ kind: "receipt", notificationId: id, event: "opened" }).then(sendLetters, () => {});
  }

  /** Whether a page that is open took it. A page without Clarion does not answer when it is asked. */
  async function openInPage(clarion) {
    const { notificationId, organizationId, screen, jigId, inputs, inputsOmitted } = clarion;
    const pages = await openPages();
    const answers = await Promise.all(pages.map((page) => ask(page, organizationId)));
    const page = pages[answers.indexOf(true)];
    if (!page) return false;
    page.postMessage({
      type: "clarion.opened",
      notificationId,
      organizationId,
      screen,
      jigId,
      inputs,
      inputsOmitted,
    });
    await page.focus().catch(() => null);
    return true;
  }

  /** The pages of the app, the one that is used first. */
  async function openPages() {
    const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    const ours = pages.filter((page) => page.url.startsWith(self.registration.scope));
    const rank = (page) => (page.focused ? 0 : page.visibilityState === "visible" ? 1 : 2);
    return ours.sort((one, other) => rank(one) - rank(other));
  }

  /**
   * Whether a page shows this organization's inbox. Browsers let us open a page only shortly after a click.
   */
  function ask(page, organizationId) {
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      const timer = setTimeout(resolve, ANSWER_MS, false);
      port1.onmessage = () => {
        clearTimeout(timer);
        resolve(true);
      };
      page.postMessage({ type: "clarion.ask", organizationId }, [port2]);
    });
  }

  /** Where a tap may lead: this origin or https. Anything else, and nothing at all: the app's beginning. */
  function safeAddress(navigate) {
    try {
      const url = new URL(navigate, self.registration.scope);
      if (url.origin === self.location.origin || url.protocol === "https:") return url.href;
    } catch {
      // no address
    }
    return self.registration.scope;
  }

  async function tellPages(message) {
    for (const page of await self.clients.matchAll({ type: "window", includeUncontrolled: true })) {
      page.postMessage(message);
    }
  }

  // ── A new subscription ───────────────────────────────────────────────────────────────────────────────────

  async function changeAddress(event) {
    const device = await readDevice();
    if (!device) return;
    const subscription = event.newSubscription ?? (await subscribeAgain(device));
    await leave({ kind: "address", address: subscription.toJSON() });
    await sendLetters();
  }

  async function subscribeAgain(device) {
    const { pushManager } = self.registration;
    const existing = await pushManager.getSubscription();
    if (existing) return existing;
    const octets = atob(device.applicationServerKey.replaceAll("-", "+").replaceAll("_", "/"));
    const applicationServerKey = Uint8Array.from(octets, (octet) => octet.charCodeAt(0));
    return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
  }

  // ── Letters to the service ───────────────────────────────────────────────────────────────────────────────

  /** Keep something to be told; it is sent now or when the network is back. */
  async function leave(letter) {
    await inStore("letters", "readwrite", (letters) => letters.add({ ...letter, at: Date.now() }));
  }

  let sending = Promise.resolve();

  function sendLetters() {
    sending = sending.then(sendAll, sendAll);
    return sending;
  }

  async function sendAll() {
    const device = await readDevice();
    const letters = await readLetters();
    const piles = letters.filter(({ kind }) => kind !== "receipt").map((letter) => [letter]);
    const receipts = letters.filter(({ kind }) => kind === "receipt");
    while (receipts.length) piles.push(receipts.splice(0, MOST_RECEIPTS));
    for (const pile of piles) {
      if (!(await isDone(pile, device))) return sendLater();
      await forgetLetters(pile);
    }
    return undefined;
  }

  /** Whether these need not be sent again: the service took them, or refuses them for good. */
  async function isDone(pile, device) {
    const request = write(pile, device);
    if (!request) return true;
    try {
      const { status } = await fetch(request.url, request);
      return status < 500 && status !== 408 && status !== 429;
    } catch {
      return false;
    }
  }

  /** A pile of letters as a request; null when the device that they tell of is gone. */
  function write(pile, device) {
    const [letter] = pile;
    if (letter.kind === "farewell") return request("DELETE", letter.url, letter.token);
    if (!device) return null;
    if (letter.kind === "address") {
      return request("PUT", `${device.url}/address`, device.deviceToken, { address: letter.address });
    }
    const receipts = pile.map(({ notificationId, event, at }) => {
      return { notificationId, event, at: new Date(at).toISOString() };
    });
    return request("POST", `${device.url}/receipts`, device.deviceToken, { receipts });
  }

  function request(method, url, token, body) {
    const careful = {
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
    };
    const headers = { Authorization: `Bearer ${token}` };
    if (body === undefined) return { url, method, headers, ...careful };
    return {
      url,
      method,
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      ...careful,
    };
  }

  async function sendLater() {
    await self.registration.sync?.register("clarion-letters").catch(() => {});
  }

  // ── The databases ────────────────────────────────────────────────────────────────────────────────────────

  function readDevice() {
    return inStore("kept", "readonly", (kept) => kept.get("device"));
  }

  /** What is to be sent, oldest first; what nobody will want any more is thrown away. */
  async function readLetters() {
    const letters = [];
    await inStore("letters", "readwrite", (store) => {
      const request = store.openCursor();
      request.onsuccess = () => {
        const cursor = request.result;
        if (!cursor) return;
        if (Date.now() - cursor.value.at > MOST_AGE_MS) cursor.delete();
        else letters.push({ ...cursor.value, key: cursor.key });
        cursor.continue();
      };
    });
    const surplus = letters.splice(0, Math.max(0, letters.length - MOST_LETTERS));
    if (surplus.length) await forgetLetters(surplus);
    return letters;
  }

  function forgetLetters(letters) {
    return inStore("letters", "readwrite", (store) => letters.forEach(({ key }) => store.delete(key)));
  }

  async function readStates(ids) {
    const states = new Map();
    const device = await readDevice();
    if (!device || !ids.length) return states;
    await inDatabase(device.inbox, undefined, null, "entries", "readonly", (entries) => {
      for (const id of ids) {
        const request = entries.get(id);
        request.onsuccess = () => states.set(id, request.result?.state);
      }
    });
    return states;
  }

  function inStore(name, mode, work) {
    const create = (database) => {
      database.createObjectStore("kept");
      database.createObjectStore("letters", { autoIncrement: true });
    };
    return inDatabase("clarion-push", 1, create, name, mode, work);
  }

  /** One transaction; without `create`, in a database that is already there. */
  async function inDatabase(databaseName, version, create, name, mode, work) {
    const database = await openDatabase(databaseName, version, create);
    try {
      return await new Promise((resolve, reject) => {
        const transaction = database.transaction(name, mode);
        const request = work(transaction.objectStore(name));
        transaction.oncomplete = () => resolve(request?.result);
        transaction.onabort = () => reject(transaction.error);
      });
    } finally {
      database.close();
    }
  }

  function openDatabase(name, version, create) {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(name, version);
      request.onupgradeneeded = () => (create ? create(request.result) : request.transaction.abort());
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  function pause(milliseconds) {
    return new Promise((resolve) => setTimeout(resolve, milliseconds));
  }

  function textOr(value) {
    return typeof value === "string" && value ? value : undefined;
  }

  function objectOr(value) {
    return value && typeof value === "object" && !Array.isArray(value) ? value : {};
  }
})();
