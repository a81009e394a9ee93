// Descent by weights: the suspect's own file beside the candidates', who is
// who, and the pictures of what was found.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DIST, MINUTE, ROOT, demo, download, finished, launch, open, run, says, serve, set, state } from "./support.mjs";

let browser, caught, site;
const folder = mkdtempSync(join(tmpdir(), "basetrace-"));
const pictures = join(ROOT, "target/screenshots");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const committed = JSON.parse(readFileSync(join(ROOT, "tests/snapshots/kin.json"), "utf8"));

before(async () => {
  ({ browser, caught } = await launch());
  site = await serve(DIST);
  mkdirSync(pictures, { recursive: true });
});
after(async () => {
  await browser?.close();
  await site?.stop();
  rmSync(folder, { recursive: true });
});

const cells = (page, selector) => page.$$eval(selector, (all) => all.map((e) => e.textContent.trim()));

/// The path of demo base `label`, which is one file.
const base = (label) => demo().single.find((b) => b.label === label).path;

/// Larch with a little noise in every weight of its latter half: the low bits
/// of F16 numbers, so that none changes by more than a hundredth.
function tuned(name) {
  const bytes = readFileSync(base("larch"));
  for (let at = (bytes.length >> 2) << 1; at < bytes.length; at += 2) bytes[at] ^= (at / 2 * 2654435761 >>> 13) & 7;
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/// The choice of what the model called `label` is.
const choice = (label) => `#candidates li:has(bdi:text-is("${label}")) select`;

test("one of the models is said to be the suspect", { timeout: 5 * MINUTE }, async () => {
  const { context, page, faults } = await open(browser, site.url);
  await page.setInputFiles("#input-files", [base("larch"), tuned("larch-tuned.gguf"), base("birch")]);
  await says(page, "#status", /3 candidates/);
  await says(page, "#run-needs", /which model is the suspect/);
  assert.ok(await page.isDisabled("#run"));
  const order = await cells(page, "#candidates strong");
  // By keyboard; the list is made anew, and the choice keeps the focus.
  await page.focus(choice("larch-tuned"));
  await page.keyboard.press("ArrowDown");
  await state(page, "ready");
  await says(page, "#status", /2 candidates.*1 suspect by its weights/);
  assert.deepEqual(await cells(page, "#candidates strong"), order);
  assert.ok(await page.$eval(choice("larch-tuned"), (e) => e === document.activeElement && e.value === "suspect"));
  // Without another candidate there is nothing to compare.
  for (const label of ["larch", "birch"]) await page.selectOption(choice(label), "suspect");
  await says(page, "#run-needs", /candidate models to compare/);
  assert.ok(await page.isDisabled("#run"));
  await page.selectOption(choice("larch"), "candidate");
  await state(page, "ready");
  // What is taken away and comes back is a candidate, as any new file.
  await page.click(`#candidates li:has(bdi:text-is("larch-tuned")) button`);
  await says(page, "#status", /1 candidate .*1 suspect/);
  await page.setInputFiles("#input-files", [tuned("larch-tuned.gguf")]);
  await says(page, "#status", /2 candidates .*1 suspect/);
  assert.equal(await page.inputValue(choice("larch-tuned")), "candidate");
  await page.click("#clear");
  await page.setInputFiles("#input-files", [base("larch"), base("birch")]);
  await says(page, "#status", /2 candidates/);
  assert.equal(await page.inputValue(choice("birch")), "candidate");
  assert.deepEqual(faults, []);
  await context.close();
});

/// A page whose worker finds the committed report, whatever it is given.
async function shown(options) {
  const context = await browser.newContext({ acceptDownloads: true, serviceWorkers: "block", ...options });
  context.setDefaultTimeout(MINUTE);
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (e) => faults.push(String(e)));
  page.on("console", (m) => {
    if (/Content Security Policy|Trusted|panicked/i.test(m.text())) faults.push(m.text());
  });
  const seen = { candidates: [], encoder: null, problems: [], ignored: [], others: [], samples: [{ name: "pasted text", count: 1, role: "suspect", models: [], notes: [] }] };
  for (const { label } of committed.candidates) seen.candidates.push({ label, family: "llama", files: [label], bytes: 1 });
  const body = `
    const answer = (reply) => postMessage({ json: JSON.stringify(reply) });
    onmessage = ({ data }) => {
      const request = JSON.parse(data.json);
      if (request.inspect) answer({ inspected: { number: request.inspect.number, ...${JSON.stringify(seen)} } });
      else answer({ done: { reports: [${JSON.stringify(committed)}] } });
    };
    answer("ready");`;
  await page.route(/worker_loader/, (route) => route.fulfill({ contentType: "text/javascript", body }));
  await page.goto(site.url);
  await set(page, "#paste", "text");
  await state(page, "ready");
  await page.click("#run");
  await finished(page, MINUTE);
  return { context, page, faults };
}

/// Whether `svg` is a whole drawing with words for those who cannot see it.
const drawing = async (text) => (await browser.newPage()).evaluate((text) => {
  const svg = new DOMParser().parseFromString(text, "image/svg+xml");
  const says = (tag) => svg.documentElement.querySelector(`:scope > ${tag}`)?.textContent ?? "";
  return { fault: svg.querySelector("parsererror")?.textContent ?? null, title: says("title"), desc: says("desc"), metadata: says("metadata") };
}, text);

