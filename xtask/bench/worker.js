// One worker with basetrace's engine, as the page has it.
import init, { Engine, peak_float, peak_whole } from "/target/bench/speed.js";

const ready = init({ module_or_path: "/target/bench/speed_bg.wasm" });
let engine;

const work = {
  load: ({ bytes }) => { engine?.free(); engine = new Engine(new Uint8Array(bytes)); },
  tokens: ({ text }) => [...engine.tokens(text)],
  score: ({ tokens }) => engine.score(Uint32Array.from(tokens)),
  read: ({ tokens }) => engine.read(Uint32Array.from(tokens)),
  decode: ({ prompts, batch, n }) => engine.decode(Uint32Array.from(prompts), batch, n),
  products: ({ n }) => engine.products(n),
  peaks: ({ rounds }) => {
    const rate = (f, each) => {
      f(rounds);
      const start = performance.now();
      f(rounds);
      return each * rounds / (performance.now() - start) / 1e6;
    };
    return { whole: rate(peak_whole, 64), float: rate(peak_float, 32) };
  },
};

onmessage = async ({ data }) => {
  await ready;
  const start = performance.now();
  try {
    const result = work[data.what](data);
    postMessage({ ms: performance.now() - start, result });
  } catch (e) {
    postMessage({ error: String(e) });
  }
};
