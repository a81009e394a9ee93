// Runs that do not go to plan: cancelled, fed with broken files, or with
// samples that mean harm. What was loaded stays loaded.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, afterEach, test } from "node:test";
import { DIST, MINUTE, ROOT, demo, download, finished, launch, many, open, ranking, run, says, serve, set, slow, state } from "./support.mjs";

let browser, site, context, page, faults;
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
beforeEach(async () => ({ context, page, faults } = await open(browser, site.url)));
afterEach(async () => {
  await context.close();
  assert.deepEqual(faults, []);
});

/// Copies of the demo's candidates that are one file.
function models(name, count = 2) {
  mkdirSync(join(folder, name), { recursive: true });
  return demo().single.slice(0, count).map((b) => {
    const path = join(folder, name, `${b.label}.gguf`);
    cpSync(b.path, path);
    return { label: b.label, path };
  });
}

/// `count` samples of the demo's suspect, in a file.
function samples(name, count = 4) {
  const path = join(folder, `${name}.jsonl`);
  writeFileSync(path, readFileSync(demo().samples, "utf8").split("\n").slice(0, count).join("\n"));
  return path;
}

async function load(files, ready = true) {
  await page.setInputFiles("#input-files", files);
  if (ready) await state(page, "ready");
}

async function quick() {
  await set(page, "#max-new-tokens", 4);
}

test("cancel takes effect within half a second, and all stays loaded", { timeout: 10 * MINUTE }, async () => {
  const [a, b] = models("cancel");
  await load([a.path, b.path, many(join(folder, "cancel.jsonl"))]);
  const loaded = await page.innerText("#samples");
  assert.match(loaded, /2000/);
  await slow(page);
  for (const moment of ["at once", "in the midst"]) {
    await page.click("#run");
    await state(page, "running");
    if (moment === "in the midst") {
      const done = () => page.$eval("#progress", (p) => p.value / (p.max || 1));
      const deadline = Date.now() + 2 * MINUTE;
      while (!(await done() > 0)) assert.ok(Date.now() < deadline, "there is no progress");
    }
    // Measured in the page: the test's own messages take their time, too.
    const waited = await page.evaluate(() => new Promise((done) => {
      const start = performance.now();
      const root = document.documentElement;
      const look = () => root.dataset.state === "running" ? setTimeout(look, 5) : done(performance.now() - start);
      document.querySelector("#cancel").click();
      look();
    }));
    console.log(`cancel ${moment}: ${waited.toFixed(0)} ms`);
    assert.ok(waited < 500, `cancel took ${waited} ms`);
    assert.equal(await state(page, "ready", "done", "error"), "ready");
    const listed = await page.innerText("#candidates");
    for (const { label } of [a, b]) assert.ok(listed.includes(label), `${label} is gone`);
    assert.equal(await page.innerText("#samples"), loaded);
  }
  await quick();
  await set(page, "#max-samples", 6);
  await run(page);
  assert.equal((await ranking(page)).length, 2);
});

