// Requests to Clarion as one member. Used by all that asks the service; knows nothing of inboxes and pushes.

const RENEW_BEFORE_MS = 60_000;
const PATIENCE_MS = 30_000;

/** Why something could not be done. `code` is the service's stable word, or one of `clarion.d.ts`. */
export class ClarionError extends Error {
  constructor(message, { code, status = 0, details = [], retryAfterMs = 0, cause } = {}) {
    super(message, { cause });
    this.name = "ClarionError";
    this.code = code;
    this.status = status;
    this.details = details;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The service's doors for one member of one organization. */
export class Api {
  #session;
  #fetch;
  #now;
  #token = null;
  #renewal = null;

  constructor({ baseUrl, organizationId, userId, session, fetch, now }) {
    this.organization = `${baseUrl.replace(/\/+$/, "")}/tool/organizations/${encodeURIComponent(organizationId)}`;
    this.member = `${this.organization}/members/${encodeURIComponent(userId)}`;
    this.#session = session;
    this.#fetch = fetch;
    this.#now = now;
  }

  /** The answer's JSON; null when it has none. The path begins below the member. */
  async request(method, path, { body, query, headers = {} } = {}) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), PATIENCE_MS);
    try {
      const options = {
        method,
        headers: { ...headers, Accept: "application/json" },
        signal: controller.signal,
      };
      if (body !== undefined) {
        options.body = JSON.stringify(body);
        options.headers["Content-Type"] = "application/json";
      }
      const response = await this.open(`${path}${queryOf(query)}`, options);
      return response.status === 204 ? null : await response.json();
    } catch (error) {
      throw asClarionError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** An answer whose body is still to be read. A refused token is renewed once. */
  async open(path, options) {
    const token = await this.#currentToken();
    let response = await this.#send(path, options, token);
    if (response.status === 401) {
      await response.body?.cancel();
      this.#forget(token);
      response = await this.#send(path, options, await this.#currentToken(token));
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }

  async #send(path, options, token) {
    const headers = { ...options.headers, Authorization: `Bearer ${token}` };
    const careful = {
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      referrerPolicy: "no-referrer",
    };
    try {
      return await this.#fetch(`${this.member}/${path}`, { ...careful, ...options, headers });
    } catch (error) {
      throw asClarionError(error);
    }
  }

  /** A token that is still good as far as we know; all who ask at once share one renewal. */
  async #currentToken(refused = null) {
    const isOld = this.#token && this.#token.expiresAt - this.#now() < RENEW_BEFORE_MS;
    if (this.#token && !isOld) return this.#token.token;
    this.#renewal ??= this.#renew(refused ?? this.#token?.token ?? null).finally(
      () => (this.#renewal = null),
    );
    return (await this.#renewal).token;
  }

  async #renew(stale) {
    let given;
    try {
      given = await this.#session({ stale });
    } catch (error) {
      throw new ClarionError("The app could not get a session.", { code: "no_session", cause: error });
    }
    const { token, expiresAt } = typeof given === "string" ? { token: given } : (given ?? {});
    if (!token) throw new ClarionError("Nobody is signed in.", { code: "unauthorized", status: 401 });
    const end = expiresAt === undefined ? Infinity : new Date(expiresAt).getTime();
    this.#token = { token, expiresAt: Number.isNaN(end) ? Infinity : end };
    return this.#token;
  }

  #forget(token) {
    if (this.#token?.token === token) this.#token = null;
  }
}

/** Whether trying again later may help. */
export function isPassing(error) {
  const { status = 0, code = "" } = error;
  return status >= 500 || status === 408 || status === 429 || ["unreachable", "no_session"].includes(code);
}

/** Whether the service forgot our watermark or never gave it: then the inbox is listed anew. */
export function isTooOld(error) {
  return error.status === 410 || error.code === "invalid_sync_token";
}

function asClarionError(error) {
  if (error instanceof ClarionError) return error;
  return new ClarionError("Clarion cannot be reached.", { code: "unreachable", cause: error });
}

async function refusal(response) {
  const told = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get("Retry-After")) || 0;
  return new ClarionError(told.message ?? `Clarion answered ${response.status}.`, {
    code: told.code ?? `http_${response.status}`,
    status: response.status,
    details: told.details ?? [],
    retryAfterMs: seconds * 1000,
  });
}

function queryOf(query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
