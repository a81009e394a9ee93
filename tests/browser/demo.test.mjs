// The demo, from the click to the exports.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inflateSync } from "node:zlib";
import { DIST, MINUTE, ROOT, demo, download, finished, kept, launch, open, ranking, serve } from "./support.mjs";

let browser, site, page, faults, exported;
const folder = mkdtempSync(join(tmpdir(), "basetrace-"));
const version = /^version = "(.*)"/m.exec(readFileSync(join(ROOT, "Cargo.toml"), "utf8"))[1];

before(async () => {
  ({ browser } = await launch());
  site = await serve(DIST);
  ({ page, faults } = await open(browser, site.url));
  await kept(page);
});
after(async () => {
  await browser?.close();
  await site?.stop();
  rmSync(folder, { recursive: true });
});

test("one click ranks the bundled models, the true base first", { timeout: 10 * MINUTE }, async () => {
  const { manifest, suspect } = demo();
  const start = performance.now();
  await page.click("#demo");
  await finished(page);
  console.log(`demo: ${((performance.now() - start) / 1000).toFixed(2)} s from click to ranking`);
  const labels = await ranking(page);
  assert.equal(labels[0], suspect.truth);
  assert.deepEqual([...labels].sort(), manifest.bases.map((b) => b.label).sort());
  assert.match(await page.innerText("#verdict"), new RegExp(suspect.truth));
  for (const id of ["#chart", "#sample-table", "#levels"]) assert.ok(await page.isVisible(id), `${id} is not shown`);
  assert.deepEqual(faults, []);
});

test("the sizes of what a visitor loads", () => {
  const list = Object.keys(JSON.parse(/^const BUILD = (\{[\s\S]*?\n\});$/m.exec(readFileSync(join(DIST, "sw.js"), "utf8"))[1]).files);
  const wasm = list.filter((f) => f.endsWith(".wasm"));
  assert.equal(wasm.length, 2, `page and worker should be two modules: ${wasm}`);
  for (const file of list) assert.ok(existsSync(join(DIST, file)), file);
});

// The hashes that every export must carry: of the files as they are on disk.
function inputs() {
  const { manifest, suspect, folder } = demo();
  const files = [...manifest.bases.flatMap((b) => b.files), suspect.file];
  return files.map((f) => createHash("sha256").update(readFileSync(join(folder, f))).digest("hex"));
}

/// `text` must say where it comes from and what it does not prove.
function provenance(text, what) {
  for (const hash of inputs()) assert.ok(text.includes(hash), `${what} lacks the SHA-256 ${hash}`);
  assert.ok(text.includes(version), `${what} lacks the version`);
  assert.match(text, /seed\W+2306/i, `${what} lacks the seed`);
  for (const limit of exported.limits) {
    const forms = [limit, JSON.stringify(limit).slice(1, -1)];
    assert.ok(forms.some((f) => text.includes(f)), `${what} lacks the limit: ${limit}`);
  }
}

test("JSON: a versioned schema, and the page's ranking", { timeout: 5 * MINUTE }, async () => {
  const { name, bytes } = await download(page, "#export-json");
  assert.match(name, /\.json$/);
  const text = bytes.toString();
  exported = JSON.parse(text);
  assert.equal(exported.schema, "basetrace.report/1");
  assert.ok(exported.limits.length > 0);
  const decisive = exported.findings.find((f) => f.method === exported.verdict.method && !f.baseline);
  const labels = decisive.standings.map((s) => exported.candidates[s.candidate].label);
  assert.deepEqual(await ranking(page), labels);
  assert.ok(exported.findings.some((f) => f.baseline), "the baseline is not beside it");
  provenance(text, "JSON");
});

/// Rows of RFC 4180.
function table(text) {
  const rows = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    const row = rows.at(-1);
    if (c === '"' && quoted && text[i + 1] === '"') row[row.length - 1] += text[++i];
    else if (c === '"') quoted = !quoted;
    else if (c === "," && !quoted) row.push("");
    else if (c === "\n" && !quoted) rows.push([""]);
    else row[row.length - 1] += c;
  }
  assert.ok(!quoted, "a quote is open at the end");
  return rows.filter((r) => r.length > 1 || r[0]);
}

