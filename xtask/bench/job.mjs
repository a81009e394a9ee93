// The whole job in the built page: `cargo xtask bench job`.
//
// From the click to the ranking, by stage; then with more samples and with more
// candidates, as a table and as tests/data/growth.svg.

import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DIST, MINUTE, MODELS, ROOT, SHARED, finished, kept, launch, open, serve, state } from "../../tests/browser/support.mjs";

const candidates = [
  join(MODELS, "smollm2-135m-instruct.Q4_1.gguf"),
  join(MODELS, "stories15m"),
  join(MODELS, "minimind2-small"),
  join(SHARED, "models/tiny/stories260k"),
];
const suspect = join(SHARED, "suspects/b.jsonl");
const absent = [...candidates, suspect].filter((f) => !existsSync(f));
if (absent.length) {
  console.error(`error: ${absent.join(", ")} not there: run \`cargo xtask test models\` first`);
  process.exit(1);
}
const rows = readFileSync(suspect, "utf8").split("\n").filter(Boolean);
const folder = mkdtempSync(join(tmpdir(), "basetrace-"));

/// The most memory that any of the browser's processes has held, in MiB.
function peak() {
  let most = 0;
  for (const pid of readdirSync("/proc").filter((p) => /^\d+$/.test(p))) {
    try {
      const name = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (!name.includes("--type=renderer")) continue;
      most = Math.max(most, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024);
    } catch { /* ended meanwhile */ }
  }
  return most;
}

/// What a stage is, without whose it is.
const kind = (stage) => (["Hashing", "Loading", "writes", "scores"].find((k) => stage.includes(k)) ?? "other").toLowerCase();

async function job(models, samples) {
  const file = join(folder, `s${samples}.jsonl`);
  writeFileSync(file, rows.slice(0, samples).join("\n"));
  const { browser } = await launch();
  const site = await serve(DIST);
  const { page } = await open(browser, site.url);
  await kept(page);
  await page.setInputFiles("#input-files", [file, ...models.filter((m) => m.endsWith(".gguf"))]);
  for (const m of models.filter((m) => !m.endsWith(".gguf"))) await page.setInputFiles("#input-folder", m);
  await state(page, "ready", 3 * MINUTE);
  await page.evaluate(() => {
    globalThis.steps = [];
    const stage = document.querySelector("#stage");
    const note = () => steps.push([performance.now(), stage.textContent]);
    new MutationObserver(note).observe(stage, { childList: true, characterData: true, subtree: true });
  });
  const start = performance.now();
  await page.click("#run");
  await state(page, "running", "done");
  await finished(page, 60 * MINUTE);
  const seconds = (performance.now() - start) / 1000;
  const steps = await page.evaluate(() => [...steps, [performance.now(), ""]]);
  const parts = {};
  for (const [i, [at, stage]] of steps.slice(0, -1).entries()) {
    parts[kind(stage)] = (parts[kind(stage)] ?? 0) + (steps[i + 1][0] - at) / 1000;
  }
  const memory = peak();
  await browser.close();
  await site.stop();
  return { seconds, parts, memory };
}

const show = ({ seconds, parts, memory }) =>
  `${seconds.toFixed(1)} s (${Object.entries(parts).map(([k, s]) => `${k} ${s.toFixed(1)}`).join(", ")}), largest renderer ${memory.toFixed(0)} MiB`;

const whole = await job(candidates, 60);
console.log(`${candidates.map((c) => basename(c)).join(", ")} × 60 samples: ${show(whole)}`);
const growth = [];
for (const [models, samples] of [[1, 15], [2, 15], [4, 15], [1, 4], [1, 60]]) {
  const found = await job(candidates.slice(0, models), samples);
  growth.push({ models, samples, ...found });
  console.log(`${models} candidates × ${samples} samples: ${show(found)}`);
}
rmSync(folder, { recursive: true });

/// Bars of seconds, one for each case.
function chart(cases) {
  const most = Math.max(...cases.map((c) => c.seconds));
  const bars = cases.map((c, i) => {
    const width = Math.max(1, 380 * c.seconds / most);
    const y = 30 + 26 * i;
    return `<text x="8" y="${y + 14}">${c.models} × ${c.samples}</text>`
      + `<rect x="90" y="${y}" width="${width.toFixed(0)}" height="18" fill="#4477aa"/>`
      + `<text x="${(96 + width).toFixed(0)}" y="${y + 14}">${c.seconds.toFixed(1)} s, ${c.memory.toFixed(0)} MiB</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="620" height="${40 + 26 * cases.length}" font-family="sans-serif" font-size="13">`
    + `<title>Time and memory by candidates × samples</title><rect width="100%" height="100%" fill="#fff"/>`
    + `<text x="8" y="18">Candidates × samples: seconds from click to ranking, largest renderer</text>${bars.join("")}</svg>\n`;
}
const cases = [...growth, { models: 4, samples: 60, ...whole }].sort((a, b) => a.models - b.models || a.samples - b.samples);
writeFileSync(join(ROOT, "tests/data/growth.svg"), chart(cases));
