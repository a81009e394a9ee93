// Starts the page: in place of Trunk's inline loader, which the content
// security policy forbids, and with a message where the page cannot start.

// Longest wait for the service worker on a first visit, in milliseconds.
const PATIENCE = 10_000;

// The policy of index.html takes scripts' addresses only through this. HTML
// from strings is refused: the page builds its elements one by one.
globalThis.trustedTypes?.createPolicy("default", {
  createScriptURL(text) {
    const url = new URL(text, document.baseURI);
    return url.origin === location.origin ? text : null;
  },
});

class Unfit extends Error {}

function check() {
  if (typeof WebAssembly !== "object") {
    throw new Unfit("This browser runs no WebAssembly, or it is switched off.");
  }
  // A function of the vector instructions that the models' arithmetic uses.
  const simd = Uint8Array.of(
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0,
    10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
  );
  if (!WebAssembly.validate(simd)) {
    throw new Unfit("This browser's WebAssembly has no vector instructions (SIMD).");
  }
  if (typeof Worker !== "function") {
    throw new Unfit("This browser runs no web workers, or they are switched off.");
  }
}

// Registers the service worker, which keeps the page for use without a
// network. On a first visit this waits until it serves this page, because it
// adds the policy to the worker's script where the host does not; never longer
// than PATIENCE, and not at all where there can be no service worker.
async function keep() {
  const container = navigator.serviceWorker;
  if (!isSecureContext || !container) return;
  const taken = new Promise((done) => {
    container.addEventListener("controllerchange", done, { once: true });
  });
  const registration = await container.register("sw.js", { updateViaCache: "none" });
  if (container.controller) return;
  // A forced reload leaves the page without its service worker.
  registration.active?.postMessage("claim");
  const failed = new Promise((done) => {
    const worker = registration.installing ?? registration.waiting;
    worker?.addEventListener("statechange", () => worker.state === "redundant" && done());
  });
  await Promise.race([taken, failed, new Promise((done) => setTimeout(done, PATIENCE))]);
}

async function start() {
  check();
  const { js, wasm } = document.querySelector("script[data-js]").dataset;
  const kept = keep().catch((e) => console.warn(`not kept for use offline: ${e.message}`));
  const glue = await import(new URL(js, document.baseURI).href);
  const module_or_path = await load(new URL(wasm, document.baseURI));
  await kept;
  await glue.default({ module_or_path });
}

async function load(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname}: ${response.status} ${response.statusText}`);
  // Some hosts know no wasm; compiling while it comes needs its type.
  return response.headers.get("content-type") === "application/wasm"
    ? WebAssembly.compileStreaming(response)
    : WebAssembly.compile(await response.arrayBuffer());
}

start().catch((e) => {
  console.error(e);
  document.documentElement.dataset.state = "error";
  const status = document.getElementById("status");
  if (!status) return;
  status.hidden = false;
  status.textContent = e instanceof Unfit
    ? `${e.message} Use a current Firefox, Chrome, Edge or Safari.`
    : `The page could not be loaded (${e.message}). Reload it; if that does not help, its files are not all there.`;
});
