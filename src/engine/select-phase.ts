import type { Field, RecordBatch } from "apache-arrow";
import { scoresSchema } from "../core/columns.ts";
import type { DatasetOptions, DatasetWriter, OutputFolder, SplitRecord } from "../core/output.ts";
import type { Plan, RunSummary, SelectionSummary } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import type { DataPass, Masker, SelectionTarget, Threshold, VigHistogram } from "../core/selection.ts";
import { WordVigs } from "./select-words.ts";

/** Selections that are written in one reading of the scores; each holds an encoder with one row group. */
const MAX_SELECTIONS_AT_ONCE = 4;

export interface SelectPhaseOptions {
  readonly observer: RunObserver;
  readonly signal: AbortSignal;
  /** The journal's records of exactly the splits that `scores/` holds: their histograms save a pass. Gone through more than once, never held together. */
  readonly records?: Iterable<SplitRecord>;
  /** Whether the words of the run summary are wanted, which reads token_vig whatever the mask needs. */
  readonly with_words: boolean;
}

export interface SelectPhaseResult {
  /** In the order of the targets. */
  readonly selections: readonly SelectionSummary[];
  readonly words: RunSummary["words"];
}

/**
 * Thresholds and selections from the published scores: the global barrier of the pipeline, no inference.
 * Finds every tau in a few passes over the one column `vig`, then reads the scores once for up to four selections and
 * writes each as a data set, rows in input order. A data set of the same name is replaced once the new one is whole.
 * Memory bound: one batch of scores as OutputFolder.readScores gives it, the rows selected from it, an encoder for each selection.
 * Throws PlanError for a `tau_from` that can't be read, StageError for damaged scores, the signal's reason once it aborts;
 * what is half written is discarded.
 */
export async function runSelectPhase(plan: Plan, output: OutputFolder, options: SelectPhaseOptions): Promise<SelectPhaseResult> {
  const { observer, signal, records } = options;
  const targets = plan.targets ?? (await plan.threshold.targets());
  const thresholds = await findThresholds(plan, output, targets, records, signal);
  const passedThrough = plan.schema.samples.fields.filter((field) => !scoresSchema.names.includes(field.name));
  const selections = thresholds.map((threshold) => new Selection(plan, threshold, passedThrough));
  await runPasses(output, selections.map(({ masker }) => masker), signal);
  const words = options.with_words ? new WordVigs(records && countTokens(records)) : undefined;
  for (let first = 0; first < selections.length; first += MAX_SELECTIONS_AT_ONCE) {
    await writeSelections(output, selections.slice(first, first + MAX_SELECTIONS_AT_ONCE), first === 0 ? words : undefined, signal);
  }
  for (const { masker } of selections) for (const warning of masker.warnings()) observer.report({ event: "warning", ...warning });
  return { selections: selections.map((selection) => selection.summary()), words: words?.extremes() ?? { highest: [], lowest: [] } };
}

async function findThresholds(
  plan: Plan,
  output: OutputFolder,
  targets: readonly SelectionTarget[],
  records: Iterable<SplitRecord> | undefined,
  signal: AbortSignal,
): Promise<readonly Threshold[]> {
  const search = plan.threshold.open(targets, records && mergeHistograms(records));
  await runPasses(output, [search], signal);
  return search.thresholds();
}

function countTokens(records: Iterable<SplitRecord>): number {
  let count = 0;
  for (const { num_tokens } of records) count += num_tokens;
  return count;
}

/** Histograms merge by addition. */
export function mergeHistograms(records: Iterable<Pick<SplitRecord, "vig_histogram">>): VigHistogram {
  const counts = new Map<number, number>();
  for (const { vig_histogram } of records) for (const [digit, count] of vig_histogram) counts.set(digit, (counts.get(digit) ?? 0) + count);
  return [...counts].sort(([a], [b]) => a - b);
}

