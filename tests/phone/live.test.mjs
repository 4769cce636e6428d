// The live connection against streams that break in every way. Only durations are small; nothing waits for
// long.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ClarionError } from "../../src/clarion/phone/client/api.js";
import { Live } from "../../src/clarion/phone/client/live.js";

const PATIENCE = { silenceMs: 60, renewMs: 60_000, leastPauseMs: 1, mostPauseMs: 8 };
const LONG = { ...PATIENCE, leastPauseMs: 60_000, mostPauseMs: 60_000 };
const encoder = new TextEncoder();

/** A stream that says these pieces and then ends, stays silent, or breaks. */
function stream(pieces, end = "ends") {
  let cancelled;
  const wasCancelled = new Promise((resolve) => (cancelled = resolve));
  const body = new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(encoder.encode(piece));
      if (end === "ends") controller.close();
      if (end === "breaks") controller.error(new TypeError("network error"));
    },
    cancel: () => cancelled(),
  });
  return { response: new Response(body), wasCancelled };
}

const changes = (watermark, ...items) =>
  `id: ${watermark}\nevent: changes\ndata: ${JSON.stringify({ items, watermark, unread: 1 })}\n\n`;

/**
 * An inbox that is a watermark, and a service that is a list of connections; the last one goes on for ever.
 */
function scene({ watermark = "w1", connections, isOnline = () => true, patience = PATIENCE }) {
  const said = [];
  const positions = [];
  const stop = new AbortController();
  const inbox = {
    watermark: async () => watermark,
    sync: async () => {
      said.push("sync");
      watermark = `${watermark ?? "w"}+`;
    },
    tell: async () => {},
    apply: async (delta, expected) => {
      if (expected !== watermark) return false;
      watermark = delta.watermark;
      said.push(...delta.items);
      return true;
    },
  };
  const open = async (headers, signal) => {
    positions.push(headers["Last-Event-ID"]);
    const next = connections[positions.length - 1];
    if (!next) {
      stop.abort();
      throw new ClarionError("over", { code: "unreachable" });
    }
    return next(signal, stop);
  };
  const told = (state) => said.push(state);
  const clock = { now: () => performance.now(), random: () => 0.5 };
  const live = new Live({ open, inbox, isOnline, told, ...clock, patience });
  const move = (there) => void (watermark = there);
  return { run: () => live.run(stop.signal).then(() => said), positions, live, stop, said, move };
}

/** Until something is so, after all that can happen at once has happened. */
async function until(isSo) {
  do await new Promise(setImmediate);
  while (!isSo());
}

const saying =
  (...pieces) =>
  () =>
    stream(pieces).response;
const refusing =
  (status, code = "x") =>
  () => {
    throw new ClarionError("no", { status, code });
  };

test("what continues our watermark is applied, and the next connection goes on from there", async () => {
  const { run, positions } = scene({
    connections: [saying(changes("w2", "a"), ": \n\n", changes("w3", "b"))],
  });
  assert.deepEqual(await run(), ["connecting", "live", "a", "b", "waiting", "connecting"]);
  assert.deepEqual(positions, ["w1", "w3"]);
});

test("an inbox that was never read is read first", async () => {
  const { run, positions } = scene({ watermark: null, connections: [] });
  assert.deepEqual(await run(), ["connecting", "sync"]);
  assert.deepEqual(positions, ["w+"]);
});

test("a hint is pulled, and the stream goes on from what was pulled", async () => {
  const { run, positions } = scene({
    connections: [saying("event: hint\ndata: {}\n\n", changes("w9", "lost"))],
  });
  assert.deepEqual(await run(), ["connecting", "live", "sync"]);
  assert.deepEqual(positions, ["w1", "w1+"]);
});

test("what does not continue our watermark is pulled, never applied", async () => {
  const moved = scene({ connections: [() => moved.move("w5") ?? stream([changes("w2", "a")]).response] });
  assert.deepEqual(await moved.run(), ["connecting", "live", "sync"]);
  assert.deepEqual(moved.positions, ["w1", "w5+"]);
});

