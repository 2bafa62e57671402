import type { RecordBatch } from "apache-arrow";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { scoresSchema } from "../../src/core/columns.ts";
import { StageError } from "../../src/core/errors.ts";
import type { OutputFolder, SplitRecord } from "../../src/core/output.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { ProgressEvent } from "../../src/core/progress.ts";
import { utf8Values } from "../../src/core/record-batch.ts";
import type { Sample } from "../../src/core/sample.ts";
import type { Source, Split } from "../../src/core/source.ts";
import type { MapStage } from "../../src/core/stage.ts";
import { samplesSchema } from "../../src/core/columns.ts";
import { runScorePhase } from "../../src/engine/score-phase.ts";
import { packBatches } from "../../src/kernels/pack-batches.ts";
import { blur, blurConfig } from "../../src/stages/blur.ts";
import { decode, decodeConfig } from "../../src/stages/decode.ts";
import { pairedInference, pairedInferenceConfig } from "../../src/stages/paired-inference.ts";
import { tokenDelta } from "../../src/stages/token-delta.ts";
import { tokenize } from "../../src/stages/tokenize.ts";
import { pngOf, sample, samplesBatch } from "../stages/samples.ts";
import { scriptedModel, type ScriptedModelOptions } from "../stages/scripted-model.ts";

const never = new AbortController().signal;
const files = new Map<string, Uint8Array>();
beforeAll(async () => {
  for (let seed = 0; seed < 6; seed++) files.set(`${seed}.png`, await pngOf(seed));
});

const words = ["a", "red", "square", "on", "the", "left", "of", "two", "blue", "cats"];
const data: Sample[] = Array.from({ length: 53 }, (_, i) =>
  sample(`s${i}`, i % 7 === 3 ? [] : i % 11 === 5 ? ["gone.png"] : [`${i % 6}.png`], words.slice(0, 1 + ((i * 5) % 9)).join(" ") || "yes"),
);
const SPLIT_SIZE = 10;

function memorySource(samples: readonly Sample[]): Source & { readonly reads: number[] } {
  const reads: number[] = [];
  const splits: Split[] = Array.from({ length: Math.ceil(samples.length / SPLIT_SIZE) }, (_, index) => ({
    index,
    location: `rows ${index * SPLIT_SIZE}`,
    num_records: Math.min(SPLIT_SIZE, samples.length - index * SPLIT_SIZE),
    digest: `digest-${index}`,
  }));
  return {
    reads,
    kind: "memory",
    schema: samplesSchema,
    async *splits() {
      yield* splits;
    },
    read(split) {
      reads.push(split.index);
      return Promise.resolve({
        samples: samplesBatch(samples.slice(split.index * SPLIT_SIZE, (split.index + 1) * SPLIT_SIZE)),
        rejects: [],
        readImage: (key) => Promise.resolve(files.get(key) ?? { code: "image_not_found", message: "no such file" }),
      });
    },
    describe: () => Promise.resolve({}),
  };
}

interface Memory {
  readonly output: OutputFolder;
  readonly scores: Map<string, RecordBatch>;
  readonly rejects: Map<string, RecordBatch>;
  readonly written: string[];
  /** Splits in each call. */
  readonly asked: number[];
}

function memoryOutput(onCommit: (record: SplitRecord) => void | Promise<void> = () => undefined): Memory {
  const committed = new Map<string, SplitRecord>();
  const memory = { scores: new Map<string, RecordBatch>(), rejects: new Map<string, RecordBatch>(), written: [] as string[], asked: [] as number[] };
  const output = {
    committed: () => committed,
    async commitSplit(record: SplitRecord, scores: RecordBatch, rejects: RecordBatch) {
      await onCommit(record);
      committed.set(record.split_digest, record);
      memory.scores.set(record.split_digest, scores);
      memory.rejects.set(record.split_digest, rejects);
    },
    /** Parts of two splits. */
    writeFullParts(digests: readonly string[]) {
      memory.asked.push(digests.length);
      const full = digests.length - (digests.length % 2);
      memory.written.push(...digests.slice(0, full));
      return Promise.resolve(full);
    },
  };
  return { output: output as unknown as OutputFolder, ...memory };
}

