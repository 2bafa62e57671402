import { type RecordBatch, Schema } from "apache-arrow";
import { z } from "zod";
import { SAMPLE_COLUMNS } from "../../core/columns.ts";
import { PlanError, StageError } from "../../core/errors.ts";
import { columnData, concatRows, takeRows, withColumns } from "../../core/record-batch.ts";
import { IMAGE_PLACEHOLDER, type Sample } from "../../core/sample.ts";
import type { Source, Split, SplitContent } from "../../core/source.ts";
import type { ImageReject } from "../../core/stage.ts";
import { ParquetThread } from "../parquet/parquet-thread.ts";
import { ParquetReader } from "../parquet/read-parquet.ts";
import { ImageFolder } from "./image-folder.ts";
import { describeFiles, findInputFiles, type InputFile } from "./input-files.ts";
import { type ColumnMapping, indexLeaves, mapColumns, readColumns } from "./parquet-columns.ts";
import { ParquetRows } from "./parquet-rows.ts";
import { plainRow } from "./plain-value.ts";
import { type RecordFields, RecordProblem, toSample } from "./sample-record.ts";
import { samplesBatch } from "./samples-batch.ts";
import { asList, filesOption, maxImageBytesOption, sourceNameOptions, splitSamplesOption } from "./source-options.ts";
import { SplitBuilder } from "./split-builder.ts";
import { noImage, SplitImages } from "./split-images.ts";
import { parseLocation } from "./split-location.ts";
import { type RawRecord, SplitReader } from "./split-reader.ts";

const columnName = z.string().min(1).optional();

export const parquetSourceConfig = z
  .strictObject({
    kind: z.literal("parquet"),
    files: filesOption.describe("Parquet files in the Hugging Face style: a path, a glob, or a list of them."),
    image_root: z
      .string()
      .min(1)
      .optional()
      .describe("Folder of the images that rows name without carrying their bytes. Nothing outside it is ever read."),
    columns: z
      .strictObject({
        id: columnName.describe("Text or integer. Left out: id, else sample_id, else ids are made from content or place."),
        images: columnName.describe("A struct of bytes and path, bytes, a path, or a list of them. Left out: images, else image, else all rows are text-only."),
        turns: columnName.describe("A list of structs: from and value, role and content, or user and assistant. Left out: conversations, else messages, else texts."),
        source: columnName.describe("Text. Left out: source, else dataset, else task, else each row's first turn's source."),
      })
      .prefault({})
      .describe("What the columns are called."),
    pass_through: z.array(z.string().min(1)).default([]).describe("Further columns that are kept beside the scores."),
    split_samples: splitSamplesOption,
    source_from_image_folder: sourceNameOptions.source_from_image_folder,
    max_image_bytes: maxImageBytesOption,
  })
  .describe("Rows with the images' bytes inside, as Hugging Face data sets are published.");

export type ParquetSourceConfig = z.output<typeof parquetSourceConfig>;

/** A split of rows takes about this many (compressed) bytes of its file at most. */
const SPLIT_BYTES = 64 * 2 ** 20;
/** Files whose streams stay open: lanes work on neighbouring splits. */
const MAX_OPEN_FILES = 2;

/** Reads the first file's schema. Throws PlanError naming a column that is missing or of another type. */
export async function openParquetSource(config: ParquetSourceConfig): Promise<Source> {
  const files = await findInputFiles(asList(config.files), "files");
  const thread = new ParquetThread();
  const reader = await ParquetReader.open(files[0]!.path, thread);
  const mapping = mapColumns(reader.schema, config.columns, config.pass_through, files[0]!.path);
  await reader.close();
  const passed = mapping.pass_through.map((name) => reader.schema.fields.find((field) => field.name === name)!);
  return new ParquetSource(config, files, mapping, new Schema([...SAMPLE_COLUMNS, ...passed]), thread);
}

class ParquetSource implements Source {
  readonly kind = "parquet";
  readonly schema: Schema;
  readonly #config: ParquetSourceConfig;
  readonly #files: readonly InputFile[];
  readonly #mapping: ColumnMapping;
  readonly #thread: ParquetThread;
  readonly #folder: ImageFolder | undefined;
  readonly #open = new Map<number, ParquetRows>();

