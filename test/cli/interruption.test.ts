import { afterEach, describe, expect, it, vi } from "vitest";
import { interruptible } from "../../src/cli/interruption.ts";
import { InterruptedError } from "../../src/core/errors.ts";

afterEach(() => vi.restoreAllMocks());

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

  it("ends the process at once at the second signal", async () => {
    const exit = vi.spyOn(process, "exit").mockImplementation(() => undefined as never);
    const work = interruptible(untilAborted, () => undefined);
    process.emit("SIGINT");
    expect(exit).not.toHaveBeenCalled();
    process.emit("SIGINT");
    expect(exit).toHaveBeenCalledWith(130);
    await expect(work).rejects.toThrow();
  });

  it("leaves no listener behind, and keeps errors that are not an interruption's", async () => {
    const before = [process.listenerCount("SIGINT"), process.listenerCount("SIGTERM")];
    await expect(interruptible(() => Promise.reject(new Error("own")), () => undefined)).rejects.toThrow("own");
    await expect(interruptible(() => Promise.resolve(7), () => undefined)).resolves.toBe(7);
    expect([process.listenerCount("SIGINT"), process.listenerCount("SIGTERM")]).toEqual(before);
  });
});
