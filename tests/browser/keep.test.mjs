// Scores kept for the next visit: only where the user agreed, gone when not,
// and never in the way of a run.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { DIST, MINUTE, demo, download, launch, open, run, says, serve, set, state } from "./support.mjs";

const folder = mkdtempSync(join(tmpdir(), "basetrace-"));
/// Where the page keeps them.
const [FOLDER, FILE] = ["basetrace", "basetrace/scores"];
/// Bytes of a file without entries.
const EMPTY = 24;

let browser, site;
before(async () => {
  ({ browser } = await launch());
  site = await serve(DIST);
});
after(async () => {
  await browser?.close();
  await site?.stop();
  rmSync(folder, { recursive: true });
});

/// Samples `from` to `to` of the demo's suspect, in a file.
function samples(name, from, to) {
  const path = join(folder, `${name}.jsonl`);
  writeFileSync(path, readFileSync(demo().samples, "utf8").split("\n").slice(from, to).join("\n"));
  return path;
}

/// Ranks two models by `file` alone: the report's bytes, and the models that were loaded.
async function ranked(page, file) {
  if (await page.isEnabled("#clear")) {
    await page.click("#clear");
    await state(page, "empty");
  }
  await page.setInputFiles("#input-files", [...demo().single.slice(0, 2).map((b) => b.path), file]);
  await state(page, "ready");
  await set(page, "#max-new-tokens", 4);
  await page.evaluate(() => {
    globalThis.stages = [];
    const stage = document.querySelector("#stage");
    new MutationObserver(() => stages.push(stage.textContent)).observe(stage, { childList: true, characterData: true, subtree: true });
  });
  await run(page);
  const stages = await page.evaluate(() => stages);
  assert.ok(stages.some((s) => /scores all responses/.test(s)), "the stages were not seen");
  const loaded = new Set(stages.filter((s) => /^Loading/.test(s)).map((s) => s.split(":")[0]));
  return { bytes: (await download(page, "#export-json")).bytes, loaded: loaded.size };
}

/// Path and length of all that the page's origin holds in its private file system,
/// what is being written among it.
const stored = (page) => page.evaluate(async () => {
  const found = {};
  const walk = async (folder, path) => {
    for await (const [name, entry] of folder.entries()) {
      if (entry.kind === "directory") {
        found[path + name] = 0;
        await walk(entry, `${path}${name}/`);
      } else {
        // It may be gone by now.
        const file = await entry.getFile().catch(() => null);
        if (file) found[path + name] = file.size;
      }
    }
  };
  await walk(await navigator.storage.getDirectory(), "");
  return found;
});

/// Waits until nothing but the file is there, of so many bytes.
const holds = (page, bytes) => until(
  async () => isDeepStrictEqual(await stored(page), { [FOLDER]: 0, [FILE]: bytes }),
  `the file is not of ${bytes} bytes`,
);

/// The file's length once it is more than `least`.
async function grown(page, least = EMPTY) {
  await until(async () => (await stored(page))[FILE] > least, "nothing was kept");
  return (await stored(page))[FILE];
}

/// Waits until nothing is there at all.
const gone = (page) => until(
  async () => Object.keys(await stored(page)).length === 0,
  "something is still there",
);

/// Puts `bytes`, by what `change` makes of those there, into the file called `name`.
const write = (page, name, change) => page.evaluate(async ([folder, name, change]) => {
  const root = await navigator.storage.getDirectory();
  const file = await (await root.getDirectoryHandle(folder)).getFileHandle(name, { create: true });
  let bytes = new Uint8Array(await (await file.getFile()).arrayBuffer());
  // In the last score, where nothing but a check sum shows it.
  if (change === "a bit") bytes[bytes.length - 14] ^= 4;
  if (change === "cut") bytes = bytes.slice(0, bytes.length >> 1);
  if (change === "noise") bytes.fill(7);
  if (change === "nothing") bytes = new Uint8Array(0);
  if (change === "endless") bytes = new Uint8Array((64 << 20) + 1000);
  const stream = await file.createWritable();
  await stream.write(bytes);
  await stream.close();
}, [FOLDER, name, change]);