test("CSV: one table, every sample in it", { timeout: 5 * MINUTE }, async () => {
  const { name, bytes } = await download(page, "#export-csv");
  assert.match(name, /\.csv$/);
  const rows = table(bytes.toString());
  assert.ok(rows.every((r) => r.length === rows[0].length), "rows differ in length");
  const samples = new Set(rows.filter((r) => r[0] === "sample").map((r) => r[1]));
  assert.equal(samples.size, exported.samples.length);
  provenance(rows.map((r) => r.join(" ").replace(/\s+/g, " ")).join("\n"), "CSV");
});

test("SVG: well-formed, and a picture", { timeout: 5 * MINUTE }, async () => {
  const { name, bytes } = await download(page, "#export-svg");
  assert.match(name, /\.svg$/);
  const found = await (await browser.newPage()).evaluate((text) => {
    const svg = new DOMParser().parseFromString(text, "image/svg+xml");
    return {
      fault: svg.querySelector("parsererror")?.textContent ?? null,
      root: svg.documentElement.localName,
      text: svg.documentElement.textContent,
      active: [...svg.querySelectorAll("script,foreignObject")].length
        + [...svg.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => /^on|^javascript:/i.test(a.name) || /^\s*javascript:/i.test(a.value))).length,
    };
  }, bytes.toString());
  assert.deepEqual([found.fault, found.root, found.active], [null, "svg", 0]);
  for (const label of await ranking(page)) assert.ok(found.text.includes(label), `the chart lacks ${label}`);
  provenance(found.text, "SVG");
});

/// The text chunks of a PNG; checks its build.
function chunks(png) {
  assert.equal(png.subarray(0, 8).toString("hex"), "89504e470d0a1a0a", "no PNG");
  const found = [];
  let end;
  for (let at = 8; at < png.length; at = end) {
    const length = png.readUInt32BE(at);
    end = at + 12 + length;
    found.push({ type: png.toString("latin1", at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) });
  }
  assert.equal(end, png.length, "the PNG is cut off");
  assert.equal(found.at(-1).type, "IEND");
  return found;
}

function words({ type, data }) {
  const zero = data.indexOf(0);
  if (type === "tEXt") return data.subarray(zero + 1).toString("latin1");
  if (type === "zTXt") return inflateSync(data.subarray(zero + 2)).toString("latin1");
  if (type !== "iTXt") return "";
  const text = data.subarray(data.indexOf(0, data.indexOf(0, zero + 3) + 1) + 1);
  return (data[zero + 1] ? inflateSync(text) : text).toString();
}

test("PNG: readable as a picture, with its origin inside", { timeout: 5 * MINUTE }, async () => {
  const { name, bytes } = await download(page, "#export-png");
  assert.match(name, /\.png$/);
  const all = chunks(bytes);
  // A browser checks the sums of all chunks that make up the picture.
  const seen = await (await browser.newPage()).evaluate(async (data) => {
    const image = Object.assign(new Image(), { src: `data:image/png;base64,${data}` });
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    const brush = canvas.getContext("2d");
    brush.drawImage(image, 0, 0);
    const colours = new Set(new Uint32Array(brush.getImageData(0, 0, image.width, image.height).data.buffer));
    return { width: image.width, height: image.height, colours: colours.size };
  }, bytes.toString("base64"));
  assert.ok(seen.width >= 600 && seen.height >= 150, `${seen.width}×${seen.height}`);
  assert.ok(seen.colours > 8, "the picture is blank");
  provenance(all.map(words).join("\n"), "PNG");
});

test("HTML: one file that needs no other, and no script", { timeout: 5 * MINUTE }, async () => {
  const { name, bytes } = await download(page, "#export-html");
  assert.match(name, /\.html$/);
  const text = bytes.toString();
  assert.doesNotMatch(text, /<script|<iframe|\son\w+=|@import/i);
  const context = await browser.newContext();
  const asked = [];
  context.on("request", (r) => asked.push(r.url()));
  const report = await context.newPage();
  const file = join(folder, name);
  writeFileSync(file, bytes);
  await report.goto(`file://${file}`);
  assert.deepEqual(asked.filter((u) => !u.startsWith("data:")), [`file://${file}`]);
  provenance((await report.innerText("body")).replace(/[ \t]+/g, " "), "HTML");
  await context.close();
});