test("a connection ends when the network does", async () => {
  let isOnline = true;
  const silent = stream([], "silent");
  const patience = { ...LONG, silenceMs: 60_000 };
  const cut = scene({ connections: [() => silent.response], isOnline: () => isOnline, patience });
  const end = cut.run();
  await until(() => cut.said.includes("live"));
  isOnline = false;
  cut.live.look();
  await until(() => cut.said.includes("offline"));
  await silent.wasCancelled;
  isOnline = true;
  cut.live.look();
  assert.deepEqual(await end, ["connecting", "live", "offline", "connecting"]);
});

test("nothing is tried while there is no network", async () => {
  let isOnline = false;
  const { run, live, positions, said } = scene({ connections: [], isOnline: () => isOnline, patience: LONG });
  const end = run();
  await until(() => said.includes("offline"));
  assert.deepEqual(positions, []);
  isOnline = true;
  live.look();
  assert.deepEqual(await end, ["offline", "connecting"]);
});

test("a bye is followed by another connection, without a word of trouble", async () => {
  const { run, positions } = scene({
    connections: [saying("event: bye\ndata: {}\n\n"), saying(changes("w2", "a"))],
  });
  assert.deepEqual((await run()).slice(0, 3), ["connecting", "live", "a"]);
  assert.deepEqual(positions, ["w1", "w1", "w2"]);
});

test("a silent connection is dead after a while, and let go", async () => {
  const silent = stream([": \n\n"], "silent");
  const { run } = scene({ connections: [() => silent.response] });
  assert.deepEqual(await run(), ["connecting", "live", "waiting", "connecting"]);
  await silent.wasCancelled;
});

test("a connection is renewed when it is old, without a word of trouble", async () => {
  const old = stream([], "silent");
  const patience = { ...PATIENCE, silenceMs: 60_000, renewMs: 20 };
  const { run } = scene({ connections: [() => old.response, saying(changes("w2", "a"))], patience });
  assert.deepEqual((await run()).slice(0, 3), ["connecting", "live", "a"]);
  await old.wasCancelled;
});

test("a connection that breaks, or talks nonsense, is followed by another", async () => {
  const broken = () => stream([], "breaks").response;
  const nonsense = saying("event: changes\ndata: {\n\n");
  const { run } = scene({ connections: [broken, nonsense, saying(changes("w2", "a"))] });
  assert.ok((await run()).includes("a"));
});

test("a watermark that is too old is pulled anew", async () => {
  const { run, positions } = scene({
    connections: [refusing(410, "sync_token_too_old"), saying(changes("w2", "a"))],
  });
  assert.deepEqual((await run()).slice(0, 3), ["connecting", "sync", "waiting"]);
  assert.deepEqual(positions.slice(0, 2), ["w1", "w1+"]);
});

test("a passing trouble is waited out", async () => {
  const lost = refusing(0, "unreachable");
  const { run } = scene({ connections: [refusing(503), lost, refusing(429), saying(changes("w2", "a"))] });
  assert.ok((await run()).includes("a"));
});

for (const status of [401, 403, 404]) {
  test(`it ends at ${status}`, async () => {
    const { run, positions } = scene({ connections: [refusing(status)] });
    assert.deepEqual(await run(), ["connecting", "refused"]);
    assert.equal(positions.length, 1);
  });
}

test("it ends with its signal, in the middle of a silence and of a pause", async () => {
  const silent = stream([], "silent");
  const patience = { ...PATIENCE, silenceMs: 60_000 };
  const connected = scene({
    connections: [
      (_signal, stop) => {
        setTimeout(() => stop.abort());
        return silent.response;
      },
    ],
    patience,
  });
  await connected.run();
  await silent.wasCancelled;
  const waiting = scene({ connections: [refusing(503)], patience: LONG });
  const end = waiting.run();
  await until(() => waiting.said.includes("waiting"));
  waiting.stop.abort();
  await end;
});

test("who looks again does not wait any longer", async () => {
  const { run, live, said } = scene({ connections: [refusing(503)], patience: LONG });
  const end = run();
  await until(() => said.includes("waiting"));
  live.look();
  assert.deepEqual(await end, ["connecting", "waiting", "connecting"]);
});
