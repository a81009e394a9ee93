// What a person meets: by keyboard alone, by a screen reader's rules, and in
// pictures of every state, light and dark, wide and narrow.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DIST, MINUTE, ROOT, demo, finished, launch, many, open, ranking, says, serve, set, slow, state } from "./support.mjs";

let browser, site;
const folder = mkdtempSync(join(tmpdir(), "basetrace-"));
const pictures = join(ROOT, "target/screenshots");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

before(async () => {
  ({ browser } = await launch());
  site = await serve(DIST);
  mkdirSync(pictures, { recursive: true });
});
after(async () => {
  await browser?.close();
  await site?.stop();
  rmSync(folder, { recursive: true });
});

/// Presses Tab until `selector` has the focus, and sees that one can see it.
async function reach(page, selector) {
  for (let i = 0; i < 200; i++) {
    if (await page.evaluate((s) => document.activeElement?.matches(s), selector)) {
      const seen = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement);
        const box = document.activeElement.getBoundingClientRect();
        return box.width > 0 && box.height > 0
          && (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none");
      });
      assert.ok(seen, `the focus on ${selector} cannot be seen`);
      return;
    }
    await page.keyboard.press("Tab");
  }
  assert.fail(`${selector} cannot be reached with Tab`);
}

test("by keyboard alone from files to the result", { timeout: 10 * MINUTE }, async () => {
  const { context, page } = await open(browser, site.url);
  const { single, samples } = demo();
  const few = join(folder, "few.jsonl");
  writeFileSync(few, readFileSync(samples, "utf8").split("\n").slice(0, 4).join("\n"));
  await reach(page, "#pick-files");
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.keyboard.press("Enter")]);
  await chooser.setFiles([single[0].path, single[1].path, few]);
  await state(page, "ready");
  await set(page, "#max-new-tokens", 4);
  await page.evaluate(() => document.activeElement.blur());
  await reach(page, "#run");
  await page.keyboard.press("Enter");
  await state(page, "running", "done");
  await finished(page);
  assert.equal((await ranking(page)).length, 2);
  // Told to those who do not see it, too.
  const live = await page.$$eval("[aria-live], [role=status], [role=alert], output", (all) => all.map((e) => e.textContent).join(" "));
  assert.ok(live.includes((await ranking(page))[0]) || /done|ranked|finished|complete|result/i.test(live), `no live region tells the end: ${live}`);
  await reach(page, "#export-json");
  const [file] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  assert.match(file.suggestedFilename(), /\.json$/);
  await context.close();
});

test("a run can be cancelled by keyboard", { timeout: 10 * MINUTE }, async () => {
  const { context, page } = await open(browser, site.url);
  const { single } = demo();
  await page.setInputFiles("#input-files", [single[0].path, single[1].path, many(join(folder, "many.jsonl"))]);
  await state(page, "ready");
  await slow(page);
  await reach(page, "#run");
  await page.keyboard.press("Enter");
  await state(page, "running");
  await reach(page, "#cancel");
  await page.keyboard.press("Enter");
  assert.equal(await state(page, "ready", "done", "error"), "ready");
  await context.close();
});

/// Serious breaches of the accessibility rules, in words.
async function breaches(page) {
  // As the debugger's text: as a script element the policy would refuse it.
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations, passes } = await globalThis.axe.run(document, { resultTypes: ["violations", "passes"] });
    if (passes.length < 5) throw new Error("the rules were not run");
    return violations.filter((v) => ["serious", "critical"].includes(v.impact))
      .map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join("; ")}`);
  });
}

/// The widest that anything reaches beyond the window.
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

for (const colorScheme of ["light", "dark"]) {
  for (const viewport of [{ width: 1280, height: 900 }, { width: 390, height: 844 }]) {
    const name = `${colorScheme}-${viewport.width}`;
    test(`every state in ${colorScheme}, ${viewport.width} wide`, { timeout: 15 * MINUTE }, async () => {
      const { context, page, faults } = await open(browser, site.url, { colorScheme, viewport, reducedMotion: "reduce" });
      const { single } = demo();
      const look = async (what, rules = true) => {
        await page.screenshot({ path: join(pictures, `${what}-${name}.png`), fullPage: true });
        assert.ok(await overflow(page) <= 0, `${what} is wider than the window by ${await overflow(page)}`);
        if (rules) assert.deepEqual(await breaches(page), [], what);
      };
      await look("empty");
      await page.setInputFiles("#input-files", [single[0].path, single[1].path, many(join(folder, `many-${name}.jsonl`), 400)]);
      await state(page, "ready");
      await look("ready");
      await set(page, "#max-samples", 400);
      await page.click("#run");
      await state(page, "running");
      await page.waitForFunction(() => document.querySelector("#progress").position > 0.05);
      await says(page, "#time-left", /token.*(min|s)\b/);
      // The rules would take longer than the run may.
      await look("running", false);
      await page.click("#cancel");
      await state(page, "ready");
      await page.click("#clear");
      await state(page, "empty");
      await set(page, "#max-samples", 60);
      await page.click("#demo");
      await finished(page);
      await look("done");
      await page.click("#clear");
      const cut = join(folder, "cut-off.gguf");
      writeFileSync(cut, readFileSync(single[0].path).subarray(0, 3000));
      const nothing = join(folder, "nothing.safetensors");
      writeFileSync(nothing, "");
      await page.setInputFiles("#input-files", [cut, nothing]);
      await says(page, "#problems", /nothing\.safetensors/);
      await says(page, "#problems", /cut-off\.gguf/);
      await look("error");
      assert.deepEqual(faults, []);
      await context.close();
    });
  }
}

test("light and dark are different, and both keep their contrast", { timeout: 5 * MINUTE }, async () => {
  const back = async (colorScheme) => {
    const { context, page } = await open(browser, site.url, { colorScheme });
    const colour = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await context.close();
    return colour;
  };
  assert.notEqual(await back("light"), await back("dark"));
});
