import { EXIT_CODE, InterruptedError } from "../core/errors.ts";

/**
 * Runs `work` with a signal that aborts at the first SIGINT or SIGTERM: what is committed stays, and the process
 * ends within seconds. A second one ends the process at once. Throws InterruptedError in place of whatever the
 * abort made `work` throw.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, onInterrupt: (name: NodeJS.Signals) => void): Promise<T> {
  const controller = new AbortController();
  let interrupted: InterruptedError | undefined;
  const stop = (name: "SIGINT" | "SIGTERM"): void => {
    if (interrupted !== undefined) process.exit(name === "SIGINT" ? EXIT_CODE.interrupted : EXIT_CODE.terminated);
    interrupted = new InterruptedError(name);
    onInterrupt(name);
    controller.abort(interrupted);
  };
  const onSigint = (): void => stop("SIGINT");
  const onSigterm = (): void => stop("SIGTERM");
  process.on("SIGINT", onSigint);
  process.on("SIGTERM", onSigterm);
  try {
    return await work(controller.signal);
  } catch (error) {
    throw interrupted ?? error;
  } finally {
    process.off("SIGINT", onSigint);
    process.off("SIGTERM", onSigterm);
  }
}
