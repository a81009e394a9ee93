// basetrace's engine and wllama in one page, taking turns.
import { Wllama as Wllama2 } from "./node_modules/wllama-2/esm/index.js";
import { Wllama as Wllama3 } from "./node_modules/wllama-3/esm/index.js";
import { load, timed, together, write } from "./ours.js";

const FOLDER = "/xtask/bench/node_modules";

async function wllama2(blob, threads) {
  const w = new Wllama2({
    "single-thread/wllama.wasm": `${FOLDER}/wllama-2/esm/single-thread/wllama.wasm`,
    "multi-thread/wllama.wasm": `${FOLDER}/wllama-2/esm/multi-thread/wllama.wasm`,
  }, { suppressNativeLog: true });
  await w.loadModel([blob], { n_ctx: 1280, n_batch: 512, n_threads: threads });
  return w;
}

async function wllama3(blob, threads) {
  const w = new Wllama3({ default: `${FOLDER}/wllama-3/esm/wasm/wllama.wasm` }, { suppressNativeLog: true });
  await w.loadModel([blob], { n_ctx: 1280, n_batch: 512, n_threads: threads, n_gpu_layers: 0 });
  return w;
}

/// All engines loaded with the model at `url`; `text` gives the tokens.
window.prepare = async (url, text, threads) => {
  const blob = await (await fetch(url)).blob();
  const ours = await load(url, threads);
  const two = await wllama2(blob, threads);
  const three = await wllama3(blob, threads);
  const tokens = await two.tokenize(text);
  window.engines = { ours, two, three, tokens };
  return { tokens: tokens.length, isolated: crossOriginIsolated, threads: two.getNumThreads?.() };
};

const prompt3 = async (n) => {
  const { two, tokens } = window.engines;
  return new TextDecoder().decode(await two.detokenize(tokens.slice(0, n)));
};

/// One round: tokens per second of each engine, by task.
window.round = async (sizes, decode, batch) => {
  const { ours, two, three, tokens } = window.engines;
  const out = {};
  const put = (task, engine, rate) => { (out[task] ??= {})[engine] = rate; };
  for (const n of sizes) {
    const part = tokens.slice(0, n);
    put(`score ${n}`, "basetrace", await together(ours, { what: "score", tokens: part }, n));
    put(`prefill ${n}`, "basetrace", await together(ours, { what: "read", tokens: part }, n));
    await two.kvClear();
    const at2 = await timed(() => two.decode(part, {}));
    put(`prefill ${n}`, "wllama 2.4.0", n / at2.ms * 1000);
    const at3 = await three.createCompletion({ prompt: await prompt3(n), max_tokens: 1, temperature: 0, cache_prompt: false });
    put(`prefill ${n}`, "wllama 3.13.0", at3.timings.prompt_per_second);
  }
  const start = tokens.slice(0, 16);
  const prompts = Array.from({ length: batch }, (_, i) => tokens.slice(i, i + 16));
  put(`decode ${decode}`, "basetrace", await write(ours, [start], decode));
  put(`decode ${batch} × ${decode}`, "basetrace", await write(ours, prompts, decode));
  await two.kvClear();
  await two.samplingInit({ temp: 0 });
  await two.decode(start, {});
  const steps2 = await timed(async () => {
    for (let i = 0; i < decode; i++) {
      const { token } = await two.samplingSample();
      await two.samplingAccept([token]);
      await two.decode([token], {});
    }
  });
  put(`decode ${decode}`, "wllama 2.4.0", decode / steps2.ms * 1000);
  const at3 = await three.createCompletion({ prompt: await prompt3(16), max_tokens: decode, temperature: 0, cache_prompt: false, ignore_eos: true });
  put(`decode ${decode}`, "wllama 3.13.0", at3.timings.predicted_per_second);
  const peaks = await ours[0].ask({ what: "peaks", rounds: 4_000_000 });
  put("peak", "whole numbers, 10⁹ products/s", peaks.result.whole);
  put("peak", "floats, 10⁹ products/s", peaks.result.float);
  return out;
};

/// Products in reading `n` tokens: of whole numbers, and of floats.
window.products = async (n) => [...(await window.engines.ours[0].ask({ what: "products", n })).result];

/// Mean difference of log-probabilities between us and wllama, in bits per token:
/// of given tokens with 2.4.0, of what it wrote itself with 3.13.0.
window.agree = async (n) => {
  const { ours, two, three, tokens } = window.engines;
  const given = tokens.slice(0, n);
  const scores = (await ours[0].ask({ what: "score", tokens: given })).result;
  await two.kvClear();
  await two.samplingInit({ temp: 1 });
  const gaps = [];
  for (let i = 0; i + 1 < n; i++) {
    await two.decode([given[i]], {});
    const all = await two.getLogits(-1);
    const p = all.find((l) => l.token === given[i + 1])?.p ?? 0;
    gaps.push((scores[i] - Math.log(p)) / Math.LN2);
  }
  const prompt = await prompt3(n);
  const answer = await three.createCompletion({ prompt, max_tokens: n, temperature: 0, logprobs: 1, cache_prompt: false, ignore_eos: true });
  const content = answer.choices[0].logprobs?.content ?? [];
  const own = await two.tokenize(prompt);
  const written = content.map((t) => t.id);
  const again = (await ours[0].ask({ what: "score", tokens: [...own, ...written] })).result.slice(own.length - 1);
  const theirs = content.map((t) => t.logprob);
  const gap = theirs.length ? again.reduce((s, v, i) => s + v - theirs[i], 0) / theirs.length : NaN;
  const mean = gaps.reduce((s, g) => s + g, 0) / gaps.length;
  const variance = gaps.reduce((s, g) => s + (g - mean) ** 2, 0) / (gaps.length - 1);
  return { given: mean, error: Math.sqrt(variance / gaps.length), written: gap / Math.LN2, compared: theirs.length };
};
