// Text alone: candidates and suspects known by their responses, on the paper's
// own models, from the files to the matrix of all suspects.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CLI, DIST, MINUTE, MODELS, ROOT, SHARED, download, finished, launch, open, says, serve, set, state } from "./support.mjs";

const bases = join(SHARED, "mlmac/bases.jsonl");
const suspects = join(SHARED, "mlmac/suspects-dev.jsonl");
const absent = [bases, suspects].filter((f) => !existsSync(f));
const skip = absent.length > 0 && `${absent.join(", ")} not there`;
const folder = mkdtempSync(join(tmpdir(), "basetrace-"));
const pictures = join(ROOT, "target/screenshots");

let browser, caught, site;
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
const roles = (page) => page.$$eval("#samples select", (all) => all.map((e) => e.value));

test("five suspects against ten candidates, by their responses alone", { skip, timeout: 10 * MINUTE }, async (t) => {
  const { context, page, faults } = await open(browser, site.url);
  await page.setInputFiles("#input-files", [bases, suspects]);
  await state(page, "ready");
  await says(page, "#samples", /1336 samples of 10 models/);
  await says(page, "#status", /10 candidates and 737 samples loaded/);
  // The first that names its models holds candidates; it can be said otherwise.
  assert.deepEqual(await roles(page), ["candidate", "suspect"]);
  await page.selectOption("#role-0", "suspect");
  await page.waitForFunction(() => document.querySelector("#run").disabled === false
    && [...document.querySelectorAll("#samples select")].map((e) => e.value).join() === "suspect,candidate");
  await page.selectOption("#role-1", "suspect");
  await says(page, "#run-needs", /candidate models first/);
  assert.ok(await page.isDisabled("#run"));
  await page.selectOption("#role-0", "candidate");
  await state(page, "ready");

  const start = performance.now();
  await page.click("#run");
  await state(page, "running", "done");
  await finished(page, 5 * MINUTE);
  console.log(`text only, 10 candidates, 5 suspects: ${((performance.now() - start) / 1000).toFixed(1)} s from click to ranking`);
  assert.deepEqual(await cells(page, "#suspect-choice option"), ["1", "3", "5", "7", "8"]);
  assert.equal((await cells(page, "#matching tbody tr")).length, 5);
  await says(page, "#matching", /supposes that no two suspects come from one candidate/);
  const methods = await cells(page, "#methods tbody th");
  for (const name of ["fused", "stylometry", "opening-agreement", "exact-match"]) assert.ok(methods.includes(name), name);
  // There are no weights, so nothing that needs them is shown.
  for (const id of ["#heat-part", "#levels-part", "#sample-part"]) assert.ok(await page.isHidden(id), id);

  await page.selectOption("#suspect-choice", { value: "3" });
  await says(page, "#verdict", /xlnet-base-cased/);
  const ours = JSON.parse((await download(page, "#export-json")).bytes);
  assert.equal(ours.suspect, "7");
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 900 });
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `it overflows at ${width}`);
      await page.screenshot({ path: join(pictures, `text-${scheme}-${width}.png`), fullPage: true });
    }
  }
  assert.deepEqual(faults, []);
  assert.deepEqual(caught, []);
  await context.close();

  await t.test("the native command agrees", { skip: !existsSync(CLI) && `${CLI} not built` }, () => {
    const run = spawnSync(CLI, ["rank", "--candidate", bases, "--samples", suspects, "--json", "--quiet"], { encoding: "utf8", maxBuffer: 1 << 28 });
    const theirs = JSON.parse(run.stdout).reports[3];
    assert.equal(theirs.suspect, "7");
    assert.deepEqual(ours.findings, theirs.findings);
    assert.deepEqual(ours.matching, theirs.matching);
  });
});

