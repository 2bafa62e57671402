import { join } from "node:path";
import { Field, Float64, Int32, List, Schema, Utf8 } from "apache-arrow";
import { SAMPLE_COLUMNS } from "../core/columns.ts";
import { float64Column, int32Column, int32ListColumn, makeRecordBatch, messagesColumn, utf8Column } from "../core/record-batch.ts";
import { FolderDatasetWriter } from "../io/output/dataset-writer.ts";
import { huggingFaceFeatures } from "../io/parquet/hugging-face-features.ts";
import type { ExportFormat, FormatContext, SelectionWriter } from "./format.ts";
import { storedImagesColumn, storedImagesType } from "./image-column.ts";
import { imageStore } from "./stored-images.ts";
import { TrainingRows } from "./training-rows.ts";
import { inSlices } from "./slices.ts";

const [sampleId, source, , messages] = SAMPLE_COLUMNS;
const tokens = new List(new Field("item", new Int32(), true));

export const hfParquetSchema = new Schema([
  sampleId!,
  source!,
  // Nullable, since `datasets` takes a column for images only where its Arrow field is exactly what it would write.
  new Field("images", storedImagesType, true),
  messages!,
  new Field("vig", new Float64(), true),
  new Field("kept_as", new Utf8(), false),
  new Field("num_active", new Int32(), false),
  new Field("input_ids", tokens, false),
  new Field("labels", tokens, false),
]);

/** Parquet whose footer tells `datasets` that the structs in `images` are images. */
export const hfParquet: ExportFormat = {
  summary: "TRL, transformers and Hugging Face datasets: input_ids, labels, images (integrations/trl)",
  embeds_images: true,
  async open(context) {
    const store = imageStore(context);
    const training = await TrainingRows.open(context);
    // In the footer and, since pyarrow looks there alone where there is one, in the Arrow schema too.
    const huggingface = featuresWithImages();
    const schema = new Schema(hfParquetSchema.fields, new Map([["huggingface", huggingface]]));
    const options = { schema, compression: "zstd", metadata: { huggingface } } as const;
    const writer = await FolderDatasetWriter.open(join(context.folder, ".data"), join(context.folder, "data"), options);
    return {
      write: (samples) => inSlices(context, samples, async (slice) => writer.write(await toBatch(slice, training, store, context))),
      finish: async () => void (await writer.publish()),
      async abandon() {
        await training.close();
        await writer.discard();
      },
    } satisfies SelectionWriter;
  },
};

async function toBatch(samples: Parameters<SelectionWriter["write"]>[0], training: TrainingRows, store: ReturnType<typeof imageStore>, { tally, signal }: FormatContext) {
  const [rows, images] = [await training.of(samples, signal), await store(samples)];
  for (const sample of samples) tally.written(sample);
  return makeRecordBatch(hfParquetSchema, {
    sample_id: utf8Column(samples.map((sample) => sample.sample_id)),
    source: utf8Column(samples.map((sample) => sample.source)),
    images: storedImagesColumn(images),
    messages: messagesColumn(samples.map((sample) => sample.messages)),
    vig: float64Column(samples.map((sample) => sample.vig)),
    kept_as: utf8Column(samples.map((sample) => sample.kept_as)),
    num_active: int32Column(Int32Array.from(samples, (sample) => sample.num_active)),
    input_ids: int32ListColumn(rows.map((row) => row.input_ids)),
    labels: int32ListColumn(rows.map((row) => row.labels)),
  });
}

function featuresWithImages(): string {
  const described = JSON.parse(huggingFaceFeatures(hfParquetSchema)) as { info: { features: Record<string, unknown> } };
  described.info.features["images"] = [{ _type: "Image" }];
  return JSON.stringify(described);
}
