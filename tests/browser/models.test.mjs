// Real models, dropped on the built page, and the native twin on the same.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { CLI, DIST, MINUTE, MODELS, SHARED, download, finished, kept, launch, open, ranking, says, serve, set, state } from "./support.mjs";

const gguf = join(MODELS, "smollm2-135m-instruct.Q4_1.gguf");
const stories = join(MODELS, "stories15m");
const suspect = join(SHARED, "suspects/b.jsonl");
const absent = [gguf, join(stories, "model.safetensors"), suspect].filter((f) => !existsSync(f));
const folder = mkdtempSync(join(tmpdir(), "basetrace-"));
after(() => rmSync(folder, { recursive: true }));

const skip = absent.length > 0 && `${absent.join(", ")} not there: run ../shared/models/fetch target/models`;
/// Settings that page and command share.
const NEW_TOKENS = 12;

test("SmolLM2 and stories15M are ranked, as by the native command", { skip, timeout: 20 * MINUTE }, async (t) => {
  const samples = join(folder, "b6.jsonl");
  writeFileSync(samples, readFileSync(suspect, "utf8").split("\n").slice(0, 6).join("\n"));

  const { browser, caught } = await launch();
  const site = await serve(DIST);
  const { page, faults } = await open(browser, site.url);
  await kept(page);
  const load = async () => {
    await page.setInputFiles("#input-files", [gguf, samples]);
    await page.setInputFiles("#input-folder", stories);
    await state(page, "ready", 3 * MINUTE);
    await says(page, "#candidates", /smollm2-135m-instruct.*stories15m|stories15m.*smollm2-135m-instruct/is);
    await set(page, "#max-new-tokens", NEW_TOKENS);
    // What the page shows of its progress, with the time.
    await page.evaluate(() => {
      globalThis.steps = [];
      const bar = document.querySelector("#progress");
      const stage = document.querySelector("#stage");
      new MutationObserver(() => steps.push({ at: performance.now(), stage: stage.textContent, done: bar.value, total: bar.max }))
        .observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    });
  };
  await load();
  await page.check("#keep");
  const start = performance.now();
  await page.click("#run");
  await state(page, "running", "done");
  await finished(page, 15 * MINUTE);
  console.log(`real models: ${((performance.now() - start) / 1000).toFixed(1)} s from click to ranking`);
  const speed = rate(await page.evaluate(() => steps), /smollm2.*scor/i);
  console.log(speed
    ? `SmolLM2-135M Q4_1 scores ${speed.rate.toFixed(1)} tokens/s in Chromium (${speed.tokens} tokens in ${speed.seconds.toFixed(1)} s)`
    : "SmolLM2's speed could not be read from the progress shown");
  assert.deepEqual(await page.innerText("#problems").then((s) => s.trim()), "");
  const labels = await ranking(page);
  assert.equal(labels.length, 2);
  const exported = (await download(page, "#export-json")).bytes;
  const ours = JSON.parse(exported);

  // Two workers shared the work where there are two cores; what they computed is
  // kept, so that the same run again loads no model and says the same.
  const shown = await page.evaluate(() => steps.map((s) => s.stage));
  const cores = await page.evaluate(() => navigator.hardwareConcurrency);
  assert.equal(shown.some((s) => /\(\d+ workers\)/.test(s)), cores > 1);
  assert.ok(shown.some((s) => /^Loading/.test(s)));
  const again = async () => {
    await page.evaluate(() => { steps.length = 0; });
    await page.click("#run");
    await state(page, "running", "done");
    await finished(page, 5 * MINUTE);
    const stages = await page.evaluate(() => steps.map((s) => s.stage));
    assert.ok(stages.some((s) => /scores/.test(s)));
    assert.deepEqual(stages.filter((s) => /^Loading/.test(s)), []);
    assert.ok(exported.equals((await download(page, "#export-json")).bytes), "another run says something else");
  };
  await again();
  // And so does another visit, as that was agreed to.
  await page.reload();
  await page.waitForSelector("#keep:enabled:checked");
  await load();
  await again();
  assert.deepEqual(faults, []);
  assert.deepEqual(caught, []);
  assert.ok(!site.requests.some((r) => /gguf|safetensors/.test(r) && !r.includes("/demo/")), "a model was asked of the server");
  await browser.close();
  await site.stop();

  await t.test("the native command agrees", { skip: !existsSync(CLI) && `${CLI} is not built`, timeout: 10 * MINUTE }, () => {
    const args = ["rank", "--candidate", gguf, "--candidate", stories, "--samples", samples, "--json", "--quiet", "--max-new-tokens", `${NEW_TOKENS}`];
    const done = spawnSync(CLI, args, { encoding: "utf8", maxBuffer: 1 << 28 });
    assert.ok([0, 3, 4].includes(done.status), done.stderr);
    const theirs = JSON.parse(done.stdout);
    const order = (report) => report.findings.map((f) => [f.method, ...f.standings.map((s) => report.candidates[s.candidate].label)]);
    assert.deepEqual(order(ours), order(theirs));
    assert.equal(ours.verdict.answer, theirs.verdict.answer);
    const hashes = (report) => report.inputs.map((i) => i.sha256).sort();
    assert.deepEqual(hashes(ours), hashes(theirs));
    let most = 0;
    let compared = 0;
    for (const [i, sample] of theirs.samples.entries()) {
      for (const [c, score] of sample.scores.entries()) {
        const label = theirs.candidates[c].label;
        const own = ours.samples[i].scores[ours.candidates.findIndex((o) => o.label === label)];
        const sum = (s) => s.tokens.reduce((all, token) => all + token.logprob, 0);
        const apart = Math.abs(sum(score) - sum(own));
        assert.ok(apart <= 1e-3, `sample ${i}, ${label}: ${sum(own)} on the page, ${sum(score)} natively`);
        most = Math.max(most, apart);
        compared += 1;
      }
    }
    assert.equal(compared, 12);
    const chances = (report) => report.findings.flatMap((f) => f.standings.map((s) => s.probability));
    for (const [i, p] of chances(theirs).entries()) assert.ok(Math.abs(p - chances(ours)[i]) <= 1e-3);
    console.log(`page and command: ${compared} log-likelihoods differ by ${most} at the most`);
  });
});

/// Tokens per second while the stage matched, from the steps shown.
function rate(steps, pattern) {
  let tokens = 0;
  let time = 0;
  for (const [i, step] of steps.entries()) {
    const before = steps[i - 1];
    if (!before || !pattern.test(step.stage) || step.stage !== before.stage || step.total <= 1) continue;
    if (step.done < before.done) continue;
    tokens += step.done - before.done;
    time += step.at - before.at;
  }
  return tokens > 0 && time > 0 ? { tokens, seconds: time / 1000, rate: tokens / (time / 1000) } : null;
}
