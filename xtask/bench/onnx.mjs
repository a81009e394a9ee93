// basetrace's engine beside ONNX Runtime Web, which transformers.js runs:
// `cargo xtask bench onnx [ROUNDS] [TOKENS,…] [KIND,…]`.
//
// Kinds are transformers.js' dtypes; `to_onnx.py` says what each is. q8 is measured where
// it is named, and void: its answers are others.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { add, ISOLATED, print } from "./report.mjs";
import { launch, ROOT, serve } from "../../tests/browser/support.mjs";

const [rounds = "3", sizes = "256", kinds = "q4,fp32"] = process.argv.slice(2);
const SIZES = sizes.split(",").map(Number);
const WRITTEN = 32;
const BATCH = 16;
/// Bits per token that two engines may differ by before a comparison is void.
const AGREE = 0.02;

const text = readFileSync(join(ROOT, "DESIGN.md"), "utf8").slice(0, 16000);
const site = await serve(ROOT, { headers: ISOLATED });
const { browser } = await launch();
for (const kind of kinds.split(",")) {
  for (const threads of [1, 2]) await compare(kind, threads);
}
await browser.close();
await site.stop();

async function compare(kind, threads) {
  const page = await browser.newPage();
  page.on("pageerror", (e) => console.error(`page: ${e}`));
  page.setDefaultTimeout(0);
  await page.goto(`${site.origin}/xtask/bench/onnx.html`);
  await page.waitForFunction(() => window.prepare !== undefined);
  const tokens = await page.evaluate(([gguf, onnx, threads, text]) => window.prepare(gguf, onnx, threads, text), ["/target/bench/q4_0.gguf", `/target/bench/${kind}.onnx`, threads, text]);
  if (threads === 1) {
    const gap = await page.evaluate((tokens) => window.agree(tokens), tokens.slice(0, 1024));
    console.log(`\n${kind}: ours gives ${gap.level.toFixed(3)} bits per token, ${gap.mean.toFixed(4)} (standard error ${gap.error.toFixed(4)}) more than ONNX Runtime`);
    // Not a number is no agreement either.
    if (!(Math.abs(gap.mean) <= AGREE)) {
      console.error(`void: the engines do not agree to ${AGREE} bits per token; what follows compares different work`);
      process.exitCode = 1;
    }
  }
  const seen = {};
  for (let i = 0; i < Number(rounds); i++) {
    add(seen, await page.evaluate(([t, s, d, b]) => window.round(t, s, d, b), [tokens, SIZES, WRITTEN, BATCH]));
  }
  print(seen, threads, rounds);
  await page.close();
}