/** Reads the scores as often as the neediest of `passes` asks; each reading serves all that still need one. */
async function runPasses(output: OutputFolder, passes: readonly DataPass[], signal: AbortSignal): Promise<void> {
  for (;;) {
    const open = passes.filter((pass) => pass.columns !== null);
    if (open.length === 0) return;
    const columns = inSchemaOrder(open.flatMap((pass) => pass.columns!));
    for await (const batch of output.readScores(columns, signal)) {
      signal.throwIfAborted();
      for (const pass of open) pass.observe(batch);
    }
    // A reader that ends quietly on abort must not be taken for the end of the data.
    signal.throwIfAborted();
    for (const pass of open) pass.endPass();
  }
}

/** One selection being made. */
class Selection {
  readonly masker: Masker;
  readonly #plan: Plan;
  readonly #threshold: Threshold;
  readonly #passedThrough: readonly Field[];

  constructor(plan: Plan, threshold: Threshold, passedThrough: readonly Field[]) {
    this.#plan = plan;
    this.#threshold = threshold;
    this.#passedThrough = passedThrough;
    this.masker = plan.mask.open(threshold, passedThrough);
  }

  /** A fresh data set for its rows, which are copied where the output can. */
  async openWriter(output: OutputFolder): Promise<SelectionWriter> {
    const { masker } = this;
    const { dataset } = this.#threshold.target;
    const options = this.#datasetOptions();
    const copy = await output.openRowCopy?.(dataset, options);
    if (copy) return { columns: masker.decideColumns, dataset: copy, write: (scores) => copy.write(masker.decide(scores)) };
    const writer = await output.openDataset(dataset, options);
    const write = async (scores: RecordBatch): Promise<void> => {
      const rows = masker.select(scores);
      if (rows.numRows > 0) await writer.write(rows);
    };
    return { columns: masker.selectColumns, dataset: writer, write };
  }

  summary(): SelectionSummary {
    const { target, tau, k } = this.#threshold;
    return { target, tau, k, counts: this.masker.counts() };
  }

  /** The footer says by which rule the rows were kept. */
  #datasetOptions(): DatasetOptions {
    const { target, tau } = this.#threshold;
    const { mask, schema, output: { compression } } = this.#plan;
    const metadata = { "vig_pipeline.tau": String(tau), "vig_pipeline.mask": JSON.stringify(mask.config) };
    return {
      schema: mask.outputSchema(schema.samples, this.#passedThrough),
      compression,
      metadata: target.top_percent === null ? metadata : { ...metadata, "vig_pipeline.top_percent": String(target.top_percent) },
    };
  }
}

/** A selection's data set while the scores go by. */
interface SelectionWriter {
  /** Columns of scores that `write` reads. */
  readonly columns: readonly string[];
  readonly dataset: Pick<DatasetWriter, "publish" | "discard">;
  write(scores: RecordBatch): Promise<void>;
}

/** One reading of the scores, from which every selection gets its rows and `words` its tokens. */
async function writeSelections(output: OutputFolder, selections: readonly Selection[], words: WordVigs | undefined, signal: AbortSignal): Promise<void> {
  const writers: SelectionWriter[] = [];
  try {
    for (const selection of selections) writers.push(await selection.openWriter(output));
    const columns = inSchemaOrder([...writers.flatMap((writer) => writer.columns), ...(words?.columns ?? [])]);
    for await (const batch of output.readScores(columns, signal)) {
      signal.throwIfAborted();
      words?.observe(batch);
      for (const writer of writers) await writer.write(batch);
    }
    signal.throwIfAborted();
    for (const { dataset } of writers) await dataset.publish();
  } finally {
    // Safe after publish: only what was not published goes.
    await Promise.allSettled(writers.map(({ dataset }) => dataset.discard()));
  }
}

/** Each name once; the schema's columns first, in its order. */
function inSchemaOrder(names: readonly string[]): string[] {
  const wanted = new Set(names);
  const stored = scoresSchema.names.map(String).filter((name) => wanted.has(name));
  return [...stored, ...[...wanted].filter((name) => !stored.includes(name))];
}
