import type { RecordBatch } from "apache-arrow";
import { InternalError, PipelineError, StageError } from "../core/errors.ts";
import type { Batch, MapStage, Operator } from "../core/stage.ts";
import type { FlowStep } from "./flow.ts";
import type { SplitWork } from "./split-work.ts";

/** One batch of one split, somewhere between two stages. */
export interface FlowItem {
  readonly work: SplitWork;
  readonly batch: Batch;
}

/** The stages of a run, opened. */
export interface OpenStages {
  /** Runs one batch through one stage outside a flow (tokenize, which sees a split whole). */
  readonly steps: readonly FlowStep<FlowItem>[];
  /** Milliseconds that batches have spent in each stage, waiting for a place included. */
  readonly milliseconds: Readonly<Record<string, number>>;
  closeSplit(work: SplitWork): Promise<void>;
  close(): Promise<void>;
}

/** Opens every stage; if one fails, those already open are closed. */
export async function openStages(stages: readonly MapStage[], signal: AbortSignal): Promise<OpenStages> {
  const operators: { readonly stage: MapStage; readonly operator: Operator }[] = [];
  const milliseconds: Record<string, number> = {};
  const close = async () => {
    const results = await Promise.allSettled(operators.splice(0).map(({ operator }) => operator.close()));
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
  };
  try {
    for (const stage of stages) operators.push({ stage, operator: await stage.open(signal) });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    milliseconds,
    steps: operators.map(({ stage, operator }) => ({
      concurrency: stage.concurrency,
      async run({ work, batch }) {
        const start = performance.now();
        try {
          const output = await operator.process(batch, { split: work.scope, signal });
          checkConservation(stage.kind, batch.samples, output.batch.samples, output.rejects.length);
          work.addRejects(stage.kind, output.rejects);
          return { work, batch: output.batch };
        } catch (error) {
          throw located(error, stage.kind, work);
        } finally {
          milliseconds[stage.kind] = (milliseconds[stage.kind] ?? 0) + performance.now() - start;
        }
      },
    })),
    async closeSplit(work) {
      for (const { operator } of operators) await operator.closeSplit?.(work.scope);
    },
    close,
  };
}

function checkConservation(stage: string, before: RecordBatch, after: RecordBatch, numRejects: number): void {
  if (before.numRows !== after.numRows + numRejects) {
    throw new InternalError(`stage ${stage} took ${before.numRows} samples and gave ${after.numRows} and ${numRejects} rejects`);
  }
}

/** Says where it happened, unless the error is typed already or is the abort itself. */
function located(error: unknown, stage: string, work: SplitWork): unknown {
  if (error instanceof PipelineError || (error instanceof Error && error.name === "AbortError")) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new StageError(`stage ${stage}, split ${work.split.index} (${work.split.location}): ${reason}`, { cause: error });
}