test("progress is in tokens, grows, and tells the time left", { timeout: 10 * MINUTE }, async () => {
  const [a, b] = models("progress");
  await load([a.path, b.path, samples("progress", 20)]);
  await page.evaluate(() => {
    globalThis.seen = [];
    const look = () => {
      const bar = document.querySelector("#progress");
      const left = document.querySelector("#time-left").textContent;
      const stage = document.querySelector("#stage").textContent;
      if (document.documentElement.dataset.state === "running") seen.push({ at: bar.value / (bar.max || 1), left, stage });
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  await run(page);
  const seen = await page.evaluate(() => seen);
  assert.ok(seen.some((s) => /\d.*(s|min)/.test(s.left)), "no time left was told");
  assert.ok(seen.some((s) => /token/.test(s.stage + s.left)), "no tokens were told");
  for (const { label } of [a, b]) assert.ok(seen.some((s) => s.stage.includes(label)), `nothing was said of ${label}`);
});

test("broken files are named with a hint, and the good stay", { timeout: 10 * MINUTE }, async () => {
  const [a, b] = models("broken");
  const path = (name, bytes) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const whole = readFileSync(b.path);
  await load([a.path, samples("broken")]);
  const broken = [
    ["empty.gguf", Buffer.alloc(0), /empty/i],
    ["short.gguf", whole.subarray(0, whole.length >> 1), /./],
    ["head.gguf", whole.subarray(0, 40), /./],
    ["noise.safetensors", Buffer.from("\u0001\u0002\u00ff noise".repeat(50), "latin1"), /./],
  ];
  for (const [name, bytes] of broken) {
    await load([path(name, bytes)], false);
    await says(page, "#problems", new RegExp(name.replace(".", "\\.")));
  }
  const said = await page.innerText("#problems");
  for (const [name, , words] of broken) {
    const line = said.split("\n").filter((l) => l.includes(name)).join(" ");
    assert.match(line, words);
  }
  // A folder without its tokenizer says what it needs.
  const bare = join(folder, "bare");
  mkdirSync(bare, { recursive: true });
  for (const f of ["config.json", "model.safetensors"]) cpSync(join(ROOT, "tests/fixtures/families/llama", f), join(bare, f));
  await page.setInputFiles("#input-folder", bare);
  await says(page, "#problems", /needs tokenizer\.json/);
  // Nothing of that harmed the good one.
  assert.ok((await page.innerText("#candidates")).includes(a.label));
  await load([b.path]);
  await quick();
  await run(page);
  assert.deepEqual((await ranking(page)).sort(), [a.label, b.label].sort());
});

test("a file deleted after the drop costs only its own result", { timeout: 10 * MINUTE }, async () => {
  const all = models("deleted", 3);
  await load([...all.map((m) => m.path), samples("deleted")]);
  await quick();
  const listed = await page.innerText("#candidates");
  for (const { label } of all) assert.ok(listed.includes(label));
  rmSync(all[1].path);
  await run(page);
  assert.deepEqual((await ranking(page)).sort(), [all[0].label, all[2].label].sort());
  await says(page, "#problems", new RegExp(all[1].label));
});

test("with nothing to run the page says what is missing", { timeout: 5 * MINUTE }, async () => {
  assert.ok(await page.isDisabled("#run"), "there is nothing to run");
  const [a] = models("missing", 1);
  await page.setInputFiles("#input-files", a.path);
  await says(page, "#candidates", new RegExp(a.label));
  assert.ok(await page.isDisabled("#run"), "there are no samples to run on");
  await page.setInputFiles("#input-files", samples("missing"));
  await state(page, "ready");
  assert.ok(await page.isEnabled("#run"));
  await page.click("#clear");
  await state(page, "empty");
  assert.ok(!(await page.innerText("#candidates")).includes(a.label), "the candidate is still there");
});

test("pasted text counts as samples", { timeout: 5 * MINUTE }, async () => {
  const [a, b] = models("pasted");
  await page.setInputFiles("#input-files", [a.path, b.path]);
  await says(page, "#candidates", new RegExp(b.label));
  await set(page, "#paste", "The first response, of some words.\n\nThe second response, of other words.");
  await page.locator("#paste").blur();
  await state(page, "ready");
  await says(page, "#samples", /\b2\b/);
  await quick();
  await run(page);
  assert.equal((await ranking(page)).length, 2);
});

test("hostile samples and names are shown as text", { timeout: 10 * MINUTE }, async () => {
  const [a, b] = models("hostile");
  const evil = join(folder, `<img src=x onerror="document.title='run'">.gguf`);
  cpSync(b.path, evil);
  const path = join(folder, "hostile.jsonl");
  const row = (response) => JSON.stringify({ prompt: "<b id=injected>bold</b>", response });
  writeFileSync(path, [
    row("<img src=x onerror=\"document.title='run'\">"),
    row("<script>document.title='run'</script>"),
    row("<svg onload=\"document.title='run'\"><a href=\"javascript:document.title='run'\">x</a></svg>"),
    row("&lt;img src=x onerror=alert(1)&gt; \u202e reversed \u0000 null"),
  ].join("\n"));
  await load([a.path, evil, path]);
  await quick();
  const title = await page.title();
  await run(page);
  const table = await page.textContent("#sample-table");
  assert.ok(table.includes("<img src=x") || table.includes("<script>"), "the sample is not shown as it is");
  const injected = await page.evaluate(() => ({
    named: document.querySelectorAll("#injected, [onerror], [onload], img[src='x'], a[href^='javascript']").length,
    scripts: [...document.scripts].filter((s) => !s.src.startsWith(location.origin)).length,
  }));
  assert.deepEqual(injected, { named: 0, scripts: 0 });
  assert.equal(await page.title().then((t) => t === "run"), false, `the title was ${title}`);
});

test("the same run twice gives the same bytes", { timeout: 10 * MINUTE }, async () => {
  const [a, b] = models("twice");
  await load([a.path, b.path, samples("twice", 6)]);
  await quick();
  await run(page);
  const first = await download(page, "#export-json");
  await page.click("#run");
  await state(page, "running", "done");
  await finished(page);
  const second = await download(page, "#export-json");
  assert.ok(first.bytes.equals(second.bytes), "two runs differ");
});
