// basetrace's engine beside wllama: `cargo xtask bench [MODEL] [ROUNDS] [TOKENS,…]`.
//
// All engines live in one page and take turns, so that the load of a shared
// machine falls on each alike; medians and ratios are printed as a table.

import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { add, ISOLATED, median, print } from "./report.mjs";
import { launch, ROOT, serve } from "../../tests/browser/support.mjs";

const [model = join(ROOT, "target/models/smollm2-135m-instruct.Q4_1.gguf"), rounds = "7", sizes = "256,1024"] = process.argv.slice(2);
const inside = relative(ROOT, model);
if (!existsSync(model) || inside.startsWith("..")) {
  console.error(`error: ${model} is not a model below ${ROOT}: run \`cargo xtask test models\` first, or name one`);
  process.exit(1);
}
const SIZES = sizes.split(",").map(Number);
const DECODE = 64;
const BATCH = 16;
/// Bits per token that two engines may differ by before a comparison is void.
const AGREE = 0.02;

const text = readFileSync(join(ROOT, "DESIGN.md"), "utf8").replace(/[^\x20-\x7e]+/g, " ");
const site = await serve(ROOT, { headers: ISOLATED });
const { browser } = await launch();
const bad = [];

for (const threads of [1, 2]) {
  const page = await browser.newPage();
  page.on("pageerror", (e) => console.error(`page: ${e}`));
  page.setDefaultTimeout(0);
  await page.goto(`${site.origin}/xtask/bench/bench.html`);
  await page.waitForFunction(() => window.prepare !== undefined);
  await page.evaluate(([url, text, threads]) => window.prepare(url, text, threads), [`/${inside}`, text.slice(0, 8000), threads]);
  if (threads === 1) {
    // Single tokens differ by a standard deviation of 0.14: over 64 of them the mean's
    // error alone would be as large as the limit.
    const gap = await page.evaluate((n) => window.agree(n), 256);
    console.log(`log-probabilities, bits per token: ${gap.given.toFixed(4)} (standard error ${gap.error.toFixed(4)}) from wllama 2.4.0; ${gap.written.toFixed(4)} from 3.13.0 over ${gap.compared} tokens`);
    // Not a number is no agreement either.
    if (!(Math.abs(gap.given) <= AGREE)) bad.push("2.4.0 and basetrace do not agree");
  }
  const seen = {};
  for (let i = 0; i < Number(rounds); i++) {
    add(seen, await page.evaluate(([s, d, b]) => window.round(s, d, b), [SIZES, DECODE, BATCH]));
  }
  print(seen, threads, rounds);
  // What the products alone would take at the most that was seen of each instruction.
  const peaks = Object.values(seen.peak).map((rates) => 1e9 * Math.max(...rates));
  for (const n of SIZES) {
    const products = await page.evaluate((n) => window.products(n), n);
    const least = products.reduce((sum, p, i) => sum + p / peaks[i], 0);
    const rate = median(seen[`prefill ${n}`].basetrace) / threads;
    console.log(`  share of the peaks, prefill ${n}: ${(100 * least * rate / n).toFixed(0)} %`);
  }
  await page.close();
}
await browser.close();
await site.stop();
for (const b of bad) console.error(`void: ${b} to ${AGREE} bits per token`);
process.exit(bad.length ? 1 : 0);