async function until(happens, otherwise) {
  for (const end = Date.now() + MINUTE / 2; !(await happens());) {
    assert.ok(Date.now() < end, otherwise);
    await new Promise((done) => setTimeout(done, 50));
  }
}

const ticked = (page) => page.isChecked("#keep");
/// Waits until the page knows whether something is kept.
const known = (page) => page.waitForSelector("#keep:enabled");

/// Another visit.
async function again(page) {
  await page.reload();
  await state(page, "empty");
  await known(page);
}

test("nothing is kept unless the user agrees", { timeout: 10 * MINUTE }, async () => {
  const { context, page, faults } = await open(browser, site.url);
  await known(page);
  assert.equal(await ticked(page), false);
  const file = samples("off", 0, 6);
  const first = await ranked(page, file);
  assert.equal(first.loaded, 2);
  await again(page);
  assert.equal(await ticked(page), false);
  const second = await ranked(page, file);
  assert.equal(second.loaded, 2);
  assert.ok(first.bytes.equals(second.bytes));
  assert.deepEqual(await stored(page), {});
  assert.deepEqual(faults, []);
  await context.close();
});

test("what is kept is not computed again on the next visit, until it is forgotten", { timeout: 10 * MINUTE }, async () => {
  const { context, page, faults } = await open(browser, site.url);
  await page.check("#keep");
  await holds(page, EMPTY);
  const file = samples("on", 0, 6);
  const first = await ranked(page, file);
  assert.equal(first.loaded, 2);
  const length = await grown(page);

  await again(page);
  assert.equal(await ticked(page), true);
  const second = await ranked(page, file);
  assert.equal(second.loaded, 0, "a model was loaded for what is kept");
  assert.ok(first.bytes.equals(second.bytes), "what is kept says something else");
  // More samples cost what is new, and are kept with the rest.
  const third = await ranked(page, samples("more", 0, 8));
  assert.equal(third.loaded, 2);
  await grown(page, length);
  await again(page);
  assert.equal((await ranked(page, file)).loaded, 0);

  // A crash may leave more than the page wrote.
  await write(page, "scores.crswap", "");
  assert.equal((await stored(page))[`${FILE}.crswap`], 0);
  await page.uncheck("#keep");
  await gone(page);
  await again(page);
  assert.equal(await ticked(page), false);
  const fourth = await ranked(page, file);
  assert.equal(fourth.loaded, 2);
  assert.ok(first.bytes.equals(fourth.bytes));
  // Agreed to after a run: that run's are kept, too.
  await page.check("#keep");
  await grown(page);
  await again(page);
  assert.equal((await ranked(page, file)).loaded, 0);
  assert.deepEqual(faults, []);
  await context.close();
});

test("a damaged file fails no run and is replaced", { timeout: 10 * MINUTE }, async () => {
  const { context, page, faults } = await open(browser, site.url);
  await page.check("#keep");
  const file = samples("damaged", 0, 6);
  const first = await ranked(page, file);
  const length = await grown(page);
  for (const damage of ["a bit", "cut", "noise", "nothing", "endless"]) {
    await write(page, "scores", damage);
    await again(page);
    assert.equal(await ticked(page), true, damage);
    const second = await ranked(page, file);
    assert.equal(second.loaded, 2, damage);
    assert.ok(first.bytes.equals(second.bytes), `${damage}: the report is another`);
    assert.equal(await page.isHidden("#keep-note"), true, damage);
    await holds(page, length);
  }
  await again(page);
  assert.equal((await ranked(page, file)).loaded, 0);
  assert.deepEqual(faults, []);
  await context.close();
});