function planOf(source: Source, options: ScriptedModelOptions & { readonly num_lanes?: number } = {}): Plan {
  const model = scriptedModel(options);
  const limits = decodeConfig.parse({});
  const num_lanes = options.num_lanes ?? 2;
  const plan = {
    source,
    stages: [
      tokenize(model, limits),
      decode(limits, { model, keepSource: false }),
      blur(blurConfig.parse({}), { model, num_threads: 1 }),
      pairedInference(pairedInferenceConfig.parse({}), { model, scorer: { num_workers: num_lanes, num_threads: 1, devices: ["cpu"] } }),
      tokenDelta({}),
    ],
    schema: { samples: scoresSchema, images: undefined },
    threshold: { histogram: (vigs: Iterable<number>) => [[0, [...vigs].length]] },
    packBatches: (lengths: Int32Array) => packBatches(lengths, { maxBatchPositions: 64, overheadPositions: 8 }),
    resources: { num_lanes, num_workers: num_lanes, num_threads: 1 },
  };
  return plan as unknown as Plan;
}

function observe() {
  const events: ProgressEvent[] = [];
  return { events, observer: { report: (event: ProgressEvent) => void events.push(event) } };
}

async function score(plan: Plan, { output }: Memory, signal = never) {
  const splits: Split[] = [];
  for await (const split of plan.source.splits(signal)) splits.push(split);
  const { events, observer } = observe();
  const milliseconds = await runScorePhase(plan, output, splits, { observer, signal });
  return { events, milliseconds };
}

const idsOf = (memory: Memory) => [...memory.scores].sort(([a], [b]) => a.localeCompare(b)).flatMap(([, batch]) => utf8Values(batch, "sample_id"));
const cells = (memory: Memory) => JSON.stringify([...memory.scores].sort(([a], [b]) => a.localeCompare(b)).map(([, batch]) => batch.toArray().map((row) => JSON.stringify(row))));

