// The build's last step: lists the files for the service worker, and refuses
// a page that the policy would break or that states another.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ROOT, headersOf } from "./support.mjs";

const folder = mkdtempSync(join(tmpdir(), "basetrace-"));
after(() => rmSync(folder, { recursive: true }));

const policy = headersOf(join(ROOT, "www"))["Content-Security-Policy"];
const meta = `${policy.replace("; frame-ancestors 'none'", "")}; require-trusted-types-for 'script'; trusted-types default`;

/// A page with `body`, through the hook.
function build(name, body, stated = meta) {
  const stage = join(folder, name);
  mkdirSync(join(stage, "demo"), { recursive: true });
  for (const file of ["boot.js", "sw.js", "_headers"]) cpSync(join(ROOT, "www", file), join(stage, file));
  writeFileSync(join(stage, "demo/a b.gguf"), "GGUF");
  const head = `<meta http-equiv="Content-Security-Policy" content="${stated}">`;
  writeFileSync(join(stage, "index.html"), `<!doctype html><html><head>${head}</head><body>${body}</body></html>`);
  const done = spawnSync("node", [join(ROOT, "xtask/precache.mjs")], {
    encoding: "utf8",
    env: { ...process.env, TRUNK_SOURCE_DIR: ROOT, TRUNK_STAGING_DIR: stage },
  });
  const worker = readFileSync(join(stage, "sw.js"), "utf8");
  const list = /^const BUILD = (\{[\s\S]*?\n\});$/m.exec(worker);
  return { ...done, build: list && JSON.parse(list[1]) };
}

const good = '<script type="module" src="./boot.js" data-js="./page.js"></script>';

test("every file is listed with its hash, and the policy with them", () => {
  const { status, stderr, build: made } = build("good", good);
  assert.equal(status, 0, stderr);
  assert.deepEqual(Object.keys(made.files), ["boot.js", "demo/a b.gguf", "index.html"]);
  assert.equal(made.files["demo/a b.gguf"], `sha256-${createHash("sha256").update("GGUF").digest("base64")}`);
  assert.equal(made.headers["Content-Security-Policy"], policy);
});

test("the version is that of the content", () => {
  const [one, same, other] = [build("one", good), build("same", good), build("other", `${good}<p>`)];
  assert.match(one.build.version, /^[0-9a-f]{16}$/);
  assert.equal(one.build.version, same.build.version);
  assert.notEqual(one.build.version, other.build.version);
});

test("a page that the policy forbids is refused", () => {
  for (const [name, body, why] of [
    ["script", "<script>go()</script>", /inline script/],
    ["module", '<script type="module">go()</script>', /inline script/],
    ["style", "<style>p{}</style>", /inline style/],
    ["attribute", '<p style="color:red">', /inline style/],
    ["handler", '<p onclick="go()">', /event handler/],
    ["stranger", '<script src="https://example.org/x.js"></script>', /another origin/],
    ["font", '<link href="//example.org/x.css">', /another origin/],
  ]) {
    const { status, stderr } = build(name, body);
    assert.equal(status, 1, `${name} was let through`);
    assert.match(stderr, why);
  }
});

test("a page with a weaker policy is refused", () => {
  for (const [name, stated] of [
    ["wide", meta.replace("connect-src 'self'", "connect-src *")],
    ["inline", meta.replace("script-src 'self'", "script-src 'self' 'unsafe-inline'")],
    ["bare", ""],
  ]) {
    const { status, stderr } = build(name, good, stated);
    assert.equal(status, 1, `${name} was let through`);
    assert.match(stderr, /must have.*\n.*default-src 'none'/);
  }
});

test("the policy is as strict as WebAssembly allows", () => {
  const rules = Object.fromEntries(policy.split("; ").map((r) => [r.split(" ", 1)[0], r.split(" ").slice(1)]));
  assert.deepEqual(rules["default-src"], ["'none'"]);
  assert.deepEqual(rules["script-src"], ["'self'", "'wasm-unsafe-eval'"]);
  for (const kind of ["style-src", "connect-src", "worker-src"]) assert.deepEqual(rules[kind], ["'self'"]);
  for (const words of Object.values(rules)) {
    for (const word of words) assert.match(word, /^('none'|'self'|'wasm-unsafe-eval'|blob:|data:)$/);
  }
});
