// The app's service worker: the library's, which shows pushes and opens what is tapped, and beside it a copy of the
// app's own files, so that the app opens without a network. The network is asked first: a new version is there at
// the next load.

importScripts("client/service-worker.js");

const CACHE = "clarion-app";
const PATIENCE_MS = 3000;
const FILES = [
  "./", "account.js", "actions.js", "app.css", "app.js", "buttons.js", "dialogs.js", "dom.js", "fields.js",
  "icons.js", "inbox-view.js", "inbox.css", "jigs.js", "keys.js", "manifest.webmanifest", "preferences.js",
  "push-card.js", "push-words.js", "reader.css", "reader.js", "router.js", "row.js", "settings-view.js",
  "sign-in.css", "sign-in.js", "strip.js", "swipe.js", "times.js", "toasts.js", "values.js", "icons/icon.svg",
  "jigs/approve-request.json", "jigs/index.json", "jigs/order-status.json", "jigs/view-promotion-details.json",
  "client/api.js", "client/changes.js", "client/clarion.js", "client/device.js", "client/events.js",
  "client/inbox.js", "client/live.js", "client/opening.js", "client/push.js", "client/store.js",
  "client/tabs.js",
];

self.addEventListener("install", (event) => event.waitUntil(keepAll().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method !== "GET" || !url.startsWith(self.registration.scope)) return; // the API is nobody's business here
  event.respondWith(answer(event.request, url.split("?")[0]));
});

async function keepAll() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
}

/** From the network, and kept; from what was kept when the network is slow or gone. */
async function answer(request, key) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(key);
  const fresh = fetch(request).then((response) => {
    if (response.ok) cache.put(key, response.clone());
    return response;
  });
  if (!kept) return fresh;
  fresh.catch(() => {});
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, kept));
  return Promise.race([fresh.catch(() => kept), late]);
}
