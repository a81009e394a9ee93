import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { DIST, MINUTE, MODELS, SHARED, finished, kept, launch, open, serve, state } from "./support.mjs";
const [model, samples, fresh] = process.argv.slice(2);
const rows = readFileSync(`${SHARED}/suspects/b.jsonl`, "utf8").split("\n").filter(Boolean).slice(0, +samples);
writeFileSync("/tmp/big/s.jsonl", rows.join("\n"));
function peak() {
  let most = 0;
  for (const pid of readdirSync("/proc").filter((p) => /^\d+$/.test(p))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("--type=renderer")) continue;
      most = Math.max(most, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024);
    } catch {}
  }
  return most;
}
const { browser } = await launch();
const site = await serve(DIST);
const { page } = await open(browser, site.url);
await kept(page);
await page.setInputFiles("#input-files", ["/tmp/big/s.jsonl", model, `${SHARED}/models/tiny/stories260k/x`].slice(0, 2));
await page.setInputFiles("#input-folder", `${MODELS}/stories15m`);
await state(page, "ready", 3 * MINUTE);
await page.evaluate((n) => { document.querySelector("#max-new-tokens").value = n; }, fresh);
await page.evaluate(() => {
  globalThis.steps = [];
  const stage = document.querySelector("#stage");
  const note = () => { const t = stage.textContent.replace(/:.*/, ""); if (steps.at(-1)?.[1] !== t) steps.push([performance.now() / 1000, t]); };
  new MutationObserver(note).observe(stage, { childList: true, characterData: true, subtree: true });
});
const start = performance.now();
await page.click("#run");
const timer = setInterval(async () => {
  const t = await page.evaluate(() => document.querySelector("#stage").textContent + " | " + document.querySelector("#time-left").textContent).catch(() => "");
  console.log(((performance.now() - start) / 1000).toFixed(0), t, peak().toFixed(0));
}, 20000);
try { await state(page, "running", "done"); await finished(page, 60 * MINUTE); } catch (e) { console.log(String(e).slice(0, 300)); }
clearInterval(timer);
console.log("seconds", (performance.now() - start) / 1000, "peak MiB", peak());
console.log(JSON.stringify(await page.evaluate(() => steps)));
console.log(await page.evaluate(() => document.querySelector("#verdict").textContent + "\n" + document.querySelector("#problems")?.textContent));
await browser.close();
await site.stop();
