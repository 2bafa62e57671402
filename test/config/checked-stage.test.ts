import { Field, Int32, Int64, Schema, Utf8 } from "apache-arrow";
import { describe, expect, it } from "vitest";
import { checkedStage } from "../../src/config/checked-stage.ts";
import { imagesSchema } from "../../src/core/columns.ts";
import { emptyRecordBatch, int32Column, makeRecordBatch, takeRows, utf8Column, withColumns } from "../../src/core/record-batch.ts";
import type { Batch, BatchSchema, MapStage, StageOutput } from "../../src/core/stage.ts";
import { plainSplit } from "./../stages/stage-conformance.ts";

const id = new Field("sample_id", new Utf8(), false);
const size = new Field("size", new Int32(), false);
const added = new Field("added", new Int32(), false);
const input: BatchSchema = { samples: new Schema([id, size]), images: imagesSchema };
const batch: Batch = {
  samples: makeRecordBatch(input.samples, { sample_id: utf8Column(["a", "b", "c"]), size: int32Column(Int32Array.of(1, 2, 3)) }),
  images: emptyRecordBatch(imagesSchema),
};

function stageOf(process: (batch: Batch) => StageOutput, samples: (schema: Schema) => Schema = (schema) => schema): MapStage {
  return checkedStage(
    {
      kind: "mine",
      version: 1,
      config: {},
      concurrency: 1,
      outputSchema: (schema) => ({ samples: samples(schema.samples), images: schema.images }),
      open: async () => ({ process: async (given) => process(given), close: async () => undefined }),
    },
    "mine.ts",
  );
}

async function run(stage: MapStage): Promise<StageOutput> {
  const operator = await stage.open(new AbortController().signal);
  return operator.process(batch, { split: plainSplit(), signal: new AbortController().signal });
}

const take = (rows: readonly number[]): Batch => ({ ...batch, samples: takeRows(batch.samples, rows) });

describe("a stage from elsewhere", () => {
  it("keeps the order of columns, with its own behind", async () => {
    // Replacing a column moves it behind the others.
    const process = ({ samples, images }: Batch) => ({ batch: { samples: withColumns(samples, [added, id], { added: int32Column(Int32Array.of(7, 8, 9)), sample_id: utf8Column(["a", "b", "c"]) }), images }, rejects: [] });
    const stage = stageOf(process, (schema) => new Schema([added, ...schema.fields]));
    expect(stage.outputSchema(input).samples.names).toEqual(["sample_id", "size", "added"]);
    expect((await run(stage)).batch.samples.schema.names).toEqual(["sample_id", "size", "added"]);
  });

  it.each([
    ["drops a column", () => new Schema([id]), "drops the column size"],
    ["changes a type", () => new Schema([id, new Field("size", new Utf8(), false)]), "changes the type of the column size"],
    ["adds a type that is not carried", (schema: Schema) => new Schema([...schema.fields, new Field("added", new Int64(), false)]), "adds the column added of type Int64"],
  ])("is refused where it %s", (_name, samples, message) => {
    expect(() => stageOf(() => ({ batch, rejects: [] }), samples).outputSchema(input)).toThrow(message);
  });

  it.each([
    ["loses a row", () => ({ batch: take([0, 1]), rejects: [] }), "took 3 samples and gave 2 and 0 rejects"],
    ["doubles a row", () => ({ batch: take([0, 1, 1, 2]), rejects: [] }), "gave 4"],
    ["reorders rows", () => ({ batch: take([1, 0, 2]), rejects: [] }), "in their order"],
    ["rejects what it keeps", () => ({ batch: take([0, 1]), rejects: [{ sample_id: "a", code: "rejected_by_module" as const, message: "" }] }), "not all of them once"],
    ["makes up a code", () => ({ batch: take([0, 1]), rejects: [{ sample_id: "c", code: "bad" as never, message: "" }] }), "the code bad, which is none"],
  ])("fails the run where it %s", async (_name, process, message) => {
    await expect(run(stageOf(process))).rejects.toThrow(message);
  });

  it("fails the run where a column that it promised is missing", async () => {
    await expect(run(stageOf(() => ({ batch, rejects: [] }), (schema) => new Schema([...schema.fields, added])))).rejects.toThrow("gives no column added of type Int32");
  });

  it("may reject", async () => {
    const rejects = [{ sample_id: "b", code: "rejected_by_module" as const, message: "why not" }];
    expect((await run(stageOf(() => ({ batch: take([0, 2]), rejects })))).rejects).toEqual(rejects);
  });
});
