/** Signals that come where nothing listens by itself: the command as a process of its own, held at a known point by a named pipe. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, mkdirSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { isAlive, makeJob, TINY_MODEL } from "../resume/job.ts";
import { PROGRAM } from "../worker/pipes.ts";

vi.setConfig({ testTimeout: 120_000 });

const children: ChildProcess[] = [];
afterEach(() => children.splice(0).forEach((child) => child.kill("SIGKILL")));

/** A job whose model's config.json is a named pipe, open for writing here: who reads it waits. */
function heldJob(): { readonly folder: string; readonly fifo: string; readonly writer: number } {
  const folder = makeJob({ with_reject: false });
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const model = path.join(folder, "model");
  mkdirSync(model);
  for (const name of readdirSync(TINY_MODEL)) if (name !== "config.json") symlinkSync(path.join(TINY_MODEL, name), path.join(model, name));
  const fifo = path.join(model, "config.json");
  execFileSync("mkfifo", [fifo]);
  return { folder, fifo, writer: openSync(fifo, constants.O_RDWR) };
}

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown[]>;
  readonly says: (words: string) => Promise<void>;
}

function start(folder: string, command: string, args: readonly string[]): Started {
  const child = spawn(command, args, { cwd: folder, stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
  children.push(child);
  let stderr = "";
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  const says = async (words: string): Promise<void> => {
    while (!stderr.includes(words)) await once(child.stderr, "data");
  };
  return { child, ended: once(child, "exit"), says };
}

/** Waits until the process has the file open. */
async function opens(pid: number, file: string): Promise<void> {
  const links = (): string[] => readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return "";
    }
  });
  while (!links().includes(file)) await sleep(20);
}

const held = ["--set", "model.path=model", "--log-format", "json"];

describe.skipIf(process.platform !== "linux")("while the model's folder is read", () => {
  it.each(["run", "merge", "select"])("SIGTERM ends %s, and a second one also where a read never ends", async (verb) => {
    const { folder, fifo, writer } = heldJob();
    const { child, ended, says } = start(folder, process.execPath, [PROGRAM, verb, "job.yaml", ...held]);
    await opens(child.pid!, fifo);
    child.kill("SIGTERM");
    await says('"reason":"stopped by SIGTERM"');
    child.kill("SIGTERM");
    expect([[143, null], [null, "SIGTERM"]]).toContainEqual(await ended);
    closeSync(writer);
  });

  it("a worker that loses its parent ends, though its pipes stay open", async () => {
    const { folder, fifo, writer } = heldJob();
    const words = [process.execPath, PROGRAM, "worker", "job.yaml", "--stdio", ...held];
    execFileSync("mkfifo", [path.join(folder, "jobs")]);
    const jobs = openSync(path.join(folder, "jobs"), constants.O_RDWR);
    const { child, ended } = start(folder, "sh", ["-c", '"$@" < jobs & echo $!; wait', "sh", ...words]);
    const worker = Number(String((await once(child.stdout!, "data"))[0]));
    await opens(worker, fifo);
    child.kill("SIGKILL");
    await ended;
    rmSync(fifo);
    symlinkSync(path.join(TINY_MODEL, "config.json"), fifo);
    writeSync(writer, readFileSync(fifo));
    closeSync(writer);
    for (let i = 0; i < 1200 && isAlive(worker); i++) await sleep(25);
    const survived = isAlive(worker);
    if (survived) process.kill(worker, "SIGKILL");
    closeSync(jobs);
    expect(survived).toBe(false);
  });
});

// util-linux gives the command a terminal.
describe.skipIf(process.platform !== "linux" || !existsSync("/usr/bin/script"))("where a terminal is asked for the annotations", () => {
  it.each([
    ["Ctrl-C", "\x03", 130],
    ["Ctrl-D", "\x04", 2],
  ])("%s ends init", async (_, key, exitCode) => {
    const folder = mkdtempSync(path.join(tmpdir(), "vig-asked-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const child = spawn("script", ["-qec", `"${process.execPath}" "${PROGRAM}" init`, "/dev/null"], { cwd: folder, stdio: ["pipe", "pipe", "ignore"] });
    children.push(child);
    let said = "";
    while (!said.includes("annotations")) said += String((await once(child.stdout, "data"))[0]);
    child.stdin.write(key);
    expect(await once(child, "exit")).toEqual([exitCode, null]);
  });
});

describe.skipIf(process.platform !== "linux")("a run whose log nobody reads any more, and whose pipe is full", () => {
  it("ends on SIGTERM", async () => {
    const folder = makeJob({ with_reject: false });
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const fifo = path.join(folder, "log");
    execFileSync("mkfifo", [fifo]);
    const log = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    const fill = (): void => {
      for (;;) writeSync(log, Buffer.alloc(4096));
    };
    expect(fill).toThrow(/EAGAIN/);
    const child = spawn(process.execPath, [PROGRAM, "run", "job.yaml", "--log-format", "json"], { cwd: folder, stdio: ["ignore", "ignore", log] });
    children.push(child);
    while (!existsSync(path.join(folder, "out", "_work", "journal.jsonl"))) await sleep(20);
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([143, null]);
    closeSync(log);
  });
});
