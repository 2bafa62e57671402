import { setInterval } from "node:timers";
import { StageError } from "../core/errors.ts";

const INTERVAL_MS = 500;
/** Taken when the process starts: it may lose its parent while it reads the model's folder. */
const parent = process.ppid;

/** Aborts `controller` soon after the process that started this one has ended, however it ended. Returns what stops the watch. */
export function watchParent(controller: AbortController): () => void {
  const timer = setInterval(() => {
    if (process.ppid !== parent) controller.abort(new StageError(`the process that started this worker (${parent}) has ended`));
  }, INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}
