import { type Data, DataType, type Field, type List, type RecordBatch, Schema, type Utf8 } from "apache-arrow";
import { samplesSchema } from "../core/columns.ts";
import { StageError } from "../core/errors.ts";
import { binaryValue, columnData, isNull, projectColumns, utf8ListValue, utf8Value } from "../core/record-batch.ts";
import type { Split, SplitContent } from "../core/source.ts";

/** A split to be scored: of the configuration's source, or with its samples in the pipe. */
export interface IncomingSplit {
  readonly split: Split;
  readonly content?: SplitContent;
}

const SPLIT_COLUMNS = ["split", "location", "num_records", "digest"] as const;
const IMAGE_BYTES = "image_bytes";

/** Splits of a job, each row one (`location`, as `pipeline splits` prints it) or each record batch one (samples). Throws StageError for other columns. */
export async function* incomingSplits(schema: Schema, batches: AsyncIterable<RecordBatch>): AsyncGenerator<IncomingSplit, void, void> {
  const names = schema.fields.map((field) => field.name);
  if (SPLIT_COLUMNS.every((name) => names.includes(name))) {
    for await (const batch of batches) yield* namedSplits(batch);
    return;
  }
  requireSampleColumns(schema);
  let index = 0;
  for await (const batch of batches) if (batch.numRows > 0) yield sentSplit(batch, index++);
}

function* namedSplits(batch: RecordBatch): Generator<IncomingSplit> {
  const location = columnData<Utf8>(batch, "location");
  const digest = columnData<Utf8>(batch, "digest");
  for (let row = 0; row < batch.numRows; row++) {
    const number = (name: string): number => Number(columnData(batch, name).values[row]);
    yield { split: { index: number("split"), location: utf8Value(location, row), num_records: number("num_records"), digest: utf8Value(digest, row) } };
  }
}

/** Every split of a job has its samples' images with it: `image_bytes` stands beside `images`, file for key. */
function sentSplit(batch: RecordBatch, sequence: number): IncomingSplit {
  for (const { name } of samplesSchema.fields) {
    if (columnData(batch, name).nullCount > 0) throw new StageError(`stdin: the column ${name} has nulls`, { remedy: "docs/worker-protocol.md says what each column holds" });
  }
  const index = batch.schema.names.includes("split") ? Number(columnData(batch, "split").values[0]) : sequence;
  const images = sentImages(batch);
  return {
    split: { index, location: `stdin, batch ${sequence}`, num_records: batch.numRows, digest: "" },
    content: {
      samples: projectColumns(batch, samplesSchema),
      rejects: [],
      readImage: (key) => Promise.resolve(images.get(key) ?? { code: "image_not_found", message: `${key.slice(0, 100)}: no bytes came with it` }),
    },
  };
}

function sentImages(batch: RecordBatch): Map<string, Uint8Array> {
  const images = new Map<string, Uint8Array>();
  if (!batch.schema.names.includes(IMAGE_BYTES)) return images;
  const keys = columnData<List<Utf8>>(batch, "images");
  const files = columnData<List>(batch, IMAGE_BYTES);
  for (let row = 0; row < batch.numRows; row++) {
    const start = files.valueOffsets[row]!;
    const count = isNull(files, row) ? 0 : files.valueOffsets[row + 1]! - start;
    for (const [i, key] of utf8ListValue(keys, row).entries()) {
      if (i < count && !isNull(files.children[0]!, start + i)) images.set(key, binaryValue(files.children[0] as Data as Data<never>, start + i));
    }
  }
  return images;
}

function requireSampleColumns(schema: Schema): void {
  const remedy = "send splits (split, location, num_records, digest) or samples (sample_id, source, images, messages); docs/worker-protocol.md";
  for (const field of samplesSchema.fields) {
    const found = schema.fields.find(({ name }) => name === field.name);
    if (!found) throw new StageError(`stdin: there is no column ${field.name}`, { remedy });
    if (!sameType(found, field)) throw new StageError(`stdin: the column ${field.name} is ${String(found.type)}, not ${String(field.type)}`, { remedy });
  }
  const bytes = schema.fields.find(({ name }) => name === IMAGE_BYTES);
  if (bytes && !(DataType.isList(bytes.type) && DataType.isBinary(bytes.type.children[0]!.type))) {
    throw new StageError(`stdin: the column ${IMAGE_BYTES} is ${String(bytes.type)}, not a list of binary`, { remedy });
  }
}

/** Names of a list's items do not count. */
function sameType(a: Field, b: Field): boolean {
  const [as, bs] = [a, b].map(({ type }) => ((type as DataType).children ?? [])) as [Field[], Field[]];
  return a.typeId === b.typeId && as.length === bs.length && as.every((child, i) => sameType(child, bs[i]!));
}
