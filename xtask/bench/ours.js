// basetrace's engine in workers, for the pages that compare it.

class Basetrace {
  constructor() {
    this.worker = new Worker("/xtask/bench/worker.js", { type: "module" });
  }
  ask(message) {
    return new Promise((done, fail) => {
      this.worker.onmessage = ({ data }) => (data.error ? fail(new Error(data.error)) : done(data));
      this.worker.onerror = (e) => fail(new Error(e.message));
      this.worker.postMessage(message);
    });
  }
}

/// Workers that have loaded the model at `url`.
export const load = async (url, count) => {
  const bytes = await (await fetch(url)).arrayBuffer();
  const ours = Array.from({ length: count }, () => new Basetrace());
  for (const b of ours) await b.ask({ what: "load", bytes });
  return ours;
};

export const timed = async (work) => {
  const start = performance.now();
  const result = await work();
  return { ms: performance.now() - start, result };
};

/// The same work on every worker at once; tokens per second of all.
export const together = async (ours, message, tokens) => {
  const { ms } = await timed(() => Promise.all(ours.map((b) => b.ask(message))));
  return ours.length * tokens / ms * 1000;
};

/// Tokens per second in writing `n` for each of `prompts`, of which every worker has its
/// part as in the page. What reading takes is taken off: one token is decoded and
/// thrown away.
export const write = async (ours, prompts, n) => {
  const parts = ours.map((b, w) => [b, prompts.filter((_, i) => i % ours.length === w)]).filter(([, part]) => part.length);
  const ms = async (n) => {
    const all = () => Promise.all(parts.map(([b, part]) => b.ask({ what: "decode", prompts: part.flat(), batch: part.length, n })));
    return (await timed(all)).ms;
  };
  const one = await ms(1);
  return prompts.length * n / (await ms(n + 1) - one) * 1000;
};
