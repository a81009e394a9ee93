// A second visit needs no network, and a new version comes whole.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DIST, MINUTE, ROOT, finished, kept, launch, open, ranking, serve, state } from "./support.mjs";

let browser;
const folder = mkdtempSync(join(tmpdir(), "basetrace-"));

before(async () => ({ browser } = await launch()));
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

for (const path of ["/", "/below/a/path/"]) {
  test(`with the server stopped the page at ${path} opens and ranks the demo`, { timeout: 10 * MINUTE }, async () => {
    const site = await serve(DIST, { path });
    const { context, page, faults } = await open(browser, site.url);
    await kept(page);
    await site.stop();
    await assert.rejects(fetch(site.url), "the server still answers");
    const before = site.requests.length;
    await page.reload();
    await state(page, "empty");
    await page.click("#demo");
    await finished(page);
    assert.ok((await ranking(page)).length > 1);
    // As from a bookmark, with what others append to links, and in a new tab.
    const other = await context.newPage();
    for (const address of ["", "index.html", "?from=mail", "#x"]) {
      await other.goto(site.url + address);
      await state(other, "empty");
    }
    assert.equal(site.requests.length, before);
    assert.deepEqual(faults, []);
    await context.close();
  });
}

test("a new version replaces the old one at the next reload, whole", { timeout: 10 * MINUTE }, async () => {
  const dist = join(folder, "dist");
  cpSync(DIST, dist, { recursive: true });
  const site = await serve(dist);
  const { context, page } = await open(browser, site.url);
  await kept(page);
  const names = () => page.evaluate(() => caches.keys());
  const [old] = await names();

  const html = readFileSync(join(dist, "index.html"), "utf8");
  writeFileSync(join(dist, "index.html"), html.replace("<head>", '<head><meta name="second" content="yes">'));
  // A file whose hash is not the list's: half of one version, half of another.
  cpSync(join(ROOT, "www/sw.js"), join(dist, "sw.js"));
  const hook = () => execFileSync("node", [join(ROOT, "xtask/precache.mjs")], {
    env: { ...process.env, TRUNK_SOURCE_DIR: ROOT, TRUNK_STAGING_DIR: dist },
  });
  hook();
  const boot = readFileSync(join(dist, "boot.js"));
  writeFileSync(join(dist, "boot.js"), `${boot}\n`);
  const update = () => page.evaluate(async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    await registration.update().catch(() => {});
    const worker = registration.installing ?? registration.waiting;
    while (worker && !["installed", "redundant", "activated"].includes(worker.state)) {
      await new Promise((done) => worker.addEventListener("statechange", done, { once: true }));
    }
    return worker?.state;
  });
  assert.equal(await update(), "redundant", "a mixture of two versions was installed");
  const second = () => page.locator("meta[name=second]").count();
  await page.reload();
  await state(page, "empty");
  assert.equal(await second(), 0, "part of a version that is not whole was shown");

  writeFileSync(join(dist, "boot.js"), boot);
  assert.equal(await update(), "installed");
  assert.equal(await second(), 0);
  await page.reload();
  await page.waitForSelector("meta[name=second]", { state: "attached" });
  await state(page, "empty");
  await site.stop();
  await page.reload();
  await state(page, "empty");
  assert.equal(await second(), 1, "the new version is not kept");
  const now = await names();
  assert.ok(!now.includes(old) && now.length === 1, `the old version is still kept: ${now}`);
  await context.close();
});

test("where no service worker can be, the page works all the same", { timeout: 10 * MINUTE }, async () => {
  const site = await serve(DIST);
  const { context, page } = await open(browser, site.url, { serviceWorkers: "block" });
  await page.click("#demo");
  await finished(page);
  assert.ok((await ranking(page)).length > 1);
  await context.close();
  await site.stop();
});

test("a browser that lacks something is told what", { timeout: 5 * MINUTE }, async () => {
  const site = await serve(DIST);
  for (const [lack, words] of [
    [() => delete globalThis.Worker, /worker/i],
    [() => delete globalThis.WebAssembly, /WebAssembly/],
    [() => { WebAssembly.validate = () => false; }, /SIMD/],
  ]) {
    const context = await browser.newContext({ serviceWorkers: "block" });
    const page = await context.newPage();
    await page.addInitScript(lack);
    await page.goto(site.url);
    await state(page, "error");
    assert.match(await page.innerText("#status"), words);
    await context.close();
  }
  const context = await browser.newContext({ serviceWorkers: "block" });
  const page = await context.newPage();
  await page.route(/page[^/]*\.wasm$/, (route) => route.fulfill({ status: 503, body: "" }));
  await page.goto(site.url);
  await state(page, "error");
  assert.match(await page.innerText("#status"), /could not be loaded.*503/);
  await context.close();
  await site.stop();
});