test("two tabs keep what both computed, and forget for both", { timeout: 10 * MINUTE }, async () => {
  const { context, page, faults } = await open(browser, site.url);
  await page.check("#keep");
  await holds(page, EMPTY);
  const other = await context.newPage();
  await other.goto(site.url);
  await state(other, "empty");
  await known(other);
  assert.equal(await ticked(other), true);
  const [here, there] = [samples("here", 0, 5), samples("there", 5, 10)];
  await ranked(page, here);
  const length = await grown(page);
  await ranked(other, there);
  await grown(page, length);
  await again(page);
  assert.equal((await ranked(page, here)).loaded, 0, "the second tab lost what the first kept");
  await again(page);
  assert.equal((await ranked(page, there)).loaded, 0, "what the second tab computed is lost");

  // While the other writes, nothing can be deleted: it is done right after.
  await other.evaluate(async (path) => {
    const [folder, name] = path.split("/");
    const root = await navigator.storage.getDirectory();
    const file = await (await root.getDirectoryHandle(folder)).getFileHandle(name);
    const stream = await file.createWritable();
    setTimeout(() => stream.close(), 400);
  }, FILE);
  await page.uncheck("#keep");
  await gone(page);
  assert.equal(await ticked(page), false);
  assert.ok((await ranked(other, samples("third", 10, 14))).bytes.length > 0);
  await until(async () => !(await ticked(other)), "the other tab still says that it keeps");
  assert.deepEqual(await stored(page), {});
  assert.deepEqual(faults, []);
  await context.close();
});

test("a browser without room says so once, and shows the result", { timeout: 10 * MINUTE }, async () => {
  const { context, page, faults } = await open(browser, site.url);
  await page.check("#keep");
  const first = await ranked(page, samples("room", 0, 4));
  const length = await grown(page);
  const quota = await context.newCDPSession(page);
  await quota.send("Storage.overrideQuotaForOrigin", { origin: site.origin, quotaSize: 1 });
  const second = await ranked(page, samples("no-room", 4, 8));
  await says(page, "#status", /^Done\..*\. Scores .*no more room.*Keep scores/s);
  assert.match(await page.innerText("#keep-note"), /no more room/);
  assert.equal(await page.isVisible("#result"), true);
  // Told once: the next run has the status for itself.
  await ranked(page, samples("no-room-either", 8, 12));
  await says(page, "#status", /^Done\./);
  await new Promise((done) => setTimeout(done, 500));
  assert.doesNotMatch(await page.innerText("#status"), /room/);
  assert.match(await page.innerText("#keep-note"), /no more room/);
  await holds(page, length);
  // With room again, all of it is kept.
  await quota.send("Storage.overrideQuotaForOrigin", { origin: site.origin });
  await ranked(page, samples("room-again", 12, 16));
  await grown(page, length);
  assert.equal(await page.isHidden("#keep-note"), true);
  await again(page);
  for (const [file, was] of [["room", first], ["no-room", second]]) {
    const now = await ranked(page, join(folder, `${file}.jsonl`));
    assert.equal(now.loaded, 0, file);
    assert.ok(now.bytes.equals(was.bytes), file);
  }
  assert.deepEqual(faults, []);
  await context.close();
});

for (const [what, lack] of [
  ["gives none", () => { navigator.storage.getDirectory = () => Promise.reject(new DOMException("no", "SecurityError")); }],
  ["throws at the asking", () => { navigator.storage.getDirectory = () => { throw new Error("no"); }; }],
  ["has none", () => { delete StorageManager.prototype.getDirectory; }],
  ["has no storage at all", () => { delete Navigator.prototype.storage; }],
  ["writes in another way", () => { delete FileSystemFileHandle.prototype.createWritable; }],
  ["knows no such files", () => { delete globalThis.FileSystemFileHandle; }],
]) {
  test(`a browser that ${what} keeps nothing, says so, and ranks`, { timeout: 5 * MINUTE }, async () => {
    const context = await browser.newContext({ acceptDownloads: true });
    const page = await context.newPage();
    const faults = [];
    page.on("pageerror", (e) => faults.push(String(e)));
    await page.addInitScript(lack);
    await page.goto(site.url);
    await state(page, "empty");
    await says(page, "#keep-note", /keep nothing here/);
    assert.equal(await page.isDisabled("#keep"), true);
    assert.equal(await ticked(page), false);
    assert.equal((await ranked(page, samples("without", 0, 4))).loaded, 2);
    assert.match(await page.innerText("#keep-note"), /keep nothing here/);
    assert.deepEqual(faults, []);
    await context.close();
  });
}
