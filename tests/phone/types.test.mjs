// clarion.d.ts against clarion.js: the same names, and no method that only one of them has.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const CLIENT = new URL("../../src/clarion/phone/client/", import.meta.url);
const library = await import(new URL("clarion.js", CLIENT));
const types = readFileSync(new URL("clarion.d.ts", CLIENT), "utf8");

/** The names that a class has according to its types; overloads count once. */
function declared(name) {
  const body = types.match(new RegExp(`^export class ${name} [^]*?^}`, "m"))[0];
  const names = [...body.matchAll(/^ {2}(?:get )?(\w+)(?:<[^>]*>)?[(:]/gm)].map(([, member]) => member);
  return [...new Set(names)].sort();
}

test("the module exports the classes that are declared, and nothing else", () => {
  const classes = [...types.matchAll(/^export class (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(Object.keys(library).sort(), classes.sort());
});

test("Clarion has the methods that are declared", () => {
  const own = Object.getOwnPropertyNames(library.Clarion.prototype);
  assert.deepEqual([...own, "addEventListener"].sort(), declared("Clarion"));
});

test("an error has the properties that are declared", () => {
  const own = Object.keys(new library.ClarionError("x", { code: "y" }));
  assert.deepEqual(
    ["constructor", ...own.filter((name) => name !== "name")].sort(),
    declared("ClarionError"),
  );
});

test("events are those that the code dispatches", () => {
  const block = types.match(/interface ClarionEvents {[^]*?^}/m)[0];
  const named = [...block.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name);
  const source = readFileSync(new URL("clarion.js", CLIENT), "utf8");
  const dispatched = new Set([...source.matchAll(/#emit\("(\w+)"/g)].map(([, name]) => name));
  assert.deepEqual([...dispatched].sort(), named.sort());
});

test("the package names files that are there", () => {
  const manifest = JSON.parse(readFileSync(new URL("package.json", CLIENT), "utf8"));
  const named = [manifest.types, ...Object.values(manifest.exports).flatMap((way) => way.default ?? way)];
  for (const path of named) assert.ok(readFileSync(new URL(path, CLIENT)).length > 0, path);
});