test("prompts that do not overlap, and a suspect that said nothing", { timeout: 5 * MINUTE }, async () => {
  const row = (model, prompt, response) => JSON.stringify({ model, prompt, response });
  const write = (name, rows) => {
    const path = join(folder, name);
    writeFileSync(path, rows.join("\n"));
    return path;
  };
  const many = (model, of) => Array.from({ length: 12 }, (_, i) => row(model, `p${i}`, of(i)));
  const candidates = write("c.jsonl", [...many("a", (i) => `YES ${i}!`), ...many("b", (i) => `well, ${i} or so`)]);
  const mute = Array.from({ length: 3 }, (_, i) => row("mute", `p${i}`, ""));
  const other = Array.from({ length: 12 }, (_, i) => row("other", `q${i}`, `NO ${i}! NO!`));
  const theirs = write("s.jsonl", [...mute, ...other]);
  const { context, page, faults } = await open(browser, site.url);
  await page.setInputFiles("#input-files", [candidates, theirs]);
  await state(page, "ready");
  await page.click("#run");
  await state(page, "running", "done");
  await finished(page, MINUTE);
  await says(page, "#problems", /mute.*all its responses are empty/is);
  await says(page, "#problems", /prompts do not overlap/i);
  // Style needs no common prompts.
  assert.ok((await cells(page, "#methods tbody th")).includes("stylometry"));
  assert.deepEqual(faults, []);
  await context.close();
});

test("known fine-tunes are learnt from, and saved prompts without an answer are named", { timeout: 5 * MINUTE }, async (t) => {
  const write = (name, rows) => {
    const path = join(folder, name);
    writeFileSync(path, rows.map((r) => JSON.stringify(r)).join("\n"));
    return path;
  };
  const many = (model, of, more = {}, n = 12) => Array.from({ length: n }, (_, i) => ({ model, prompt: `p${i}`, response: of(i), ...more }));
  const learn = write("bases.jsonl", [...many("a", (i) => `YES ${i}! NOW!`), ...many("b", (i) => `well, ${i} or so`)]);
  const judge = write("judged.jsonl", many("s", (i) => `NO, ${i}! NO!`, {}, 10));
  const known = write("known.jsonl", many("k", (i) => `NO ${i}! NEVER!`, { base: "a" }));
  const unnamed = write("unnamed.jsonl", many("l", (i) => `perhaps ${i}, or so they say`));
  const asked = write("asked.jsonl", Array.from({ length: 12 }, (_, i) => ({ prompt: `p${i}`, prompt_set: "mine" })));
  const truth = write("truth.json", [{ l: "b" }]);

  const { context, page, faults } = await open(browser, site.url);
  await page.setInputFiles("#input-files", [learn, judge, known, unnamed, asked]);
  await state(page, "ready");
  // Rows that name their base are known fine-tunes'; of the others it must be said.
  assert.deepEqual(await roles(page), ["candidate", "suspect", "labelled", "suspect"]);
  await says(page, "#samples", /asked\.jsonl\s+12 prompts/);
  await says(page, "#samples", /s: 2 of 12 prompts have no answer: “p10”, “p11”/);
  await page.selectOption("#role-3", "labelled");
  await says(page, "#problems", /l: nothing says which candidate this fine-tune comes from/i);
  await says(page, "#status", /2 candidates and 10 samples loaded/);
  // The fine-tune without a label costs nothing else.
  assert.ok(await page.isEnabled("#run"));
  await page.setInputFiles("#input-files", [truth]);
  await says(page, "#samples", /truth\.json\s+the candidates of 1 known fine-tune/);
  await page.waitForFunction(() => document.querySelector("#problem-box").hidden);
  assert.deepEqual(await roles(page), ["candidate", "suspect", "labelled", "labelled"]);

  await page.click("#run");
  await state(page, "running", "done");
  await finished(page, MINUTE);
  // Folded away, but on the page.
  assert.match(await page.textContent("#result"), /s: 2 of 12 prompts have no answer/);
  const ours = JSON.parse((await download(page, "#export-json")).bytes);
  const about = ours.findings.find((f) => f.method === "stylometry").about;
  assert.match(about, /Knowledge: universal, 2 labelled fine-tunes/);
  assert.match(await page.textContent("#result"), /2 labelled fine-tunes/);
  assert.deepEqual(ours.inputs.map((i) => i.name).sort(), ["asked.jsonl", "bases.jsonl", "judged.jsonl", "known.jsonl", "truth.json", "unnamed.jsonl"]);
  await page.click("#samples [data-remove='truth.json']");
  await says(page, "#problems", /l: nothing says which candidate/i);
  assert.deepEqual(faults, []);
  await context.close();

  await t.test("the native command agrees", { skip: !existsSync(CLI) && `${CLI} not built` }, () => {
    const run = spawnSync(CLI, ["rank", "--candidate", learn, "--samples", judge, "--labelled", known, unnamed, "--truth", truth, "--prompts", asked, "--json", "--quiet"], { encoding: "utf8", maxBuffer: 1 << 28 });
    const theirs = JSON.parse(run.stdout);
    assert.deepEqual(ours.findings, theirs.findings);
    assert.deepEqual(ours.notes, theirs.notes);
  });
});

