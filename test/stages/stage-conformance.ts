import { type RecordBatch, Schema, Table, tableFromIPC, tableToIPC } from "apache-arrow";
import { expect, it } from "vitest";
import { concatRows, emptyRecordBatch, takeRows, utf8Values } from "../../src/core/record-batch.ts";
import type { Reject } from "../../src/core/rejects.ts";
import type { Batch, MapStage, SplitScope } from "../../src/core/stage.ts";

export interface ConformanceCase {
  /** A fresh stage each time. */
  readonly stage: () => MapStage;
  /** Input with several samples; images only where the stage reads them. */
  readonly batch: () => Batch | Promise<Batch>;
  /** A fresh split that can read the batch's images. */
  readonly split: () => SplitScope;
}

const never = new AbortController().signal;

export function plainSplit(readImage: SplitScope["readImage"] = () => Promise.reject(new Error("no image here"))): SplitScope {
  return { sequence: 0, imageUses: new Map(), readImage };
}

function bytes(batch: RecordBatch): Buffer {
  return Buffer.from(tableToIPC(new Table([batch]), "stream"));
}

/** Rows as plain data, with -0, NaN and nested lists comparable. */
function rows(batch: RecordBatch): unknown[] {
  if (batch.schema.fields.length === 0) return [];
  return tableFromIPC(bytes(batch))
    .toArray()
    .map((row) => JSON.parse(JSON.stringify(row, (_, value: unknown) => (ArrayBuffer.isView(value) ? Array.from(value as never) : typeof value === "bigint" ? String(value) : value))) as unknown);
}

async function run(stage: MapStage, batches: readonly Batch[], split: SplitScope) {
  const operator = await stage.open(never);
  try {
    const outputs: Batch[] = [];
    const rejects: Reject[] = [];
    for (const batch of batches) {
      const output = await operator.process(batch, { split, signal: never });
      outputs.push(output.batch);
      rejects.push(...output.rejects);
    }
    await operator.closeSplit?.(split);
    return { outputs, rejects };
  } finally {
    await operator.close();
  }
}

/** What every stage promises (src/core/stage.ts). */
export function stageConformance({ stage, batch: makeBatch, split }: ConformanceCase): void {
  it("gives what its schema says", async () => {
    const batch = await makeBatch();
    const schema = stage().outputSchema({ samples: batch.samples.schema, images: batch.images.schema });
    const { outputs } = await run(stage(), [batch], split());
    expect(outputs[0]!.samples.schema.fields.map(String)).toEqual(schema.samples.fields.map(String));
    expect(outputs[0]!.images.schema.fields.map(String)).toEqual(schema.images.fields.map(String));
  });

  it("conserves rows: in = out + rejects, each id once, order kept", async () => {
    const batch = await makeBatch();
    const { outputs, rejects } = await run(stage(), [batch], split());
    const input = utf8Values(batch.samples, "sample_id");
    const output = utf8Values(outputs[0]!.samples, "sample_id");
    expect([...output, ...rejects.map((reject) => reject.sample_id)].sort()).toEqual([...input].sort());
    expect(output).toEqual(input.filter((id) => output.includes(id)));
  });

  it("takes an empty batch", async () => {
    const { samples, images } = await makeBatch();
    const empty = { samples: emptyRecordBatch(samples.schema), images: emptyRecordBatch(images.schema) };
    const { outputs, rejects } = await run(stage(), [empty], split());
    expect(outputs[0]!.samples.numRows).toBe(0);
    expect(rejects).toEqual([]);
  });

  it("reads sliced batches from their offset", async () => {
    const batch = await makeBatch();
    const tail = (samples: RecordBatch) => samples.slice(1, samples.numRows);
    const sliced = await run(stage(), [{ ...batch, samples: tail(batch.samples) }], split());
    const indices = Array.from({ length: batch.samples.numRows - 1 }, (_, i) => i + 1);
    const copied = await run(stage(), [{ ...batch, samples: takeRows(batch.samples, indices) }], split());
    expect(rows(sliced.outputs[0]!.samples)).toEqual(rows(copied.outputs[0]!.samples));
    expect(sliced.rejects).toEqual(copied.rejects);
  });

  it("leaves its input as it was", async () => {
    const batch = await makeBatch();
    const before = [bytes(batch.samples), bytes(batch.images)];
    await run(stage(), [batch], split());
    expect(bytes(batch.samples).equals(before[0]!)).toBe(true);
    expect(bytes(batch.images).equals(before[1]!)).toBe(true);
  });

  it("gives the same twice, and the same however rows are cut into batches", async () => {
    const batch = await makeBatch();
    const whole = await run(stage(), [batch], split());
    const again = await run(stage(), [batch], split());
    expect(rows(again.outputs[0]!.samples)).toEqual(rows(whole.outputs[0]!.samples));

    const noImages = emptyRecordBatch(batch.images.schema);
    const single = Array.from({ length: batch.samples.numRows }, (_, row) => ({
      samples: takeRows(batch.samples, [row]),
      // Images come with the first batch that shows them; the first may bring them all.
      images: row === 0 ? batch.images : noImages,
    }));
    const cut = await run(stage(), single, split());
    const join = (side: "samples" | "images") => concatRows(cut.outputs[0]![side].schema, cut.outputs.map((output) => output[side]));
    expect(rows(join("samples"))).toEqual(rows(whole.outputs[0]!.samples));
    expect(rows(join("images"))).toEqual(rows(whole.outputs[0]!.images));
    expect(cut.rejects).toEqual(whole.rejects);
  });

  it("names a column that is missing", () => {
    const nothing = new Schema([]);
    expect(() => stage().outputSchema({ samples: nothing, images: nothing })).toThrowError(/needs the column \w+/);
  });

  it("can be closed without having been used", async () => {
    const operator = await stage().open(never);
    await operator.close();
  });
}
