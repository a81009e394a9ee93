// Files by drag and drop, as the browser itself delivers them, and what
// happens to them later: namesakes, changes on disk, and a worker that breaks.

import assert from "node:assert/strict";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { DIST, MINUTE, demo, download, finished, launch, open, ranking, says, serve, set, state } from "./support.mjs";

let browser, site, context, page, faults, debug;
const folder = mkdtempSync(join(tmpdir(), "basetrace-"));

before(async () => {
  ({ browser } = await launch());
  site = await serve(DIST);
});
after(async () => {
  await browser?.close();
  await site?.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  ({ context, page, faults } = await open(browser, site.url));
  debug = await context.newCDPSession(page);
});
afterEach(async () => {
  await context.close();
  assert.deepEqual(faults, []);
});

/// Drops `files` on the page: real files and folders, not a picker's list.
async function drop(...files) {
  await page.evaluate(() => document.querySelector("#drop").scrollIntoView({ block: "center" }));
  const box = await page.locator("#drop").boundingBox();
  const at = { x: box.x + box.width / 2, y: box.y + 20, data: { items: [], files, dragOperationsMask: 1 } };
  for (const type of ["dragEnter", "dragOver", "drop"]) await debug.send("Input.dispatchDragEvent", { type, ...at });
}

/// A file below this test's folder, a copy of `from` or with `text`.
function put(path, { from, text }) {
  const file = join(folder, path);
  mkdirSync(join(file, ".."), { recursive: true });
  if (from) cpSync(from, file, { recursive: true });
  else writeFileSync(file, text);
  return file;
}

const samples = (count = 4) => readFileSync(demo().samples, "utf8").split("\n").slice(0, count).join("\n");
const model = (i) => demo().single[i].path;
/// The candidates' and samples' names as listed.
const listed = (list) => page.$$eval(`#${list} strong`, (all) => all.map((e) => e.textContent).sort());
/// Waits until a list has these names; fails with those that it has.
async function lists(list, names) {
  await page.waitForFunction(
    ([id, count]) => document.querySelectorAll(`#${id} strong`).length === count,
    [list, names.length],
  ).catch(() => {});
  assert.deepEqual(await listed(list), [...names].sort());
}

async function rank() {
  await set(page, "#max-new-tokens", 4);
  await page.click("#run");
  await finished(page);
}

test("a folder and what lies below it can be dropped, beside a file", { timeout: 5 * MINUTE }, async () => {
  const parts = demo().manifest.bases.find((b) => b.files.length > 1);
  assert.ok(parts, "the demo has no model of several files");
  for (const file of parts.files) put(`dropped/deep/${file}`, { from: join(demo().folder, file) });
  put("dropped/one.gguf", { from: model(0) });
  await drop(join(folder, "dropped"), put("dropped.jsonl", { text: samples() }));
  await state(page, "ready");
  await lists("candidates", ["one", parts.files[0].split("/")[0]]);
  await lists("samples", ["dropped.jsonl"]);
  assert.equal((await page.innerText("#problems")).trim(), "");
  await rank();
  assert.equal((await ranking(page)).length, 2);
});

test("two files of one name and length are two candidates", { timeout: 5 * MINUTE }, async () => {
  const { single } = demo();
  const twins = single.filter((a) => single.some((b) => b !== a && statSync(b.path).size === statSync(a.path).size));
  assert.equal(twins.length, 2, "the demo has no two models of one length");
  const [a, b] = twins.map((t, i) => put(`namesake-${i}/model.gguf`, { from: t.path }));
  await drop(put("namesake.jsonl", { text: samples() }), a);
  await lists("candidates", ["model"]);
  await drop(b);
  await lists("candidates", ["model", "model (2)"]);
  // Each given again is still itself, not a third.
  for (const file of [a, b]) {
    await drop(file);
    await says(page, "#status", /2 candidates/);
    await lists("candidates", ["model", "model (2)"]);
  }
  await rank();
  const { inputs } = JSON.parse((await download(page, "#export-json")).bytes);
  assert.equal(new Set(inputs.map((i) => i.sha256)).size, 3, "one model was ranked twice");
});

test("two folders of one name keep their parts apart", { timeout: 5 * MINUTE }, async () => {
  const parts = demo().manifest.bases.find((b) => b.files.length > 1);
  const copies = ["first", "second"].map((where) => {
    for (const file of parts.files) put(`${where}/model/${file.split("/").at(-1)}`, { from: join(demo().folder, file) });
    return join(folder, where, "model");
  });
  // Of one length, yet another model: identical ones are rightly used once.
  const weights = join(copies[1], "model.safetensors");
  const bytes = readFileSync(weights);
  bytes[bytes.length - 2] ^= 1;
  writeFileSync(weights, bytes);
  await drop(copies[0]);
  await lists("candidates", ["model"]);
  await drop(copies[1]);
  await lists("candidates", ["model", "model (2)"]);
  assert.equal((await page.innerText("#problems")).trim(), "");
  // Changed and added again, the second is still the second.
  bytes[bytes.length - 4] ^= 1;
  writeFileSync(weights, bytes);
  const past = new Date(2001, 1, 1);
  utimesSync(weights, past, past);
  await drop(copies[1]);
  await says(page, "#status", /2 candidates/);
  await lists("candidates", ["model", "model (2)"]);
  assert.equal((await page.innerText("#problems")).trim(), "");
});

test("a file that changed is taken anew when it is added again", { timeout: 5 * MINUTE }, async () => {
  const text = put("changed.jsonl", { text: samples() });
  await drop(text, put("changed/a.gguf", { from: model(0) }), put("changed/b.gguf", { from: model(1) }));
  await state(page, "ready");
  appendFileSync(text, `\n${JSON.stringify({ prompt: "More", response: "and yet another response" })}`);
  await page.click("#run");
  assert.equal(await state(page, "done", "error"), "error");
  // It says which file and what to do, not that there is none.
  await says(page, "#status", /changed\.jsonl.*cannot be read any more\..*add it again/is);
  await drop(text);
  await says(page, "#samples", /5 samples/);
  await lists("samples", ["changed.jsonl"]);
  assert.equal((await page.innerText("#problems")).trim(), "");
  await rank();
  assert.equal((await ranking(page)).length, 2);
});

test("a worker that breaks is replaced, and all stays loaded", { timeout: 5 * MINUTE }, async () => {
  await drop(put("crash.jsonl", { text: samples() }), put("crash/a.gguf", { from: model(0) }), put("crash/b.gguf", { from: model(1) }));
  await state(page, "ready");
  const [worker] = page.workers();
  // What a wasm module that gets no more memory does.
  await worker.evaluate(() => {
    setTimeout(() => {
      throw new WebAssembly.RuntimeError("unreachable");
    });
  });
  await state(page, "error");
  await says(page, "#status", /the worker stopped.*memory.*smaller or quantized/i);
  await lists("candidates", ["a", "b"]);
  await lists("samples", ["crash.jsonl"]);
  await rank();
  assert.equal((await ranking(page)).length, 2);
  assert.ok(!page.workers().includes(worker), "the broken worker was asked again");
});
