import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, it } from "vitest";

const bin = path.join(import.meta.dirname, "..", "..", "bin", "pipeline.js");
const folder = mkdtempSync(path.join(tmpdir(), "vig-bin-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.runIf(existsSync("/dev/full"))("fails where its result can't be written", () => {
  const full = openSync("/dev/full", "w");
  const ended = spawnSync(process.execPath, [bin, "schema"], { stdio: ["ignore", full, "pipe"], encoding: "utf8" });
  closeSync(full);
  expect(ended).toMatchObject({ status: 1, stderr: expect.stringMatching(/stdout: ENOSPC/) as string });
});

// glibc reads its variables when a process starts: what Node sets for itself comes too late, and is not in procfs.
it.runIf(process.platform === "linux")("starts Node in its own process, with few malloc arenas, and V8 knows every flag", async () => {
  const probe = path.join(folder, "probe.cjs");
  const seen = path.join(folder, "seen.json");
  writeFileSync(probe, `const fs = require("node:fs"); fs.writeFileSync(${JSON.stringify(seen)}, JSON.stringify([process.pid, fs.readFileSync("/proc/self/environ", "utf8")]));`);
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_OPTIONS: `--require ${probe}` };
  for (const name of ["MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_"]) delete env[name];
  const child = spawn(bin, ["--version"], { env, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const [pid, environ] = JSON.parse(readFileSync(seen, "utf8")) as [number, string];
  expect(pid).toBe(child.pid);
  expect(environ.split("\0")).toEqual(expect.arrayContaining(["MALLOC_ARENA_MAX=2", "MALLOC_MMAP_THRESHOLD_=131072"]));
});
