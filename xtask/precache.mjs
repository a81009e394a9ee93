// Trunk's hook after the page is built: writes the list of its files, with
// their hashes, and the headers of www/_headers into the service worker.
// Refuses a page that the policy would break or that states another policy.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";

const source = process.env.TRUNK_SOURCE_DIR ?? ".";
const stage = process.env.TRUNK_STAGING_DIR ?? process.argv[2];
const read = (...path) => readFileSync(join(...path), "utf8");
const fail = (why) => {
  console.error(`error: ${why}`);
  process.exit(1);
};
if (!stage) fail("precache.mjs is called by Trunk, or with the folder of a built page");

/// The headers for all files in the text of `_headers`.
function headersOf(text) {
  const lines = text.split("\n").map((l) => l.trim()).filter((l) => /^[A-Za-z-]+: /.test(l));
  return Object.fromEntries(lines.map((l) => [l.split(":", 1)[0], l.slice(l.indexOf(":") + 2)]));
}

/// All files below `folder`, as relative addresses, sorted.
function files(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}

const digest = (kind, data, form) => createHash(kind).update(data).digest(form);

const headers = headersOf(read(source, "www/_headers"));
const policy = headers["Content-Security-Policy"];
if (!policy) fail("www/_headers has no Content-Security-Policy");

// The same policy in its other two places. A page cannot forbid its own
// framing; on the other hand, it takes no script address but through boot.js.
for (const [name, value] of Object.entries(headers)) {
  if (!read(source, "Trunk.toml").includes(`${name} = "${value}"`)) {
    fail(`Trunk.toml [serve.headers] must have the line\n${name} = "${value}"`);
  }
}
const html = read(stage, "index.html");
const stated = policy.replace("; frame-ancestors 'none'", "")
  + "; require-trusted-types-for 'script'; trusted-types default";
const meta = `<meta http-equiv="Content-Security-Policy" content="${stated}"`;
if (!html.replaceAll("&#39;", "'").includes(meta)) {
  fail(`index.html must have, before any script or style, the line\n${meta}>`);
}
for (const [what, pattern] of [
  ["an inline script", /<script(?![^>]*\ssrc=)[^>]*>/i],
  ["an inline style", /<style[\s>]|<[^>]+\sstyle=/i],
  ["an inline event handler", /<[a-z][^>]*\son[a-z]+=/i],
  ["an address of another origin", /\s(?:src|href)=["']?(?:[a-z]+:)?\/\//i],
]) {
  const found = html.match(pattern);
  if (found) fail(`index.html has ${what}, which the policy forbids: ${found[0]}`);
}

// Neither the service worker itself nor what only hosts read.
const names = files(stage).filter((name) => !["sw.js", "_headers"].includes(name));
for (const name of ["index.html", "boot.js"]) {
  if (!names.includes(name)) fail(`the built page has no ${name}: index.html must copy it`);
}
const hashes = Object.fromEntries(
  names.map((name) => [name, `sha256-${digest("sha256", readFileSync(join(stage, name)), "base64")}`]),
);
const worker = read(stage, "sw.js");
const version = digest("sha256", JSON.stringify([hashes, headers, worker]), "hex").slice(0, 16);
const empty = /^const BUILD = .*;$/m;
if (!empty.test(worker)) fail("sw.js has no line `const BUILD = …;`");
const build = JSON.stringify({ version, headers, files: hashes }, null, 1);
writeFileSync(join(stage, "sw.js"), worker.replace(empty, () => `const BUILD = ${build};`));
const bytes = names.reduce((sum, name) => sum + readFileSync(join(stage, name)).length, 0);
console.log(`version ${version}: ${names.length} files, ${(bytes / 1e6).toFixed(1)} MB, kept for use offline`);
