/** What the inference process does: it owns one session a graph and answers requests one after the other. */
import { PlanError, ResourceExhaustedError } from "../core/errors.ts";
import { makeHead } from "./head-check.ts";
import { JoinedRunner } from "./joined-runner.ts";
import { LostSplitError, ModelRunner, type Runner } from "./model-runner.ts";
import type { ErrorMessage, FromWorker, ToWorker } from "./worker-protocol.ts";

let runner: Runner | undefined;
let queue: Promise<void> = Promise.resolve();
const cancelled = new Set<number>();

/** Answers the parent's messages; says that it is there. */
export function serveInference(): void {
  process.on("message", (message: ToWorker) => {
    if (message.kind === "cancel") cancelled.add(message.id);
    else queue = queue.then(() => answer(message));
  });
  send({ kind: "started" });
}

async function answer(message: ToWorker): Promise<void> {
  const id = message.kind === "score" ? message.id : -1;
  try {
    if (message.kind === "open") {
      const { model, head } = message;
      const joined = head.kind === "answer_rows" ? head.joined : undefined;
      runner = joined ? await JoinedRunner.open(model, joined) : await ModelRunner.open(model, head);
      send({ kind: "opened", report: runner.report });
    } else if (message.kind === "check_head") {
      send({ kind: "checked", ...(await makeHead(message.model, message.target)) });
    } else if (message.kind === "close_split") {
      runner?.closeSplit(message.split);
    } else if (message.kind === "score" && !cancelled.delete(id)) {
      send({ kind: "scored", id, ...(await runner!.score(message.split, message.images, message.sequences)) });
    }
  } catch (error) {
    send({ kind: "failed", id, error: errorMessage(error) });
  }
}

function errorMessage(error: unknown): ErrorMessage {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof LostSplitError) return { type: "lost_split", message };
  const remedy = error instanceof Error && "remedy" in error && typeof error.remedy === "string" ? { remedy: error.remedy } : {};
  if (error instanceof PlanError) return { type: "plan", message, ...remedy };
  if (error instanceof ResourceExhaustedError) return { type: "memory", message, ...remedy };
  if ("remedy" in remedy) return { type: "stage", message, ...remedy };
  return { type: "stage", message: error instanceof Error ? (error.stack ?? message) : message };
}

function send(message: FromWorker): void {
  process.send?.(message);
}