describe("runScorePhase", () => {
  it("scores every sample once, in input order, and rejects what can't be read", async () => {
    const memory = memoryOutput();
    const { events } = await score(planOf(memorySource(data)), memory);
    const lost = data.filter((one) => one.images[0] === "gone.png").map((one) => one.sample_id);
    expect(idsOf(memory)).toEqual(data.map((one) => one.sample_id).filter((id) => !lost.includes(id)));
    const rejected = [...memory.rejects.values()].flatMap((batch) => utf8Values(batch, "sample_id")).sort();
    expect(rejected).toEqual([...lost].sort());
    expect([...memory.rejects.values()].flatMap((batch) => utf8Values(batch, "stage"))).toEqual(lost.map(() => "decode"));
    expect(events.filter((event) => event.event === "split_committed")).toHaveLength(6);
    expect(memory.written).toEqual(Array.from({ length: 6 }, (_, index) => `digest-${index}`));
  });

  it("gives the same whatever the number of lanes", async () => {
    const [one, three] = [memoryOutput(), memoryOutput()];
    await score(planOf(memorySource(data), { num_lanes: 1 }), one);
    await score(planOf(memorySource(data), { num_lanes: 3 }), three);
    expect(cells(three)).toEqual(cells(one));
  });

  it("does only what is not committed, and nothing where all is", async () => {
    const memory = memoryOutput();
    await score(planOf(memorySource(data)), memory);
    const nothingNew = memorySource(data);
    let opened = 0;
    await score(planOf(nothingNew, { onOpen: () => opened++ }), memory);
    expect([nothingNew.reads, opened]).toEqual([[], 0]);
    const more = memorySource([...data, ...data.slice(0, 12).map((one) => ({ ...one, sample_id: `${one.sample_id}-new` }))]);
    await score(planOf(more, { onOpen: () => opened++ }), memory);
    expect([more.reads, opened]).toEqual([[6], 1]);
  });

  it("scores a split again when its worker dies, and says so", async () => {
    const memory = memoryOutput();
    const undisturbed = memoryOutput();
    await score(planOf(memorySource(data)), undisturbed);
    let calls = 0;
    const plan = planOf(memorySource(data), {
      onScore: () => {
        if (++calls === 7 || calls === 12) throw new StageError("the inference worker died", { retryable: true });
      },
    });
    const { events } = await score(plan, memory);
    expect(cells(memory)).toEqual(cells(undisturbed));
    expect(events.filter((event) => event.event === "warning" && event.code === "split_retried")).toHaveLength(2);
  });

  it("gives up after three attempts, naming the split", async () => {
    const plan = planOf(memorySource(data), {
      num_lanes: 1,
      onScore: () => {
        throw new StageError("the inference worker died", { retryable: true });
      },
    });
    await expect(score(plan, memoryOutput())).rejects.toThrow(/split \d \(rows \d+\) failed 3 times: the inference worker died/);
  });

  it("fails with stage and split named where a stage breaks, and keeps what was committed", async () => {
    const memory = memoryOutput();
    let calls = 0;
    const plan = planOf(memorySource(data), {
      num_lanes: 1,
      onScore: () => {
        if (++calls > 12) throw new Error("division by cucumber");
      },
    });
    await expect(score(plan, memory)).rejects.toThrow(/stage paired_inference, split \d \(rows \d+\): division by cucumber/);
    expect(memory.scores.size).toBeGreaterThan(0);
  });

  it("stops at an abort and keeps what was committed", async () => {
    const controller = new AbortController();
    const memory = memoryOutput(() => controller.abort(new Error("enough")));
    await expect(score(planOf(memorySource(data), { num_lanes: 1 }), memory, controller.signal)).rejects.toThrow("enough");
    expect(memory.scores.size).toBe(1);
  });

  it("reads no more splits ahead than the lanes need", async () => {
    const source = memorySource(Array.from({ length: 400 }, (_, i) => sample(`s${i}`, [`${i % 6}.png`], "a red cat")));
    let committed = 0;
    let ahead = 0;
    const memory = memoryOutput(() => void committed++);
    const plan = planOf(source, { num_lanes: 1, onScore: () => void (ahead = Math.max(ahead, source.reads.length - committed)) });
    await score(plan, memory);
    expect(ahead).toBeLessThanOrEqual(3);
    // What is written is not asked about again.
    expect(Math.max(...memory.asked)).toBeLessThanOrEqual(2);
  });

  it.each([1, 3])("keeps a bounded number of batches in flight where the source is fast and the disk hangs, with %d lane(s)", async (num_lanes) => {
    const source = memorySource(Array.from({ length: 600 }, (_, i) => sample(`s${i}`, [`${i % 6}.png`], "a red cat")));
    let release!: () => void;
    const disk = new Promise<void>((resolve) => (release = resolve));
    let numHanging = 0;
    const memory = memoryOutput(() => {
      numHanging++;
      return disk;
    });
    const { plan, begun } = countingBatches(planOf(source, { num_lanes }));
    const scoring = score(plan, memory);
    await vi.waitUntil(() => numHanging >= num_lanes, { timeout: 60_000 });
    await settled(begun);
    const [numSplits, numBatches] = [source.reads.length, begun()];
    expect(memory.scores.size).toBe(0);
    release();
    await scoring;
    // The split that waits for the disk and the one behind it; of batches what the stages hold and one between any two.
    expect(numSplits).toBeLessThanOrEqual(2 * num_lanes);
    const hanging = (num_lanes * begun()) / source.reads.length;
    const inStages = plan.stages.slice(1).reduce((sum, { concurrency }) => sum + concurrency + 1, 0);
    expect(numBatches - hanging).toBeLessThanOrEqual(num_lanes * inStages);
    expect(memory.scores.size).toBe(60);
  });
});

/** The plan with the batches counted that have gone into its first stage that sees batches. */
function countingBatches(plan: Plan): { readonly plan: Plan; readonly begun: () => number } {
  let begun = 0;
  const [tokenizeStage, first, ...others] = plan.stages;
  const counted: MapStage = {
    ...first!,
    async open(signal) {
      const operator = await first!.open(signal);
      return { process: (batch, context) => (begun++, operator.process(batch, context)), close: () => operator.close() };
    },
  };
  return { plan: { ...plan, stages: [tokenizeStage!, counted, ...others] }, begun: () => begun };
}

/** Once the number has stayed for half a second. */
async function settled(read: () => number): Promise<void> {
  for (let last = -1; last !== read(); ) {
    last = read();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
