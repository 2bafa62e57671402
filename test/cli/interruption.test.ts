import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { interruptible } from "../../src/cli/interruption.ts";
import { processEntryPoint } from "../../src/core/entry-point.ts";
import { InterruptedError } from "../../src/core/errors.ts";

/** Settles when the signal aborts, as a run does: with an error of its own. */
const untilAborted = (signal: AbortSignal) => new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(new Error("something in between"))));

describe("interruptible", () => {
  it.each([["SIGINT", 130], ["SIGTERM", 143]] as const)("%s aborts with the error that ends the process with %i", async (name, exitCode) => {
    const notices: string[] = [];
    const work = interruptible(untilAborted, (signal) => notices.push(signal));
    process.emit(name);
    await expect(work).rejects.toMatchObject({ name: "InterruptedError", exitCode });
    expect(notices).toEqual([name]);
  });

  it("gives the signal's reason to what it aborts", async () => {
    let reason: unknown;
    const work = interruptible((signal) => untilAborted(signal).finally(() => (reason = signal.reason)), () => undefined);
    process.emit("SIGTERM");
    const thrown = await work.catch((error: unknown) => error);
    expect(thrown).toBe(reason);
    expect(reason).toBeInstanceOf(InterruptedError);
  });

  it.skipIf(process.platform !== "linux")("ends the process at once at the second signal, also where a read never ends", async () => {
    const pipe = path.join(mkdtempSync(path.join(tmpdir(), "vig-pipe-")), "pipe");
    onTestFinished(() => rmSync(path.dirname(pipe), { recursive: true }));
    execFileSync("mkfifo", [pipe]);
    const { path: module, execArgv } = processEntryPoint(import.meta.url, "./never-ending.ts");
    const child = fork(module, [pipe], { execArgv });
    onTestFinished(() => void child.kill("SIGKILL"));
    const said = async (): Promise<unknown> => ((await once(child, "message")) as unknown[])[0];
    expect(await said()).toBe("works");
    child.kill("SIGINT");
    expect(await said()).toBe("SIGINT");
    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([null, "SIGINT"]);
  });

  it("leaves no listener behind, and keeps errors that are not an interruption's", async () => {
    const before = [process.listenerCount("SIGINT"), process.listenerCount("SIGTERM")];
    await expect(interruptible(() => Promise.reject(new Error("own")), () => undefined)).rejects.toThrow("own");
    await expect(interruptible(() => Promise.resolve(7), () => undefined)).resolves.toBe(7);
    expect([process.listenerCount("SIGINT"), process.listenerCount("SIGTERM")]).toEqual(before);
  });
});
