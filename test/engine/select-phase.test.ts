import { type RecordBatch, Schema } from "apache-arrow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scoresSchema, selectionSchema } from "../../src/core/columns.ts";
import type { DatasetOptions, OutputFolder, SplitRecord } from "../../src/core/output.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { ProgressEvent } from "../../src/core/progress.ts";
import { projectColumns } from "../../src/core/record-batch.ts";
import type { SelectionTarget } from "../../src/core/selection.ts";
import { mergeHistograms, runSelectPhase, type SelectPhaseOptions } from "../../src/engine/select-phase.ts";
import { mask, maskConfig } from "../../src/stages/mask.ts";
import { quantileThreshold, topPercentTarget } from "../../src/stages/quantile-threshold.ts";
import { scored, scoredSample, scoresBatches, selectedRows, textOnly, vigOf, type ScoredSample } from "../stages/selection-scores.ts";

interface Published {
  readonly options: DatasetOptions;
  readonly batches: RecordBatch[];
}

/** An output folder in memory that holds scores, and says what was read and written. */
class FakeOutput {
  readonly reads: string[][] = [];
  readonly published = new Map<string, Published>();
  readonly discarded: string[] = [];
  /** Called before each batch that is read. */
  beforeBatch: (index: number) => void = () => undefined;

  readonly #batches: readonly RecordBatch[];

  constructor(batches: readonly RecordBatch[]) {
    this.#batches = batches;
  }

  async *readScores(columns: readonly string[]): AsyncGenerator<RecordBatch> {
    this.reads.push([...columns]);
    const schema = new Schema(columns.map((name) => scoresSchema.fields.find((field) => field.name === name)!));
    for (const [i, batch] of this.#batches.entries()) {
      this.beforeBatch(i);
      yield projectColumns(batch, schema);
    }
  }

  openDataset(name: string, options: DatasetOptions) {
    const batches: RecordBatch[] = [];
    return Promise.resolve({
      write: (batch: RecordBatch) => (batches.push(batch), Promise.resolve()),
      publish: () => {
        this.published.set(name, { options, batches });
        return Promise.resolve({ num_rows: 0, parts: [] });
      },
      discard: () => (this.published.has(name) || this.discarded.push(name), Promise.resolve()),
    });
  }

  get folder(): OutputFolder {
    return this as unknown as OutputFolder;
  }
}

interface Case {
  readonly samples: readonly ScoredSample[];
  readonly batchRows?: number;
  readonly targets?: readonly SelectionTarget[];
  readonly granularity?: string;
  readonly records?: readonly SplitRecord[];
  readonly withWords?: boolean;
}

function setUp({ samples, batchRows = 10, targets, granularity = "sample_and_token", records, withWords = false }: Case) {
  const output = new FakeOutput(scoresBatches(samples, batchRows));
  const events: ProgressEvent[] = [];
  const plan = {
    threshold: quantileThreshold({ top_percent: 50 }),
    mask: mask(maskConfig.parse({ granularity })),
    targets: targets ?? null,
    schema: { samples: scoresSchema },
    output: { compression: "zstd" },
  } as unknown as Plan;
  const run = (signal = new AbortController().signal) => {
    const options: SelectPhaseOptions = { observer: { report: (event) => events.push(event) }, signal, with_words: withWords, ...(records && { records }) };
    return runSelectPhase(plan, output.folder, options);
  };
  return { output, events, run };
}

function recordOf(samples: readonly ScoredSample[]): SplitRecord {
  const vigs = samples.flatMap((sample) => vigOf(sample) ?? []);
  return { vig_histogram: quantileThreshold({}).histogram(vigs), num_tokens: samples.reduce((sum, s) => sum + s.tokens.length, 0) } as unknown as SplitRecord;
}

function maskOf({ tokens, token_vig }: ScoredSample, tau: number): boolean[] {
  return token_vig ? Array.from(token_vig, (vig) => vig >= tau) : tokens.map(() => true);
}