  constructor(config: ParquetSourceConfig, files: readonly InputFile[], mapping: ColumnMapping, schema: Schema, thread: ParquetThread) {
    this.#config = config;
    this.#files = files;
    this.#mapping = mapping;
    this.schema = schema;
    this.#thread = thread;
    this.#folder = config.image_root === undefined ? undefined : new ImageFolder(config.image_root, config.max_image_bytes);
  }

  /** The text columns are read and digested, the images' bytes are not. */
  async *splits(signal: AbortSignal): AsyncGenerator<Split, void, void> {
    const builder = new SplitBuilder((fields) => this.#convert(fields));
    for (const [number, file] of this.#files.entries()) {
      builder.beginFile(number, file.name, "rows");
      const reader = await ParquetReader.open(file.path, this.#thread);
      try {
        this.#assertSameColumns(reader);
        yield* this.#splitsOfFile(reader, file, builder, signal);
      } finally {
        await reader.close();
      }
    }
  }

  async read(split: Split): Promise<SplitContent> {
    const location = parseLocation(split.location);
    const file = this.#files[location.file];
    if (!file) throw new StageError(`${location.name} is no longer among the files`);
    const batches = await this.#rowsOf(location.file, file).read(location.start, location.end);
    const images = new SplitImages(this.#config.max_image_bytes);
    const reader = new SplitReader(split, location, (fields) => this.#convert(fields));
    const renamed = new Map<number, string[]>();
    let row = location.start;
    for (const batch of batches) {
      for (let i = 0; i < batch.numRows; i++, row++) {
        const cells = plainRow(batch, i);
        const record = this.#record(cells, file, row);
        reader.add(record);
        renamed.set(row - location.start, keepImages(images, cells, this.#mapping, record));
      }
    }
    const { samples, sample_records, rejects } = reader.finish();
    const named = samples.map((sample, i) => ({ ...sample, images: renamed.get(sample_records[i]!)! }));
    return { samples: this.#withPassedThrough(named, sample_records, batches), rejects, readImage: (key) => this.#readImage(images, key) };
  }

  async describe(): Promise<Readonly<Record<string, unknown>>> {
    return describeFiles(this.#files);
  }

  async *#splitsOfFile(reader: ParquetReader, file: InputFile, builder: SplitBuilder, signal: AbortSignal): AsyncGenerator<Split, void, void> {
    const leaf_columns = indexLeaves(this.#mapping, reader.leaf_columns);
    let row = 0;
    for (const [group, { num_rows, compressed_bytes }] of reader.row_groups.entries()) {
      const split_rows = Math.max(1, Math.min(this.#config.split_samples, Math.floor((SPLIT_BYTES * num_rows) / Math.max(1, compressed_bytes))));
      for await (const batch of reader.batches({ leaf_columns, row_groups: [group], signal })) {
        for (let i = 0; i < batch.numRows; i++) {
          builder.add(this.#record(plainRow(batch, i), file, row++));
          if (builder.num_records === split_rows) yield builder.finish();
        }
      }
      // A split lies in one row group, so that reading it decodes one.
      if (builder.num_records > 0) yield builder.finish();
    }
  }

  #assertSameColumns(reader: ParquetReader): void {
    const mapping = mapColumns(reader.schema, this.#config.columns, this.#config.pass_through, reader.path);
    for (const name of mapping.pass_through) {
      const [own, wanted] = [reader.schema, this.schema].map((schema) => String(schema.fields.find((field) => field.name === name)!.type));
      if (own !== wanted) throw new PlanError(`${reader.path}: column ${name} is ${own}, but ${wanted} in ${this.#files[0]!.path}`, { remedy: "leave it out of source.pass_through" });
    }
    for (const key of ["id", "images", "turns", "source"] as const) {
      if (mapping[key] === this.#mapping[key]) continue;
      throw new PlanError(`${reader.path}: the ${key} column is ${mapping[key] ?? "missing"}, but ${this.#mapping[key] ?? "missing"} in ${this.#files[0]!.path}`, {
        remedy: "name the columns under source.columns, or read the files apart",
      });
    }
  }

  #record(cells: Record<string, unknown>, file: InputFile, row: number): RawRecord {
    const { id, images, turns, source, pass_through } = this.#mapping;
    const place = `${file.name}/${row}`;
    const pictures = images === undefined ? [] : asImages(cells[images]);
    // Without a path an image is named by its place, and that, being shown in the output, is part of the content.
    const keys = pictures.map(({ path }, i) => path ?? `${place}.${i}`);
    const fields = { id: id === undefined ? undefined : cells[id], keys, turns: cells[turns], source: source === undefined ? undefined : cells[source] };
    const content = JSON.stringify([fields, pass_through.map((name) => cells[name])], bytesAsText);
    return { start: row, end: row + 1, place, content, fields };
  }

  #convert({ keys, turns, source }: RecordFields): Omit<Sample, "sample_id"> | RecordProblem {
    const images = keys as string[];
    const options = { source_from_image_folder: this.#config.source_from_image_folder };
    const pairs = asPairs(turns, images.length);
    return toSample(pairs ? { messages: pairs.messages, source: source ?? pairs.source } : { messages: turns, source }, images, options);
  }

  #withPassedThrough(samples: readonly Sample[], rows: readonly number[], batches: readonly RecordBatch[]): RecordBatch {
    const batch = samplesBatch(samples);
    const fields = this.schema.fields.slice(SAMPLE_COLUMNS.length);
    if (fields.length === 0) return batch;
    const kept = takeRows(concatRows(batches[0]!.schema, batches), rows);
    return withColumns(batch, fields, Object.fromEntries(fields.map(({ name }) => [name, columnData(kept, name)])));
  }

  async #readImage(images: SplitImages, key: string): Promise<Uint8Array | ImageReject> {
    const image = images.get(key);
    if (image) return image;
    return this.#folder ? this.#folder.read(key) : noImage(key, "the row has no bytes, and source.image_root is not set");
  }

  #rowsOf(number: number, file: InputFile): ParquetRows {
    const known = this.#open.get(number);
    if (known) return known;
    for (const [other, rows] of this.#open) {
      if (this.#open.size < MAX_OPEN_FILES) break;
      this.#open.delete(other);
      void rows.close(); // behind what is being read from it
    }
    const rows = new ParquetRows(file.path, readColumns(this.#mapping), this.#thread);
    this.#open.set(number, rows);
    return rows;
  }
}

interface Picture {
  readonly path: string | undefined;
  readonly bytes: Uint8Array | undefined;
}

function asImages(cell: unknown): Picture[] {
  if (cell === null || cell === undefined) return [];
  if (Array.isArray(cell)) return cell.flatMap(asImages);
  if (typeof cell === "string") return [{ path: cell, bytes: undefined }];
  if (cell instanceof Uint8Array) return [{ path: undefined, bytes: cell }];
  const { path, bytes } = cell as Record<string, unknown>;
  return [{ path: typeof path === "string" && path !== "" ? path : undefined, bytes: bytes instanceof Uint8Array ? bytes : undefined }];
}

/** Puts the row's images among the split's; gives the keys to read them by. */
function keepImages(images: SplitImages, cells: Record<string, unknown>, mapping: ColumnMapping, record: RawRecord): string[] {
  const keys = (record.fields as RecordFields).keys as string[];
  const pictures = mapping.images === undefined ? [] : asImages(cells[mapping.images]);
  return pictures.map(({ bytes }, i) => (bytes ? images.add(keys[i]!, bytes, record.place) : keys[i]!));
}

/** Turns given as question and answer pairs (The Cauldron): the images come before the first question, as there. */
function asPairs(turns: unknown, num_images: number): { messages: unknown[]; source: unknown } | undefined {
  if (!Array.isArray(turns) || turns.length === 0) return undefined;
  const pairs = turns as Record<string, unknown>[];
  if (!pairs.every((pair) => pair !== null && "user" in pair && "assistant" in pair)) return undefined;
  const has_placeholder = pairs.some(({ user }) => typeof user === "string" && user.includes(IMAGE_PLACEHOLDER));
  const front = has_placeholder ? "" : `${IMAGE_PLACEHOLDER}\n`.repeat(num_images);
  const messages = pairs.flatMap(({ user, assistant }, i) => [
    { role: "user", content: i === 0 && typeof user === "string" ? front + user : user },
    { role: "assistant", content: assistant },
  ]);
  return { messages, source: pairs[0]!.source };
}

function bytesAsText(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
}
