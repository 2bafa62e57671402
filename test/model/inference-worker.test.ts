/** That an inference process never outlives the run that started it, even where its channel does not tell it. */
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { processEntryPoint } from "../../src/core/entry-point.ts";
import { isAlive } from "../resume/job.ts";

const { path, execArgv } = processEntryPoint(new URL("../../src/model/worker-process.ts", import.meta.url).href, "./inference-worker.ts");

async function gone(pid: number): Promise<boolean> {
  for (let i = 0; i < 600 && isAlive(pid); i++) await sleep(25);
  return !isAlive(pid);
}

describe.skipIf(process.platform !== "linux")("the inference process", () => {
  it("ends where its parent was gone before it could look", async () => {
    const ended = spawn(process.execPath, ["--version"], { stdio: "ignore" });
    await once(ended, "exit");
    const worker = fork(path, [String(ended.pid)], { execArgv, serialization: "advanced", stdio: ["ignore", "ignore", "ignore", "ipc"] });
    try {
      expect(await gone(worker.pid!)).toBe(true);
    } finally {
      worker.kill("SIGKILL");
    }
  });

  // As onnxruntime does while it loads or runs a graph.
  const blocks = `const send = process.send; process.send = (message) => (setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)), send.call(process, message))`;

  it.each([
    ["the channel stays open in another process", ""],
    ["it is in the middle of a run", blocks],
  ])("ends with its parent where %s", async (_, preloaded) => {
    const preload = ["--import", `data:text/javascript,${encodeURIComponent(preloaded)}`];
    // The parent hands its own fourth file on as the worker's channel; the other end is here.
    const env = { ...process.env, NODE_CHANNEL_FD: "3", NODE_CHANNEL_SERIALIZATION_MODE: "advanced" };
    const script = `
      const args = ${JSON.stringify([...execArgv, ...preload, path])};
      const env = ${JSON.stringify(env)};
      const worker = require("node:child_process").spawn(process.execPath, [...args, String(process.pid)], { env, stdio: ["ignore", "ignore", "ignore", 3] });
      process.stdout.write(worker.pid + "\\n");
      setInterval(() => undefined, 1000);`;
    const parent = spawn(process.execPath, ["-e", script], { cwd: fileURLToPath(new URL("../..", import.meta.url)), stdio: ["ignore", "pipe", "inherit", "pipe"] });
    let worker = 0;
    try {
      worker = Number(String((await once(parent.stdout!, "data"))[0]));
      await once(parent.stdio[3] as Readable, "data"); // it has started
      expect(isAlive(worker)).toBe(true);
      parent.kill("SIGKILL");
      expect(await gone(worker)).toBe(true);
    } finally {
      parent.kill("SIGKILL");
      if (worker > 0 && isAlive(worker)) process.kill(worker, "SIGKILL");
    }
  });
});
