// What the comparisons share: headers, medians and their table.

/// A page with these may have threads.
export const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export const median = (values) => {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : NaN;
};

/// Adds a round, rates by task and engine, to what was `seen`.
export const add = (seen, round) => {
  for (const [task, rates] of Object.entries(round)) {
    for (const [engine, rate] of Object.entries(rates)) ((seen[task] ??= {})[engine] ??= []).push(rate);
  }
};

export const print = (seen, threads, rounds) => {
  console.log(`\n${threads} ${threads > 1 ? "threads, workers of ours" : "thread"}; medians of ${rounds} rounds, tokens/s (ratio of basetrace to it)`);
  for (const [task, engines] of Object.entries(seen)) {
    const ours = engines.basetrace && median(engines.basetrace);
    const cells = Object.entries(engines).map(([engine, rates]) => {
      const rate = median(rates);
      const ratio = ours && engine !== "basetrace" ? ` (${(ours / rate).toFixed(1)}×)` : "";
      return `${engine} ${rate.toFixed(1)}${ratio}`;
    });
    console.log(`  ${task}: ${cells.join(", ")}`);
  }
};
