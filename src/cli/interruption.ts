import { EXIT_CODE, InterruptedError } from "../core/errors.ts";

/** process.exit would wait for libuv's threads, which may decode a large image, or read from a disk that has gone. */
function endAtOnce(name: "SIGINT" | "SIGTERM"): void {
  process.removeAllListeners(name);
  process.kill(process.pid, name);
  // The first process of a container is not ended by its own signals.
  process.exit(name === "SIGINT" ? EXIT_CODE.interrupted : EXIT_CODE.terminated);
}

/**
 * Runs `work` with a signal that aborts at the first SIGINT or SIGTERM: what is committed stays, and the process
 * ends within seconds. A second one ends the process at once. Throws InterruptedError in place of whatever the
 * abort made `work` throw.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, onInterrupt: (name: NodeJS.Signals) => void): Promise<T> {
  const controller = new AbortController();
  let interrupted: InterruptedError | undefined;
  const stop = (name: "SIGINT" | "SIGTERM"): void => {
    if (interrupted !== undefined) endAtOnce(name);
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