const minilm = join(MODELS, "all-minilm-l6-v2");
const unread = [join(minilm, "model.safetensors"), ...absent].filter((f) => !existsSync(f));

test("a classifier on an encoder, trained here as by the native command", { skip: unread.length > 0 && `${unread.join(", ")} not there: run ../shared/models/fetch target/models`, timeout: 20 * MINUTE }, async () => {
  // 300 responses of two bases to learn from, and a fine-tune of each to judge.
  const rows = (file, models) => readFileSync(file, "utf8").split("\n").filter(Boolean)
    .map((line) => JSON.parse(line)).filter((row) => models.includes(row.model));
  const write = (name, all) => {
    const path = join(folder, name);
    writeFileSync(path, all.map((row) => JSON.stringify(row)).join("\n"));
    return path;
  };
  const learn = write("two-bases.jsonl", rows(bases, ["opt-350m", "xlnet-base-cased"]));
  const judge = write("two-suspects.jsonl", rows(suspects, ["1", "7"]));
  const { context, page, faults } = await open(browser, site.url);
  await page.setInputFiles("#input-files", [learn, judge]);
  await page.setInputFiles("#input-folder", minilm);
  await state(page, "ready");
  await says(page, "#encoder", /all-minilm-l6-v2.*text encoder/is);
  await says(page, "#status", /2 candidates/);
  const epochs = process.env.EPOCHS ?? "20";
  await page.evaluate(() => { document.querySelector("#work details").open = true; });
  if (process.env.WHOLE) await page.selectOption("#training-mode", "whole");
  await set(page, "#epochs", epochs);
  const start = performance.now();
  await page.click("#run");
  await state(page, "running", "done");
  await finished(page, 18 * MINUTE);
  console.log(`encoder, 300 responses, ${epochs} epochs: ${((performance.now() - start) / 1000).toFixed(1)} s in Chromium`);
  assert.equal((await page.innerText("#problems")).trim(), "");
  await page.selectOption("#suspect-choice", { value: "1" });
  const ours = JSON.parse((await download(page, "#export-json")).bytes);
  assert.deepEqual(faults, []);
  await context.close();
  if (!existsSync(CLI)) return;
  const mode = process.env.WHOLE ? ["--whole"] : [];
  const begun = performance.now();
  const run = spawnSync(CLI, ["rank", "--candidate", learn, minilm, "--samples", judge, "--json", "--quiet", "--epochs", epochs, ...mode], { encoding: "utf8", maxBuffer: 1 << 28 });
  console.log(`natively: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  const theirs = JSON.parse(run.stdout).reports[1];
  for (const method of ["transformer", "triplet"]) {
    const of = (report) => report.findings.find((f) => f.method === method).standings;
    const votes = (report) => of(report).map((s) => [report.candidates[s.candidate].label, s.votes]);
    console.log(method, JSON.stringify(votes(ours)), JSON.stringify(votes(theirs)));
    const about = ours.findings.find((f) => f.method === method).about;
    const [first, last] = about.match(/mean loss ([\d.]+) in the first epoch and ([\d.]+) in the last/).slice(1).map(Number);
    console.log(`${method}: loss ${first} to ${last}`);
    if (epochs !== "1") assert.ok(last < first, about);
    for (const [label, share] of votes(ours)) {
      const other = votes(theirs).find(([l]) => l === label)[1];
      // Rounding differs between the two; what is claimed must not.
      assert.ok(Math.abs(share - other) <= 0.02, `${method} claims ${share} for ${label} here and ${other} there`);
    }
  }
});
