// The app: who is signed in, which screen is open, and what the inbox tells. Each screen has a file of its own; all
// that talks to the service is clarion.js.

import { baseUrl, currentToken, forgetAccount, keepAccount, readAccount, readLink } from "./account.js";
import { Actions } from "./actions.js";
import { Clarion } from "./client/clarion.js";
import { find } from "./dom.js";
import { icon } from "./icons.js";
import { InboxView } from "./inbox-view.js";
import { listenToKeys } from "./keys.js";
import { forgetPreferences, prefer, preferences } from "./preferences.js";
import { showPushCard } from "./push-card.js";
import { Reader } from "./reader.js";
import { Router } from "./router.js";
import { SettingsView } from "./settings-view.js";
import { askForAccount } from "./sign-in.js";
import { Strip } from "./strip.js";
import { toast } from "./toasts.js";

const WORKER = { url: new URL("service-worker.js", import.meta.url), scope: new URL("./", import.meta.url).href };
const DRAWINGS = { refresh: "refresh", "mark-all": "checks", "open-settings": "gear", pull: "refresh" };
const install = { prompt: null };

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault(); // the settings offer it
  install.prompt = event;
});
for (const [id, drawing] of Object.entries(DRAWINGS)) find(id).append(icon(drawing));
navigator.serviceWorker?.register(WORKER.url, { scope: WORKER.scope }).catch(() => {}); // without it: only online
begin();

/** Signed in by a link, from an earlier visit, or by hand. */
async function begin(notice) {
  const linked = readLink(location.hash);
  if (linked) {
    history.replaceState(null, "", `${location.pathname}${location.search}`);
    await enter(linked);
  } else if (readAccount()?.token) run(readAccount());
  else await enter(await askForAccount(notice));
}

/** Another person's things leave this device first. */
async function enter(account) {
  const former = readAccount();
  const isOther = former && (former.userId !== account.userId || former.organizationId !== account.organizationId);
  if (isOther) await makeClarion(former).signOut().catch(() => {});
  if (isOther) forgetPreferences();
  keepAccount(account);
  run(account);
}

function makeClarion({ organizationId, userId }) {
  return new Clarion({ baseUrl: baseUrl(), organizationId, userId, session: currentToken, serviceWorker: WORKER });
}

function run(account) {
  const clarion = makeClarion(account);
  const ending = new AbortController();
  const actions = new Actions(clarion, { gone: (id) => leave(id) });
  const router = new Router((route) => show(route));
  const inbox = new InboxView({ clarion, actions, open: (id) => router.openNotification(id) });
  const back = () => router.back();
  const reader = new Reader({ clarion, actions, back });
  const settings = new SettingsView({ clarion, account, install, back, signOut: () => signOut() });
  const strip = new Strip({ clarion, signInAgain: () => endSession() });
  let last = null;

  function show(route) {
    const former = last;
    last = route;
    document.body.dataset.view = route.view;
    find("reader").setAttribute("aria-label", route.view === "settings" ? "Settings" : "Notification");
    inbox.noteOpen(route.id);
    if (route.view === "settings") settings.show();
    else if (route.id) prefer({ opened: preferences().opened + 1 });
    if (route.view === "inbox") {
      reader.clear();
      if (former?.id) inbox.focusEntry(former.id);
      else if (former) find("open-settings").focus();
      showPushCard(clarion);
    }
    const shown = route.id ? reader.show(route.id) : Promise.resolve();
    if (route.view !== "inbox") shown.then(() => find("reader-title")?.focus());
  }

  /** An entry leaves the inbox or comes back: when it is open, the list is next. */
  function leave(id) {
    if (router.route.id === id) router.back();
    else inbox.leave(id);
  }

  async function signOut() {
    find("sign-out").disabled = true;
    await clarion.signOut();
  }

  /** What is on this device stays until we know whether the same person comes back. */
  function endSession() {
    keepAccount({ ...account, token: null, refreshToken: null });
    end("Your session has ended. Please sign in again.");
  }

  function end(notice) {
    ending.abort();
    unsubscribe();
    clarion.stop();
    for (const part of [inbox, router, strip]) part.stop();
    find("app").hidden = true;
    find("reader").replaceChildren();
    history.replaceState(null, "", location.pathname);
    begin(notice);
  }

  function noteUnread({ unread }) {
    document.title = unread ? `(${unread}) Clarion` : "Clarion";
    find("unread-count").hidden = !unread;
    find("unread-count").textContent = unread > 99 ? "99+" : unread;
    find("mark-all").disabled = !unread;
    inbox.draw();
    reader.refresh();
  }

  /** An address may name a notification of another organization; clarion.js has taken away what it opened. */
  function refuseForeignLink() {
    if (!new URLSearchParams(location.search).has("notificationId")) return;
    history.replaceState(history.state, "", `${location.pathname}${location.hash}`);
    const text = "Its notification belongs to another organization.";
    toast({ title: "That link is not for you", text, kind: "fault" });
  }

  function noteArrived(entries) {
    inbox.noteArrived(entries);
    if (document.hidden) return;
    const [{ notificationId, content }] = entries;
    const open = { label: "Open", run: () => router.openNotification(notificationId) };
    if (entries.length > 1) toast({ title: `${entries.length} new notifications` });
    else toast({ title: content.title, text: content.text, action: open });
  }

  const { signal } = ending;
  find("app").hidden = false;
  prefer({ visits: preferences().visits + 1 });
  listenToKeys({ inbox, reader, actions, router }, signal);
  const unsubscribe = clarion.subscribe(noteUnread);
  clarion.addEventListener("arrived", (event) => noteArrived(event.detail.entries), { signal });
  clarion.addEventListener("signedout", () => {
    forgetAccount();
    forgetPreferences();
    end("You are signed out.");
  }, { signal });
  clarion.onOpen((opening) => {
    reader.noteOpening(opening);
    router.openNotification(opening.notificationId);
  });
  router.start();
  clarion.start();
  refuseForeignLink();
  inbox.refresh().then((error) => error?.status === 401 && strip.refuse());
}
