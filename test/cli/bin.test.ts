import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, it } from "vitest";

const bin = path.join(import.meta.dirname, "..", "..", "bin", "pipeline.js");
const folder = mkdtempSync(path.join(tmpdir(), "vig-bin-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// glibc reads MALLOC_ARENA_MAX when a process starts: what Node sets for itself comes too late, and is not in procfs.
it.runIf(process.platform === "linux")("starts Node in its own process, with few malloc arenas, and V8 knows every flag", async () => {
  const probe = path.join(folder, "probe.cjs");
  const seen = path.join(folder, "seen.json");
  writeFileSync(probe, `const fs = require("node:fs"); fs.writeFileSync(${JSON.stringify(seen)}, JSON.stringify([process.pid, fs.readFileSync("/proc/self/environ", "utf8")]));`);
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_OPTIONS: `--require ${probe}` };
  delete env["MALLOC_ARENA_MAX"];
  const child = spawn(bin, ["--version"], { env, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const [pid, environ] = JSON.parse(readFileSync(seen, "utf8")) as [number, string];
  expect(pid).toBe(child.pid);
  expect(environ.split("\0")).toContain("MALLOC_ARENA_MAX=2");
});
