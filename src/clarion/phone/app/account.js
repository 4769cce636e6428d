// Who is signed in on this device. The tokens are kept in localStorage; what may read that is this origin's
// scripts alone, and the Content-Security-Policy lets no others in.

const KEY = "clarion.account";
const RENEW_BEFORE_MS = 90_000;

/** Where the API is, as the page says. */
export function baseUrl() {
  return new URL(document.querySelector("meta[name=clarion-base-url]").content, document.baseURI).href;
}

/** The account of this device, or null. */
export function readAccount() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

export function keepAccount(account) {
  localStorage.setItem(KEY, JSON.stringify(account));
}

export function forgetAccount() {
  localStorage.removeItem(KEY);
}

/** The account of a sign-in link, or null: …#session=…&organization=…&user=…[&refresh=…&name=…]. */
export function readLink(text) {
  const fragment = new URLSearchParams(text.slice(text.indexOf("#") + 1));
  const account = {
    organizationId: fragment.get("organization"),
    userId: fragment.get("user"),
    token: fragment.get("session"),
    refreshToken: fragment.get("refresh"),
    name: fragment.get("name"),
  };
  return account.organizationId && account.userId && account.token ? account : null;
}

/**
 * A token that is good, for the `session` of `Clarion`: the one we have or, when it is `stale` or about to end, a
 * new one. Null when there is none to be had. One tab renews for all.
 */
export function currentToken({ stale }) {
  return navigator.locks ? navigator.locks.request(KEY, () => tokenNow(stale)) : tokenNow(stale);
}

async function tokenNow(stale) {
  const account = readAccount();
  const isEnding = account?.expiresAt && new Date(account.expiresAt) - Date.now() < RENEW_BEFORE_MS;
  if (!account || (account.token !== stale && !isEnding)) return account && asSession(account);
  if (!account.refreshToken) return null;
  const renewed = await renew(account);
  if (!renewed) return null;
  keepAccount({ ...account, ...renewed });
  return asSession(renewed);
}

function asSession({ token, expiresAt }) {
  return expiresAt ? { token, expiresAt } : token;
}

/** Throws when the service cannot be reached; null when it refuses. */
async function renew({ organizationId, refreshToken }) {
  const url = `${baseUrl()}/tool/organizations/${encodeURIComponent(organizationId)}/sessions/refresh`;
  const body = JSON.stringify({ refreshToken });
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body, credentials: "omit", cache: "no-store" });
  if (response.status >= 500 || response.status === 429) throw new Error("the session cannot be renewed now");
  if (!response.ok) return null;
  const { token, refreshToken: next, expiresAt } = await response.json();
  return { token, refreshToken: next, expiresAt };
}
