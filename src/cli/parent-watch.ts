import { setInterval } from "node:timers";
import { StageError } from "../core/errors.ts";

const INTERVAL_MS = 500;

/** Aborts `controller` soon after the process that started this one has ended, however it ended. Returns what stops the watch. */
export function watchParent(controller: AbortController): () => void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) controller.abort(new StageError(`the process that started this worker (${parent}) has ended`));
  }, INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}
