#!/usr/bin/env -S MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 node
"use strict";
/*
 * Starts the command line: from src/ through tsx in a clone, and in a package that was packed without a build; else
 * from dist/.
 *
 * CommonJS on purpose: an ES module entry has used libuv's thread pool before its first line runs, and the pool's
 * size is read once, at first use. glibc's MALLOC_ variables are read when a process starts, so the first line sets
 * them. (docs/adr/0002-how-it-starts.md)
 */
const { existsSync } = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const v8 = require("node:v8");

process.env.UV_THREADPOOL_SIZE ??= String(Math.max(4, Math.min(64, os.availableParallelism() + 2)));
// Garbage is collected early in every thread, so that memory depends neither on how long a run takes nor on the machine's.
v8.setFlagsFromString("--max-semi-space-size=2");
v8.setFlagsFromString("--heap-growing-percent=20");

const root = path.join(__dirname, "..");

async function start() {
  const built = path.join(root, "dist", "cli", "main.js");
  // What dist/ holds in a clone may be stale.
  const isClone = existsSync(path.join(root, "tsconfig.json"));
  const entry = isClone || !existsSync(built) ? path.join(root, "src", "cli", "main.ts") : built;
  if (entry !== built) (await import("tsx/esm/api")).register();
  const { main } = await import(pathToFileURL(entry).href);
  return main(process.argv.slice(2));
}

// A reader that has gone (`| head`) changes neither what a run does nor how it ends; a full disk does.
const failed = (error) => {
  if (error.code === "EPIPE") return;
  console.error(`error stdout: ${error.message}`);
  process.exit(1);
};
process.stdout.on("error", failed);
process.stderr.on("error", () => undefined);

// Workers and threads must not keep a finished process alive: output is flushed, then it ends.
const end = (code) => {
  // Who interrupts it does not wait for a reader that has stopped.
  if (code === 130 || code === 143) setTimeout(() => process.exit(code), 1000);
  process.stdout.write("", (error) => {
    if (error) failed(error);
    process.stderr.write("", () => process.exit(code));
  });
};
start().then(end, (error) => {
  console.error(error);
  end(1);
});
