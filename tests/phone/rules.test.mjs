// The small rules: changes over entries, what a link opens, and why a push cannot reach a browser.
import assert from "node:assert/strict";
import { test } from "node:test";

import { overlay, passes, supersedes } from "../../src/clarion/phone/client/changes.js";
import { readLink, readOpening, withoutLink } from "../../src/clarion/phone/client/opening.js";
import { decodeKey, encodeKey, findObstacle } from "../../src/clarion/phone/client/push.js";

const entry = (state) => ({ notificationId: "n", state, content: { text: "Hi" } });
const state = (word, notificationId = "n") => ({ kind: "state", notificationId, state: word });
const remove = { kind: "remove", notificationId: "n" };
const all = (...ids) => ({ kind: "all", upTo: "w", ids });

test("what the person did lies over what the service said, in order", () => {
  const seen = (before, ...changes) => overlay(entry(before), changes)?.state;
  assert.equal(seen("SENT"), "SENT");
  assert.equal(seen("SENT", state("READ")), "READ");
  assert.equal(seen("SENT", state("READ", "other")), "SENT");
  assert.equal(seen("READ", state("SENT"), all("n")), "READ");
  assert.equal(seen("SENT", all("n"), state("SENT")), "SENT");
  assert.equal(seen("SENT", all("other")), "SENT");
  assert.equal(seen("DISMISSED", all("n")), "DISMISSED");
  assert.equal(seen("SENT", state("READ"), remove, state("SENT")), undefined);
});

test("the entry itself is left as it was", () => {
  const told = Object.freeze(entry("SENT"));
  assert.notEqual(overlay(told, [state("READ")]), told);
});

test("a later change of the same entry makes an earlier one pointless", () => {
  assert.ok(supersedes(state("SENT"), state("READ")));
  assert.ok(supersedes(remove, state("READ")));
  assert.ok(!supersedes(state("READ"), remove));
  assert.ok(!supersedes(state("READ"), state("READ", "other")));
  assert.ok(!supersedes(all("n"), state("SENT")));
  assert.ok(!supersedes(state("SENT"), all("n")));
});

test("a filter shows what it names", () => {
  const shown = (filter) => ["SENT", "READ", "DISMISSED"].filter((word) => passes(entry(word), filter));
  assert.deepEqual(shown("inbox"), ["SENT", "READ"]);
  assert.deepEqual(shown("unread"), ["SENT"]);
  assert.deepEqual(shown("dismissed"), ["DISMISSED"]);
  assert.deepEqual(shown("all"), ["SENT", "READ", "DISMISSED"]);
});

const LINK = "https://app.example.com/?tab=2&notificationId=n&organizationId=o&screen=jig&jigId=j#top";

test("a link names a notification of its organization alone", () => {
  assert.equal(readLink(LINK, "o"), "n");
  assert.equal(readLink(LINK, "another"), null);
  assert.equal(readLink("https://app.example.com/?jigId=j", "o"), null);
});

test("the address is left without what the tap put there", () => {
  assert.equal(withoutLink(LINK), "https://app.example.com/?tab=2#top");
});

const CONTENT = { text: "Check it out", screen: "jig", jigId: "view", inputs: { price: 34 } };
const none = () => assert.fail("the inbox was asked");

test("a tap with everything in it opens at once, types kept", async () => {
  const told = { notificationId: "n", screen: "jig", jigId: "view", inputs: { price: 34, name: "20%" } };
  const opening = await readOpening(told, none);
  assert.deepEqual(opening, { ...told, missing: null });
});

test("inputs that were left out are the entry's", async () => {
  const told = { notificationId: "n", screen: "jig", jigId: "view", inputs: {}, inputsOmitted: true };
  const opening = await readOpening(told, async () => ({ content: CONTENT }));
  assert.deepEqual(opening.inputs, { price: 34 });
});

test("a link opens what the entry says, and nothing that the link says", async () => {
  const opening = await readOpening({ notificationId: "n" }, async () => ({ content: CONTENT }));
  assert.deepEqual(opening, {
    notificationId: "n",
    screen: "jig",
    jigId: "view",
    inputs: { price: 34 },
    missing: null,
  });
});

test("what cannot be opened says why", async () => {
  const missing = async (error) =>
    (await readOpening({ notificationId: "n" }, () => Promise.reject(error))).missing;
  assert.equal(await missing({ status: 404 }), "gone");
  assert.equal(await missing({ status: 0, code: "unreachable" }), "unreachable");
});

test("a browser says why a push cannot reach it", () => {
  const able = {
    isSecure: true,
    hasPush: true,
    isApplePhone: false,
    isInstalled: false,
    permission: "default",
  };
  const obstacle = (facts) => findObstacle({ ...able, ...facts });
  assert.equal(obstacle({}), null);
  assert.equal(obstacle({ permission: "granted" }), null);
  assert.equal(obstacle({ permission: "denied" }), "denied");
  assert.equal(obstacle({ isSecure: false }), "insecure");
  assert.equal(obstacle({ hasPush: false }), "unsupported");
  assert.equal(obstacle({ hasPush: false, isApplePhone: true }), "needs-install");
  assert.equal(obstacle({ hasPush: false, isApplePhone: true, isInstalled: true }), "unsupported");
  assert.equal(obstacle({ isApplePhone: true, isInstalled: true }), null);
});

test("keys are spelt in base64url without padding", () => {
  const octets = Uint8Array.from({ length: 65 }, (_, number) => (number * 67) % 256);
  const text = encodeKey(octets.buffer);
  assert.match(text, /^[\w-]{87}$/);
  assert.deepEqual(decodeKey(text), octets);
  assert.deepEqual(decodeKey(encodeKey(Uint8Array.of(251, 255).buffer)), Uint8Array.of(251, 255));
});
