// What the tests share: the built page on a server that can be stopped, and
// Chromium with everything that would reach another machine led into a trap.

import { createReadStream, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";
import { chromium } from "playwright-core";

export const ROOT = resolve(import.meta.dirname, "../..");
export const DIST = resolve(process.env.BASETRACE_DIST ?? join(ROOT, "dist"));
export const MODELS = join(ROOT, "target/models");
export const SHARED = resolve(ROOT, "../shared");
/// The native twin, where it was built.
export const CLI = process.env.BASETRACE ?? join(ROOT, "target/debug/basetrace");

/// A slow shared machine with two cores must have time enough.
export const MINUTE = 60_000;

const KINDS = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".webmanifest": "application/manifest+json",
};

/// The headers for all files that `_headers` in `folder` states.
export function headersOf(folder) {
  const text = readFileSync(join(folder, "_headers"), "utf8");
  const lines = text.split("\n").filter((l) => /^\s+[A-Za-z-]+: /.test(l)).map((l) => l.trim());
  return Object.fromEntries(lines.map((l) => [l.split(":", 1)[0], l.slice(l.indexOf(":") + 2)]));
}

/// Serves `folder` below `path` on this machine. `headers`: those of every
/// answer, as a good host sends them; a dumb host sends none.
export async function serve(folder, { path = "/", headers = {} } = {}) {
  const site = { folder, requests: [], port: 0 };
  const answer = (request, response) => {
    const { pathname } = new URL(request.url, "http://host");
    site.requests.push(pathname);
    const inside = pathname.startsWith(path) && normalize(decodeURIComponent(pathname)) === decodeURIComponent(pathname);
    const name = inside ? decodeURIComponent(pathname).slice(path.length) || "index.html" : "";
    const file = join(site.folder, name);
    if (!inside || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404, { "Content-Type": "text/plain", ...headers }).end("not found\n");
      return;
    }
    response.writeHead(200, {
      "Content-Type": KINDS[extname(file)] ?? "application/octet-stream",
      "Cache-Control": "no-cache",
      ...headers,
    });
    if (request.method === "HEAD") response.end();
    else createReadStream(file).pipe(response);
  };
  let server;
  site.start = () => new Promise((done, fail) => {
    server = createServer(answer).on("error", fail);
    // The same port again after a stop, or it would be another origin.
    server.listen(site.port, "127.0.0.1", () => {
      site.port = server.address().port;
      // A test that fails leaves it behind; it must not hold the others up.
      server.unref();
      site.origin = `http://127.0.0.1:${site.port}`;
      site.url = site.origin + path;
      done();
    });
  });
  site.stop = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  await site.start();
  return site;
}

/// Where Chromium itself calls, whatever page is open and flags are given: for
/// updates, for its sign-in, and about forms' fields (the shape, not the text).
const CHROMIUMS_OWN = ["update.googleapis.com", "accounts.google.com", "content-autofill.googleapis.com"];

/// A proxy that answers nothing and writes down what was asked of it: all that
/// the browser sends beyond this machine, from whatever part of it.
async function trap() {
  const caught = [];
  const note = (url) => {
    const { hostname } = new URL(/^[a-z]+:\/\//.test(url) ? url : `https://${url}`);
    if (!CHROMIUMS_OWN.includes(hostname)) caught.push(url);
  };
  const server = createServer((request, response) => {
    note(request.url);
    response.writeHead(502).end();
  });
  server.on("connect", (request, socket) => {
    note(request.url);
    socket.on("error", () => {});
    socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  server.unref();
  return { caught, port: server.address().port, stop: () => server.close() };
}

/// Chromium, and in `caught` all that it sent beyond this machine.
export async function launch() {
  const snare = await trap();
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      `--proxy-server=http://127.0.0.1:${snare.port}`,
    ],
  });
  browser.on("disconnected", snare.stop);
  return { browser, caught: snare.caught };
}

/// A new page at `url` that has started; `faults` collects what no test should
/// leave behind: uncaught errors and breaches of the policy.
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  context.setDefaultTimeout(MINUTE);
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (e) => faults.push(String(e)));
  page.on("console", (m) => {
    if (/Content Security Policy|Trusted|panicked/i.test(m.text())) faults.push(m.text());
  });
  await page.goto(url);
  await state(page, "empty", "ready", "error");
  return { context, page, faults };
}

/// Waits until the page is in one of `states`, and says in which.
export async function state(page, ...states) {
  const timeout = typeof states.at(-1) === "number" ? states.pop() : MINUTE;
  const handle = await page.waitForFunction(
    (wanted) => wanted.includes(document.documentElement.dataset.state)
      && document.documentElement.dataset.state,
    states,
    { timeout, polling: 50 },
  );
  return handle.jsonValue();
}

/// Waits until the service worker keeps the whole page and serves it.
export async function kept(page) {
  await page.waitForFunction(
    async () => (await navigator.serviceWorker.ready).active.state === "activated"
      && navigator.serviceWorker.controller !== null,
    null,
    { timeout: 2 * MINUTE },
  );
}

/// Runs what is loaded to the end; fails with the page's own words.
export async function run(page, timeout = 5 * MINUTE) {
  await page.click("#run");
  return finished(page, timeout);
}

export async function finished(page, timeout = 5 * MINUTE) {
  const end = await state(page, "done", "error", timeout);
  if (end !== "done") {
    throw new Error(`the run failed: ${await page.innerText("#status")} ${await page.innerText("#problems")}`);
  }
}

/// The candidates' labels, best first.
export const ranking = (page) => page.$$eval("#ranking [data-candidate]", (rows) => rows.map((r) => r.dataset.candidate));

/// The bytes that a click on `selector` downloads.
export async function download(page, selector) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

/// Fills a field, wherever it is folded away.
export async function set(page, selector, value) {
  await page.$eval(selector, (field) => {
    for (let e = field; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  });
  await page.fill(selector, String(value));
}

/// Waits until the text of `selector` matches.
export async function says(page, selector, pattern, timeout = MINUTE) {
  try {
    await page.waitForFunction(
      ([selector, source, flags]) => new RegExp(source, flags).test(document.querySelector(selector).innerText),
      [selector, pattern.source, pattern.flags],
      { timeout, polling: 100 },
    );
  } catch {
    throw new Error(`${selector} does not say ${pattern} but: ${await page.innerText(selector)}`);
  }
}

/// The demo's manifest and the paths of its files: small real models.
export function demo() {
  const folder = join(DIST, "demo");
  const manifest = JSON.parse(readFileSync(join(folder, "demo.json"), "utf8"));
  const single = manifest.bases.filter((b) => b.files.length === 1).map((b) => ({ ...b, path: join(folder, b.files[0]) }));
  const suspect = manifest.suspects.find((s) => s.label === manifest.default);
  return { folder, manifest, single, suspect, samples: join(folder, suspect.file) };
}

/// Writes `count` different samples to `path`: work enough to be cancelled.
export function many(path, count = 2000) {
  const rows = readFileSync(demo().samples, "utf8").split("\n").filter(Boolean).map((row) => JSON.parse(row));
  const all = Array.from({ length: count }, (_, i) => {
    const { prompt, response } = rows[i % rows.length];
    return JSON.stringify({ prompt, response: `${response} ${i}` });
  });
  writeFileSync(path, all.join("\n"));
  return path;
}

/// Settings under which a run of [`many`] takes minutes.
export async function slow(page) {
  await set(page, "#max-new-tokens", 400);
  await set(page, "#max-samples", 10000);
}
