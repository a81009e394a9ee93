// Nothing leaves: every request of page, worker and service worker stays on
// the page's own origin, and the browser itself would refuse any other.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, MINUTE, finished, headersOf, kept, launch, open, serve, state } from "./support.mjs";

let browser, caught, foreign;

before(async () => {
  ({ browser, caught } = await launch());
  foreign = await serve(DIST);
});
after(async () => {
  await browser?.close();
  await foreign?.stop();
});

/// Tries to get out to `url`; says how that ended.
const leave = (url) => fetch(url, { mode: "no-cors" }).then(() => "left", (e) => e.name);
const ways = () => [`${foreign.origin}/leak`, "http://leak.invalid/leak"];

async function demo(page) {
  await page.click("#demo");
  await finished(page);
}

/// The page's workers once it has one.
async function worker(page) {
  const found = page.workers();
  assert.equal(found.length > 0, true, "the page has no worker");
  return found[0];
}

for (const [host, headers] of [["a host that sends no headers", {}], ["a host that reads _headers", headersOf(DIST)]]) {
  test(`every request stays on the page's origin, on ${host}`, { timeout: 10 * MINUTE }, async () => {
    const site = await serve(DIST, { headers, path: "/below/a/path/" });
    const context = await browser.newContext();
    // From page, frames, workers and service worker alike.
    const seen = [];
    context.on("request", (request) => seen.push({ url: request.url(), service: request.serviceWorker() !== null }));
    const page = await context.newPage();
    await page.goto(site.url);
    await state(page, "empty");
    await kept(page);
    await demo(page);
    await page.reload();
    await state(page, "empty");
    await demo(page);
    const strays = seen.filter(({ url }) => !/^(blob|data):/.test(url) && !url.startsWith(site.url));
    assert.deepEqual(strays, []);
    assert.deepEqual(caught, [], "the browser asked for another machine");
    // The check would be empty if it did not see the parts that it is about.
    const all = seen.map(({ url }) => url.slice(site.url.length));
    for (const part of ["boot.js", "sw.js"]) assert.ok(all.some((u) => u === part), `${part} was not seen`);
    assert.ok(all.some((u) => /worker.*\.wasm/.test(u)), "the worker's requests were not seen");
    assert.ok(seen.some((r) => r.service), "the service worker's requests were not seen");
    await context.close();
    await site.stop();
  });

  test(`page and worker cannot leave, on ${host}`, { timeout: 10 * MINUTE }, async () => {
    const site = await serve(DIST, { headers });
    const { context, page } = await open(browser, site.url);
    await demo(page);
    await page.evaluate(() => {
      globalThis.breaches = [];
      addEventListener("securitypolicyviolation", (e) => globalThis.breaches.push(e.effectiveDirective));
    });
    const before = foreign.requests.length;
    for (const url of ways()) {
      assert.equal(await page.evaluate(leave, url), "TypeError", `the page left for ${url}`);
      assert.equal(await (await worker(page)).evaluate(leave, url), "TypeError", `the worker left for ${url}`);
    }
    // One report for each policy: the page's own, and the host's or the service worker's.
    const breaches = await page.evaluate(() => globalThis.breaches);
    assert.ok(breaches.length >= 2 && breaches.every((b) => b === "connect-src"), `${breaches}`);
    // Other ways out than fetch.
    await page.evaluate(async (url) => {
      const image = new Image();
      image.src = url;
      navigator.sendBeacon(url, "x");
      const frame = document.createElement("iframe");
      frame.src = url;
      const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: url });
      const form = Object.assign(document.createElement("form"), { action: url, method: "post" });
      document.body.append(image, frame, link, form);
      form.submit();
      try { new WebSocket(url.replace("http", "ws")); } catch { /* refused at once */ }
      try { new EventSource(url); } catch { /* refused at once */ }
      await new Promise((done) => setTimeout(done, 500));
    }, ways()[0]);
    assert.deepEqual(foreign.requests.slice(before), []);
    assert.deepEqual(caught, []);
    await context.close();
    await site.stop();
  });
}

test("without the policy the same attempts do leave", { timeout: 5 * MINUTE }, async () => {
  const site = await serve(DIST);
  const { context, page } = await open(browser, site.url, { bypassCSP: true, serviceWorkers: "block" });
  const before = foreign.requests.length;
  assert.equal(await page.evaluate(leave, ways()[0]), "left");
  assert.deepEqual(foreign.requests.slice(before), ["/leak"]);
  await page.evaluate(leave, ways()[1]);
  assert.deepEqual(caught.splice(0), [ways()[1]], "the trap for other machines does not work");
  await context.close();
  await site.stop();
});

test("the service worker cannot leave where the host sends the policy", { timeout: 5 * MINUTE }, async () => {
  const site = await serve(DIST, { headers: headersOf(DIST) });
  const { context, page } = await open(browser, site.url);
  await kept(page);
  const [service] = context.serviceWorkers();
  for (const url of ways()) assert.equal(await service.evaluate(leave, url), "TypeError");
  await context.close();
  await site.stop();
});

test("code from text runs neither in the page nor in the worker", { timeout: 10 * MINUTE }, async () => {
  const site = await serve(DIST);
  const { context, page } = await open(browser, site.url);
  await demo(page);
  // As a script's own call, for the debugger's evaluation is exempt.
  const attempt = () => new Promise((done) => setTimeout(() => {
    try {
      done(new Function("return 'ran'")());
    } catch (e) {
      done(e.name);
    }
  }));
  assert.equal(await page.evaluate(attempt), "EvalError");
  assert.equal(await (await worker(page)).evaluate(attempt), "EvalError");
  const html = await page.evaluate(() => {
    try {
      document.createElement("p").innerHTML = "<b>x</b>";
      return "taken";
    } catch (e) {
      return e.name;
    }
  });
  assert.equal(html, "TypeError", "the page takes HTML from text");
  const script = await page.evaluate((url) => {
    try {
      new Worker(url);
      return "taken";
    } catch (e) {
      return e.name;
    }
  }, ways()[0]);
  assert.equal(script, "TypeError", "the page takes a worker from another origin");
  await context.close();
  await site.stop();
});
