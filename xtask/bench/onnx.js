// basetrace's engine and ONNX Runtime Web in one page, taking turns.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { load, timed, together, write } from "./ours.js";

ort.env.wasm.wasmPaths = "/xtask/bench/node_modules/onnxruntime-web/dist/";

const integers = (rows) => new ort.Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length]);

/// Logits after `rows` of equal length, which go on from `state`.
const step = async ({ session, heads, dim }, rows, state) => {
  const feeds = { input_ids: integers(rows), attention_mask: integers(rows.map((r) => Array(state.past + r.length).fill(1))) };
  const empty = () => new ort.Tensor("float32", new Float32Array(0), [rows.length, heads, 0, dim]);
  for (const name of session.inputNames) {
    if (name.startsWith("past_key_values")) feeds[name] = state.kept?.[name.replace("past_key_values", "present")] ?? empty();
  }
  const { logits, ...kept } = await session.run(feeds);
  return { logits, state: { past: state.past + rows[0].length, kept } };
};

const likeliest = (logits) => {
  const [batch, length, vocab] = logits.dims;
  return Array.from({ length: batch }, (_, b) => {
    const from = (b * length + length - 1) * vocab;
    let best = 0;
    for (let i = 1; i < vocab; i++) if (logits.data[from + i] > logits.data[from + best]) best = i;
    return [best];
  });
};

const decode = async (theirs, prompts, n) => {
  let { logits, state } = await step(theirs, prompts, { past: 0 });
  for (let i = 1; i < n; i++) ({ logits, state } = await step(theirs, likeliest(logits), state));
};

/// Both engines loaded; the tokens of `text`.
window.prepare = async (gguf, onnx, threads, text) => {
  const ours = await load(gguf, threads);
  ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(onnx, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  const { shape } = session.inputMetadata.find((i) => i.name.startsWith("past_key_values"));
  window.engines = { ours, theirs: { session, heads: shape[1], dim: shape[3] } };
  return (await ours[0].ask({ what: "tokens", text })).result;
};

/// One round: tokens per second of each engine, by task.
window.round = async (tokens, sizes, written, batch) => {
  const { ours, theirs } = window.engines;
  const out = {};
  for (const n of sizes) {
    const part = tokens.slice(0, n);
    const at = await timed(() => step(theirs, [part], { past: 0 }));
    out[`score ${n}, all logits`] = { basetrace: await together(ours, { what: "score", tokens: part }, n), "ONNX Runtime Web": n / at.ms * 1000 };
  }
  for (const size of [1, batch]) {
    const prompts = Array.from({ length: size }, (_, i) => tokens.slice(i, i + 16));
    const first = await timed(() => decode(theirs, prompts, 1));
    const rest = await timed(() => decode(theirs, prompts, written + 1));
    out[`decode ${size} × ${written}`] = {
      basetrace: await write(ours, prompts, written),
      "ONNX Runtime Web": size * written / (rest.ms - first.ms) * 1000,
    };
  }
  return out;
};

/// Mean difference of log-probabilities of `tokens`, in bits, and its standard error.
window.agree = async (tokens) => {
  const { ours, theirs } = window.engines;
  const scores = (await ours[0].ask({ what: "score", tokens })).result;
  const { logits } = await step(theirs, [tokens], { past: 0 });
  const vocab = logits.dims[2];
  const gaps = [...scores].map((ours, i) => {
    const row = logits.data.subarray(i * vocab, (i + 1) * vocab);
    const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const total = row.reduce((s, l) => s + Math.exp(l - max), 0);
    return (ours - (row[tokens[i + 1]] - max - Math.log(total))) / Math.LN2;
  });
  const mean = gaps.reduce((s, g) => s + g, 0) / gaps.length;
  const variance = gaps.reduce((s, g) => s + (g - mean) ** 2, 0) / (gaps.length - 1);
  return { mean, error: Math.sqrt(variance / gaps.length), level: [...scores].reduce((s, v) => s + v, 0) / scores.length / Math.LN2 };
};
