// Requests with a session: when it is renewed, and what is made of refusals.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, ClarionError, isPassing } from "../../src/clarion/phone/client/api.js";

const NOW = Date.parse("2026-11-23T08:00:00Z");

/** An Api whose service answers with these functions of the request, one after the other. */
function apiOf({ answers, session }) {
  const requests = [];
  const fetch = async (url, options) => {
    requests.push({ url, ...options });
    return answers[Math.min(requests.length, answers.length) - 1]({ url, ...options });
  };
  const given = { baseUrl: "https://push.example.com/v2.0/", organizationId: "o", userId: "u" };
  return { api: new Api({ ...given, session, fetch, now: () => NOW }), requests };
}

const ok =
  (body = {}) =>
  () =>
    Response.json(body);
const refuse =
  (status, body = {}, headers = {}) =>
  () =>
    Response.json(body, { status, headers });

function tokens(...given) {
  const asked = [];
  const session = async (about) => {
    asked.push(about);
    return given[Math.min(asked.length, given.length) - 1];
  };
  return { session, asked };
}

test("a request goes below the member, with the token, and nothing of the browser's", async () => {
  const { api, requests } = apiOf({ answers: [ok({ count: 0 })], session: async () => "cls_1" });
  const query = { limit: 5, syncToken: "a b", filterMode: undefined };
  assert.deepEqual(await api.request("GET", "notifications", { query }), { count: 0 });
  const [{ url, headers, credentials, redirect, cache }] = requests;
  assert.equal(
    url,
    "https://push.example.com/v2.0/tool/organizations/o/members/u/notifications?limit=5&syncToken=a+b",
  );
  assert.equal(headers.Authorization, "Bearer cls_1");
  assert.deepEqual([credentials, redirect, cache], ["omit", "error", "no-store"]);
});

test("no content is null", async () => {
  const { api } = apiOf({ answers: [() => new Response(null, { status: 204 })], session: async () => "t" });
  assert.equal(await api.request("DELETE", "notifications/n"), null);
});

test("a session is asked for once, by whomever", async () => {
  const { session, asked } = tokens("t");
  const { api } = apiOf({ answers: [ok()], session });
  await Promise.all([api.request("GET", "a"), api.request("GET", "b"), api.request("GET", "c")]);
  assert.deepEqual(asked, [{ stale: null }]);
});

test("a refused token is renewed once, and the request is sent again", async () => {
  const { session, asked } = tokens("old", "new");
  const { api, requests } = apiOf({ answers: [refuse(401), ok({ fine: true })], session });
  const body = { state: "READ" };
  assert.deepEqual(await api.request("PATCH", "notifications/n", { body }), { fine: true });
  assert.deepEqual(asked, [{ stale: null }, { stale: "old" }]);
  assert.deepEqual(
    requests.map(({ headers, body: sent }) => [headers.Authorization, sent]),
    [
      ["Bearer old", '{"state":"READ"}'],
      ["Bearer new", '{"state":"READ"}'],
    ],
  );
});

test("refused twice is refused", async () => {
  const { session } = tokens("old", "new");
  const answers = [refuse(401, { message: "Unauthorized", code: "unauthorized" })];
  const { api, requests } = apiOf({ answers, session });
  await assert.rejects(api.request("GET", "notifications"), {
    name: "ClarionError",
    code: "unauthorized",
    status: 401,
  });
  assert.equal(requests.length, 2);
});

test("two requests that are refused together share one renewal", async () => {
  const { session, asked } = tokens("old", "new");
  const answer = ({ headers }) => (headers.Authorization === "Bearer old" ? refuse(401)() : ok()());
  const { api } = apiOf({ answers: [answer], session });
  await Promise.all([api.request("GET", "a"), api.request("GET", "b")]);
  assert.equal(asked.length, 2);
});

test("a token that ends within a minute is renewed beforehand", async () => {
  const soon = new Date(NOW + 59_000).toISOString();
  const { session, asked } = tokens(
    { token: "a", expiresAt: soon },
    { token: "b", expiresAt: NOW + 3_600_000 },
  );
  const { api, requests } = apiOf({ answers: [ok()], session });
  for (let turn = 0; turn < 3; turn++) await api.request("GET", "a");
  assert.deepEqual(
    requests.map(({ headers }) => headers.Authorization),
    ["Bearer a", "Bearer b", "Bearer b"],
  );
  assert.deepEqual(asked[1], { stale: "a" });
});

test("nobody signed in is not asked of the service", async () => {
  for (const nothing of [null, undefined, "", {}]) {
    const { api, requests } = apiOf({ answers: [ok()], session: async () => nothing });
    await assert.rejects(api.request("GET", "a"), { code: "unauthorized" });
    assert.equal(requests.length, 0);
  }
});

test("an app that cannot get a session may try again", async () => {
  let fails = true;
  const session = async () => {
    if (fails) throw new TypeError("offline");
    return "t";
  };
  const { api } = apiOf({ answers: [ok({ fine: true })], session });
  const error = await api.request("GET", "a").catch((caught) => caught);
  assert.deepEqual([error.code, isPassing(error)], ["no_session", true]);
  fails = false;
  assert.deepEqual(await api.request("GET", "a"), { fine: true });
});

test("a refusal keeps the service's words", async () => {
  const body = { message: "Slow down.", code: "too_many_requests", details: [{ path: "a", message: "b" }] };
  const { api } = apiOf({ answers: [refuse(429, body, { "Retry-After": "7" })], session: async () => "t" });
  const error = await api.request("GET", "a").catch((caught) => caught);
  assert.ok(error instanceof ClarionError);
  assert.equal(error.message, "Slow down.");
  assert.deepEqual([error.code, error.status, error.retryAfterMs], ["too_many_requests", 429, 7000]);
  assert.deepEqual(error.details, body.details);
  assert.ok(isPassing(error));
});

test("a page of a proxy is a refusal as well", async () => {
  const { api } = apiOf({
    answers: [() => new Response("<h1>Bad gateway", { status: 502 })],
    session: async () => "t",
  });
  await assert.rejects(api.request("GET", "a"), { code: "http_502", status: 502 });
});

test("no answer, and one that breaks off, is unreachable", async () => {
  const lost = () => {
    throw new TypeError("Failed to fetch");
  };
  for (const answer of [lost, () => new Response("{", { status: 200 })]) {
    const { api } = apiOf({ answers: [answer], session: async () => "t" });
    await assert.rejects(api.request("GET", "a"), { code: "unreachable", status: 0 });
  }
});

test("only what may pass is tried again", () => {
  const passing = [500, 503, 408, 429].map((status) => isPassing({ status, code: "x" }));
  const lasting = [400, 401, 403, 404, 409, 410].map((status) => isPassing({ status, code: "x" }));
  assert.ok(passing.every(Boolean));
  assert.ok(!lasting.some(Boolean));
});