describe("runSelectPhase", () => {
  it("selects by the k-th largest VIG, for several percentages in one reading, rows in input order", async () => {
    const percents = fc.uniqueArray(fc.constantFrom(0, 10, 30, 50, 70.1, 90, 100), { minLength: 1, maxLength: 7 });
    await fc.assert(
      fc.asyncProperty(fc.array(scoredSample, { maxLength: 60 }), percents, fc.integer({ min: 1, max: 70 }), fc.boolean(), async (samples, tops, batchRows, counted) => {
        const { output, run } = setUp({ samples, batchRows, targets: tops.map(topPercentTarget), ...(counted && { records: [recordOf(samples.slice(0, 9)), recordOf(samples.slice(9))] }) });
        const { selections } = await run();
        const sorted = samples.flatMap((sample) => vigOf(sample) ?? []).sort((a, b) => b - a);
        for (const [i, top] of tops.entries()) {
          const k = Math.ceil(Number(((top * sorted.length) / 100).toFixed(6)));
          const tau = k === 0 ? Infinity : sorted[k - 1]! + 0;
          const kept = samples.flatMap((sample, index) => (sample.token_vig && !(vigOf(sample)! >= tau) ? [] : [index]));
          const rows = selectedRows(output.published.get(`selection@${top}`)!.batches);
          expect(rows.map((row) => row.sample_id)).toEqual(kept.map((index) => `s${index}`));
          expect(rows.map((row) => row.loss_mask)).toEqual(kept.map((index) => maskOf(samples[index]!, tau)));
          expect(selections[i]).toMatchObject({ target: topPercentTarget(top), tau, k });
          expect(selections[i]!.counts.num_kept_vig + selections[i]!.counts.num_text_only).toBe(rows.length);
          expect(selections[i]!.counts.num_active).toBe(rows.reduce((sum, row) => sum + row.num_active, 0));
        }
      }),
    );
  });

  it("counts ties at tau, all of them kept", async () => {
    const { run } = setUp({ samples: [scored(3), scored(1), scored(2), scored(2), scored(2)] });
    const { selections } = await run();
    // k = ceil(50 % of 5) = 3, but the three samples at tau = 2 all stay.
    expect(selections).toMatchObject([{ target: { dataset: "selection" }, tau: 2, k: 3, counts: { num_vig: 5, num_kept_vig: 4, num_ties: 3 } }]);
  });

  it("reads only vig for the threshold, once where the journal's histogram is known, and never for a given tau", async () => {
    const samples = [scored(1), scored(2), textOnly(1)];
    const readsOf = async (options: Partial<Case>) => {
      const { output, run } = setUp({ samples, ...options });
      await run();
      return output.reads.slice(0, -1);
    };
    expect(await readsOf({})).toEqual([["vig"], ["vig"]]);
    expect(await readsOf({ records: [recordOf(samples)] })).toEqual([["vig"]]);
    expect(await readsOf({ targets: [{ dataset: "selection", top_percent: null, tau: 1 }] })).toEqual([]);
    expect(await readsOf({ granularity: "random", targets: [{ dataset: "selection", top_percent: null, tau: 1 }] })).toEqual([["num_tokens", "vig", "token_vig"], ["num_tokens", "vig"]]);
  });

  it("reads token_vig for the selection only where mask or words need it", async () => {
    const lastRead = async (options: Partial<Case>) => {
      const { output, run } = setUp({ samples: [scored(1)], ...options });
      await run();
      return output.reads.at(-1);
    };
    const carried = ["sample_id", "source", "images", "messages", "num_tokens", "vig", "token_id", "token_text"];
    expect(await lastRead({ granularity: "sample" })).toEqual(carried);
    expect(await lastRead({ granularity: "sample", withWords: true })).toEqual([...carried, "token_vig"]);
    expect(await lastRead({})).toEqual([...carried, "token_vig"]);
  });

  it("writes the schema and the rule into the data set, also where nothing is kept", async () => {
    const { output, run } = setUp({ samples: [scored(1)], targets: [topPercentTarget(0)] });
    await run();
    const { options, batches } = output.published.get("selection@0")!;
    expect(batches).toEqual([]);
    expect(options.schema.names).toEqual(selectionSchema.names);
    expect(options.metadata).toEqual({ "vig_pipeline.tau": "Infinity", "vig_pipeline.top_percent": "0", "vig_pipeline.mask": '{"granularity":"sample_and_token","seed":0}' });
  });

  it("writes more than four selections in several readings", async () => {
    const tops = [10, 20, 30, 40, 50, 60];
    const { output, run } = setUp({ samples: Array.from({ length: 20 }, (_, i) => scored(i)), targets: tops.map(topPercentTarget) });
    await run();
    expect(tops.map((top) => selectedRows(output.published.get(`selection@${top}`)!.batches).length)).toEqual([2, 4, 6, 8, 10, 12]);
    expect(output.reads.filter((columns) => columns.includes("messages"))).toHaveLength(2);
  });

  it("warns where tau is near zero", async () => {
    const { events, run } = setUp({ samples: [scored(0.001, 0.001), scored(-1)] });
    await run();
    expect(events.map(({ event }) => event)).toEqual(["warning"]);
    expect(events[0]).toMatchObject({ code: "tau_near_zero", message: expect.stringContaining("66.7 % of the tokens are active now") as string });
  });

  it.each([
    ["the threshold's pass", 1],
    ["the selection's pass", 6],
  ])("stops at once in %s when it is aborted, with nothing published", async (_name, atBatch) => {
    const { output, run } = setUp({ samples: Array.from({ length: 6 }, (_, i) => scored(i)), batchRows: 2 });
    const controller = new AbortController();
    let seen = 0;
    output.beforeBatch = () => void (seen++ === atBatch && controller.abort(new Error("enough")));
    await expect(run(controller.signal)).rejects.toThrow("enough");
    expect(seen).toBe(atBatch + 1);
    expect(output.published.size).toBe(0);
    expect(output.discarded).toEqual(atBatch === 1 ? [] : ["selection"]);
  });

  it("discards what it has written when reading fails", async () => {
    const { output, run } = setUp({ samples: [scored(1), scored(2)], batchRows: 1, targets: [{ dataset: "selection", top_percent: null, tau: 0 }] });
    output.beforeBatch = (index) => {
      if (index === 1) throw new Error("damaged");
    };
    await expect(run()).rejects.toThrow("damaged");
    expect(output.discarded).toEqual(["selection"]);
  });
});

describe("mergeHistograms", () => {
  it("adds up, digits ascending", () => {
    const a = [[3, 1], [7, 2]] as const;
    const b = [[1, 5], [7, 1]] as const;
    expect(mergeHistograms([{ vig_histogram: a }, { vig_histogram: b }])).toEqual([[1, 5], [3, 1], [7, 3]]);
  });
});
