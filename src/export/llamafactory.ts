import { Field, Int32, Int8, List, makeData, Schema, Utf8, type Data } from "apache-arrow";
import { int32ListColumn, makeRecordBatch, utf8ListColumn } from "../core/record-batch.ts";
import { SavedDataset } from "../io/export/saved-dataset.ts";
import type { ExportFormat, FormatContext, SelectionWriter } from "./format.ts";
import { storedImagesColumn, storedImagesType } from "./image-column.ts";
import { inSlices } from "./slices.ts";
import { imageStore } from "./stored-images.ts";
import { TrainingRows } from "./training-rows.ts";

const int8s = new List(new Field("item", new Int8(), true));
const int32s = new List(new Field("item", new Int32(), true));
const strings = new List(new Field("item", new Utf8(), true));

/** Exactly the columns that LLaMA-Factory's collator takes: it hands any other to the tokenizer's padding. */
function schemaOf({ embed_images }: FormatContext): Schema {
  return new Schema([
    new Field("input_ids", int32s, true),
    new Field("attention_mask", int8s, true),
    new Field("labels", int32s, true),
    new Field("images", embed_images ? storedImagesType : strings, true),
  ]);
}

/** The folder that LLaMA-Factory's `tokenized_path` names: a saved DatasetDict with the split train. */
export const llamafactory: ExportFormat = {
  summary: "LLaMA-Factory's tokenized_path: token masks with no code",
  embeds_images: true,
  async open(context) {
    const store = imageStore(context);
    const training = await TrainingRows.open(context);
    const schema = schemaOf(context);
    const dataset = await SavedDataset.create(context.folder, { split: "train", schema, fingerprint: context.fingerprint });
    return {
      write: (samples) =>
        inSlices(context, samples, async (slice) => {
          const rows = await training.of(slice, context.signal);
          const images = await store(slice);
          await dataset.write(
            makeRecordBatch(schema, {
              input_ids: int32ListColumn(rows.map((row) => row.input_ids)),
              attention_mask: onesColumn(rows.map((row) => row.input_ids.length)),
              labels: int32ListColumn(rows.map((row) => row.labels)),
              images: context.embed_images ? storedImagesColumn(images) : utf8ListColumn(images.map((row) => row.map((image) => image.path))),
            }),
          );
          for (const sample of slice) context.tally.written(sample);
        }),
      finish: async () => void (await dataset.finish()),
      async abandon() {
        await training.close();
        await dataset.abandon();
      },
    } satisfies SelectionWriter;
  },
};

/** Nothing is padding here; collators pad. */
function onesColumn(lengths: readonly number[]): Data<List> {
  const valueOffsets = new Int32Array(lengths.length + 1);
  lengths.forEach((length, i) => (valueOffsets[i + 1] = valueOffsets[i]! + length));
  const total = valueOffsets[lengths.length]!;
  const child = makeData({ type: new Int8(), length: total, nullCount: 0, data: new Int8Array(total).fill(1) });
  return makeData({ type: int8s, length: lengths.length, nullCount: 0, valueOffsets, child });
}
