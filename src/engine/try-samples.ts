import type { RecordBatch } from "apache-arrow";
import { imagesSchema } from "../core/columns.ts";
import { PlanError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import { emptyRecordBatch, takeRows } from "../core/record-batch.ts";
import type { Split } from "../core/source.ts";
import { type FlowItem, openStages, type OpenStages } from "./run-stages.ts";
import { sequenceLengths, SplitWork } from "./split-work.ts";

export interface Trial {
  /** In input order, with scores' columns. */
  readonly scores: RecordBatch;
  /** The same samples' tokens: sample_id and PREPARED_COLUMNS, in input order, rejected ones left out. */
  readonly prepared: RecordBatch;
  /** With rejectsSchema. */
  readonly rejects: RecordBatch;
  /** Starting the workers and loading the graphs. */
  readonly load_ms: number;
  /** The second time through all stages, when nothing is loaded or allocated for the first time. */
  readonly warm_ms: number;
  /** Milliseconds that batches spent in each stage, both times. */
  readonly stage_ms: Readonly<Record<string, number>>;
}

/** Scores the first samples of the input, twice, and writes nothing. Throws what a run would throw. */
export async function trySamples(plan: Plan, numSamples: number, signal: AbortSignal): Promise<Trial> {
  const split = await firstSplit(plan, signal);
  const content = await plan.source.read(split, signal);
  const rows = Array.from({ length: Math.min(numSamples, content.samples.numRows) }, (_, row) => row);
  const samples = takeRows(content.samples, rows);
  const loadStart = performance.now();
  const stages = await openStages(plan.stages, signal);
  try {
    const load_ms = performance.now() - loadStart;
    await scoreOnce(plan, stages, new SplitWork(split, 0, content.readImage), samples);
    const warmStart = performance.now();
    const work = new SplitWork(split, plan.resources.num_lanes, content.readImage);
    work.addSourceRejects(content.rejects);
    const { scores, prepared } = await scoreOnce(plan, stages, work, samples);
    return { scores, prepared, rejects: work.rejects(), load_ms, warm_ms: performance.now() - warmStart, stage_ms: { ...stages.milliseconds } };
  } finally {
    await stages.close();
  }
}

async function firstSplit(plan: Plan, signal: AbortSignal): Promise<Split> {
  for await (const split of plan.source.splits(signal)) return split;
  throw new PlanError("the source has no records", { remedy: "check the path and the format of the source" });
}

async function scoreOnce(plan: Plan, stages: OpenStages, work: SplitWork, samples: RecordBatch): Promise<Pick<Trial, "scores" | "prepared">> {
  const [tokenize, ...steps] = stages.steps;
  const images = emptyRecordBatch(imagesSchema);
  const prepared = (await tokenize!.run({ work, batch: { samples, images } })).batch.samples;
  const lengths = sequenceLengths(prepared);
  const rows = Array.from(lengths.keys());
  const shown = rows.filter((row) => lengths[row]! > 0);
  const packed = plan.packBatches(Int32Array.from(shown, (row) => lengths[row]!));
  const batches = [rows.filter((row) => lengths[row] === 0), ...packed.batches.map((batch) => Array.from(batch, (index) => shown[index]!))];
  work.expect(prepared, batches.length);
  for (const batch of batches) {
    let item: FlowItem = { work, batch: { samples: takeRows(prepared, batch), images } };
    for (const step of steps) item = await step.run(item);
    work.add(item.batch.samples);
  }
  await stages.closeSplit(work);
  return { scores: work.scores(plan.schema.samples), prepared };
}
