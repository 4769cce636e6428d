// The parser of server-sent events: whatever the cuts, the same events.
import assert from "node:assert/strict";
import { test } from "node:test";

import { EventParser, MOST_CHARACTERS } from "../../src/clarion/phone/client/events.js";

const encoder = new TextEncoder();

function read(...pieces) {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(typeof piece === "string" ? encoder.encode(piece) : piece));
}

function cuts(octets, sizes) {
  const pieces = [];
  for (let from = 0, turn = 0; from < octets.length; turn++) {
    const size = sizes[turn % sizes.length];
    pieces.push(octets.subarray(from, from + size));
    from += size;
  }
  return pieces;
}

test("an event has a type, data and an id", () => {
  assert.deepEqual(read("id: 7\nevent: changes\ndata: {}\n\n"), [{ type: "changes", data: "{}", id: "7" }]);
});

test("an event without a type is a message, and the id stays until another comes", () => {
  const events = read("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n");
  assert.deepEqual(
    events.map(({ type, data, id }) => [type, data, id]),
    [
      ["message", "a", "1"],
      ["message", "b", "1"],
      ["message", "c", ""],
    ],
  );
});

test("data of several lines are joined, one blank after the colon is dropped, and no more", () => {
  assert.equal(read("data:a\ndata:  b\ndata\ndata: \n\n")[0].data, "a\n b\n\n");
});

test("comments, unknown fields and empty events are nothing", () => {
  assert.deepEqual(read(": still here\n\nretry: 10\nfoo: bar\n\nevent: changes\n\n: \n"), []);
});

test("an event type is forgotten with its event", () => {
  assert.equal(read("event: changes\n\ndata: x\n\n")[0].type, "message");
});

test("an id with NUL is ignored", () => {
  assert.equal(read("id: a\nid: b\0c\ndata: x\n\n")[0].id, "a");
});

test("an id without data counts once its event is complete", () => {
  const parser = new EventParser();
  parser.push(encoder.encode("id: 9\n"));
  assert.equal(parser.lastEventId, "");
  parser.push(encoder.encode("\n"));
  assert.equal(parser.lastEventId, "9");
});

test("an incomplete event is none", () => {
  assert.deepEqual(read("data: x\n"), []);
});

test("a byte order mark at the beginning is skipped, and only there", () => {
  assert.deepEqual(read("\uFEFFdata: a\n\n\uFEFFdata: b\n\n"), [{ type: "message", data: "a", id: "" }]);
});

const STREAM = '\uFEFF: hi|id: 🎉|event: changes|data: {"title": "Grüße 🎉"}|data: 二|||data: last||';

for (const [name, end] of Object.entries({ LF: "\n", CR: "\r", CRLF: "\r\n" })) {
  const octets = encoder.encode(STREAM.replaceAll("|", end));
  const whole = read(octets);

  test(`lines may end in ${name}`, () => {
    assert.deepEqual(whole, [
      { type: "changes", data: '{"title": "Grüße 🎉"}\n二', id: "🎉" },
      { type: "message", data: "last", id: "🎉" },
    ]);
  });

  test(`chunks may be cut anywhere with ${name}`, () => {
    for (let at = 0; at <= octets.length; at++) {
      assert.deepEqual(read(octets.subarray(0, at), octets.subarray(at)), whole, `cut at ${at}`);
    }
    for (const sizes of [[1], [2], [3], [1, 7], [5, 1, 2]])
      assert.deepEqual(read(...cuts(octets, sizes)), whole);
  });
}

test("line ends may be mixed", () => {
  assert.deepEqual(read("data: a\r\ndata: b\rdata: c\n\r\n")[0].data, "a\nb\nc");
});

test("octets that are no UTF-8 do not end it", () => {
  const events = read(Uint8Array.of(...encoder.encode("data: "), 0xff, 0x0a, 0x0a));
  assert.equal(events[0].data, "\uFFFD");
});

test("an event without end is refused, in one line or in many", () => {
  const line = encoder.encode("x".repeat(65_536));
  const lines = encoder.encode("data: x\n".repeat(8192));
  for (const piece of [line, lines]) {
    const parser = new EventParser();
    assert.throws(() => {
      for (let size = 0; size <= 8 * MOST_CHARACTERS; size += piece.length) parser.push(piece);
    }, RangeError);
  }
});
