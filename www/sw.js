// Keeps the whole page for use without a network, and the policy on all of it.
//
// The files come from this origin once, at installation, each checked against
// its hash. From then on they come from the cache, with the same headers from
// whatever host they came. No request leaves for another origin.

// Filled in by xtask/precache.mjs; any change of a file changes this script,
// by which browsers notice a new version.
const BUILD = { version: "", headers: {}, files: {} };

// Pages below other paths of one origin have caches of their own.
const FAMILY = `basetrace ${registration.scope} `;
const NAME = FAMILY + BUILD.version;

const address = (path) => new URL(path, registration.scope).href;
const KEPT = new Set(Object.keys(BUILD.files).map(address));

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));
addEventListener("message", (event) => {
  if (event.data === "claim") event.waitUntil(clients.claim());
  if (event.data === "take over") event.waitUntil(skipWaiting());
});

async function install() {
  const cache = await caches.open(NAME);
  const requests = Object.entries(BUILD.files).map(
    // Revalidated, for a copy in the browser's own cache may be of an earlier
    // version; the hash refuses half of one version and half of another.
    ([path, integrity]) => new Request(address(path), { cache: "no-cache", integrity }),
  );
  await cache.addAll(requests);
}

// Runs once no page of an earlier version is open.
async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith(FAMILY) && name !== NAME) await caches.delete(name);
  }
  await clients.claim();
}

async function answer(request) {
  const url = new URL(request.url);
  if (url.origin !== location.origin) return Response.error();
  if (request.method !== "GET") return fetch(request);
  if (request.mode === "navigate" && await outdated()) {
    return new Response("", { headers: { ...BUILD.headers, Refresh: "0" } });
  }
  const path = url.href.split(/[?#]/, 1)[0];
  const key = path === registration.scope ? address("index.html") : path;
  if (KEPT.has(key)) {
    const kept = await (await caches.open(NAME)).match(key);
    if (kept) return guarded(kept);
  }
  try {
    const fetched = await fetch(request);
    // A redirection that the page's own request must see comes unread.
    return fetched.type === "basic" ? guarded(fetched) : fetched;
  } catch {
    if (request.mode === "navigate") return Response.redirect(registration.scope);
    return Response.error();
  }
}

// A new version waits until all pages of this one are gone. A reload of the
// only page does not make it go, so it is asked to take over then.
async function outdated() {
  if (!registration.waiting) return false;
  if ((await clients.matchAll({ type: "window" })).length > 1) return false;
  registration.waiting.postMessage("take over");
  return true;
}

// The same answer under the policy.
function guarded(response) {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(BUILD.headers)) headers.set(name, value);
  const { status, statusText } = response;
  const empty = [204, 205, 304].includes(status);
  return new Response(empty ? null : response.body, { status, statusText, headers });
}