test("descent, heat map, nulls and dendrogram are shown and saved", { timeout: 5 * MINUTE }, async () => {
  const { context, page, faults } = await shown({});
  assert.deepEqual(await cells(page, "#descent tbody th"), ["larch", "alder <i>", "birch"]);
  await says(page, "#descent", /a fine-tune by a merged adapter\s+< 10⁻³⁰⁰\s+row-matching/);
  await says(page, "#lineage-tests", /weights \(white box\)/);
  await says(page, "#lineage-tests", /queries \(black box\)/);
  await says(page, "#lineage-context", /never counted as proof/);
  assert.match(await page.textContent("#nulls"), /off the scale/);
  assert.equal((await cells(page, "#layers .bt-cell")).length, 5 + 4 * 7);
  assert.ok(await page.isHidden("#layers-row"), "there is one map to choose");
  await page.selectOption("#lineage-candidate", { label: "alder <i>" });
  await says(page, "#lineage-tests", /Tests against alder <i>/);
  assert.doesNotMatch(await page.textContent("#nulls"), /off the scale/);
  for (const [button, name, title] of [
    ["#save-nulls", "basetrace-null.svg", /against alder <i> on their nulls/],
    ["#save-layers", "basetrace-layers.svg", /row-matching by layer, suspect against alder <i>/],
    ["#save-tree", "basetrace-tree.svg", /Dendrogram/],
  ]) {
    const saved = await download(page, button);
    assert.equal(saved.name, name);
    const { fault, ...says } = await drawing(saved.bytes.toString());
    assert.equal(fault, null);
    assert.match(says.title, title);
    assert.ok(says.desc.length > 50);
    assert.equal(JSON.parse(says.metadata).schema, "basetrace.report/1");
  }
  assert.deepEqual(faults, []);
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 390]) {
    test(`descent in ${colorScheme}, ${width} wide`, { timeout: 5 * MINUTE }, async () => {
      const { context, page, faults } = await shown({ colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" });
      await page.$$eval("details", (all) => all.forEach((e) => { e.open = true; }));
      await page.screenshot({ path: join(pictures, `lineage-${colorScheme}-${width}.png`), fullPage: true });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `it is wider than the window by ${over}`);
      await page.evaluate(axe);
      const breaches = await page.evaluate(async () => {
        const { violations, passes } = await globalThis.axe.run(document, { resultTypes: ["violations", "passes"] });
        if (passes.length < 5) throw new Error("the rules were not run");
        return violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join("; ")}`);
      });
      assert.deepEqual(breaches, []);
      assert.deepEqual(faults, []);
      await context.close();
    });
  }
}

/// What is said of the queries that the tests of one candidate rest on.
const asked = ({ tests }) => tests.filter((t) => t.method === "next-token-agreement").map((t) => t.about).join();

test("the suspect's weights name its base, without any text", { timeout: 10 * MINUTE }, async () => {
  const { context, page, faults } = await open(browser, site.url);
  await page.setInputFiles("#input-files", [base("larch"), base("birch"), tuned("larch-tuned.gguf")]);
  await says(page, "#status", /3 candidates/);
  await page.selectOption(choice("larch-tuned"), "suspect");
  await state(page, "ready");
  const start = performance.now();
  await run(page);
  console.log(`weights, 2 candidates: ${((performance.now() - start) / 1000).toFixed(2)} s from click to result`);
  await says(page, "#verdict", /larch/);
  assert.deepEqual(await cells(page, "#descent tbody th"), ["larch", "birch"]);
  const report = JSON.parse((await download(page, "#export-json")).bytes);
  const of = (label) => report.lineage.find((l) => report.candidates[l.candidate].label === label);
  assert.ok(["copy", "fine-tune", "adapter-merged"].includes(of("larch").relation), of("larch").relation);
  assert.ok(of("larch").ln_p < Math.log(1e-6), `ln p is ${of("larch").ln_p}`);
  assert.equal(of("birch").relation, "independent");
  // There is no text, so nothing that needs it is shown.
  for (const id of ["#heat-part", "#levels-part", "#sample-part"]) assert.ok(await page.isHidden(id), id);
  assert.ok(await page.isVisible("#layers svg"));
  assert.ok(await page.isVisible("#nulls svg"));
  const html = (await download(page, "#export-html")).bytes.toString();
  assert.match(html, /<h2>Descent<\/h2>/);
  const narrow = await browser.newPage({ viewport: { width: 390, height: 844 } });
  await narrow.setContent(html);
  await narrow.$$eval("details", (all) => all.forEach((e) => { e.open = true; }));
  const over = await narrow.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `the saved report is wider than a narrow window by ${over}`);
  await narrow.close();
  // Small models are asked everything, unless the user says how much.
  assert.equal(report.parameters.queries, undefined);
  assert.match(asked(of("larch")), /share of 100 prompts/);
  for (const [queries, want] of [[0, /^$/], [7, /share of 7 prompts/]]) {
    await set(page, "#queries", queries);
    await run(page);
    const report = JSON.parse((await download(page, "#export-json")).bytes);
    assert.equal(report.parameters.queries, queries);
    assert.match(asked(report.lineage[0]), want);
    assert.equal(await page.isVisible("#tree-part"), queries > 0);
  }
  await set(page, "#queries", -1);
  await page.click("#run");
  await says(page, "#status", /number of queries/);
  assert.deepEqual(faults, []);
  assert.deepEqual(caught, []);
  await context.close();
});
