import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { samplesSchema } from "../../core/columns.ts";
import { PlanError, StageError } from "../../core/errors.ts";
import type { Sample } from "../../core/sample.ts";
import type { Source, Split, SplitContent } from "../../core/source.ts";
import { asFileError } from "../file-error.ts";
import { ByteWindow } from "./byte-window.ts";
import { ImageFolder } from "./image-folder.ts";
import { describeFiles, findInputFiles, type InputFile } from "./input-files.ts";
import { MORE, type RecordFormat, type ScanEnd, type ScannedRecord, scanRecords } from "./record-scanner.ts";
import { parseRecord } from "./parse-record.ts";
import { imageKeys, malformed, type RecordFields, RecordProblem, toSample } from "./sample-record.ts";
import { samplesBatch } from "./samples-batch.ts";
import { SplitBuilder } from "./split-builder.ts";
import { type RawRecord, SplitReader } from "./split-reader.ts";
import { asList, filesOption, maxImageBytesOption, scanLimitOptions, sourceNameOptions, splitSamplesOption } from "./source-options.ts";
import { parseLocation } from "./split-location.ts";

export const llavaJsonConfig = z
  .strictObject({
    kind: z.literal("llava_json"),
    annotations: filesOption.describe("LLaVA JSON (an array of records) or JSON lines: a path, a glob, or a list of them. Which of the two is seen from the content."),
    image_root: z.string().min(1).describe("Folder that image paths are relative to. Nothing outside it is ever read."),
    split_samples: splitSamplesOption,
    ...sourceNameOptions,
    max_image_bytes: maxImageBytesOption,
    ...scanLimitOptions,
  })
  .describe("Records with `conversations` or `messages` and the images' paths (`image`, `images`, or in parts of messages), as LLaVA and its successors publish them.");

export type LlavaJsonConfig = z.output<typeof llavaJsonConfig>;

/** A split also ends when its records reach this many bytes, so that one fits into memory whatever they are. */
const SPLIT_BYTES = 64 * 2 ** 20;

/** Read behind a split, to see how its last record ends. */
const LOOK_AHEAD_BYTES = 4_096;

/** Nothing is read before `splits`. Paths in `config` are absolute or relative to the working folder. */
export async function openLlavaJson(config: LlavaJsonConfig): Promise<Source> {
  return new LlavaJsonSource(config);
}

class LlavaJsonSource implements Source {
  readonly kind = "llava_json";
  readonly schema = samplesSchema;
  readonly #config: LlavaJsonConfig;
  readonly #images: ImageFolder;
  #files: Promise<InputFile[]> | undefined;

  constructor(config: LlavaJsonConfig) {
    this.#config = config;
    this.#images = new ImageFolder(config.image_root, config.max_image_bytes);
  }

  async *splits(signal: AbortSignal): AsyncGenerator<Split, void, void> {
    const builder = new SplitBuilder((fields) => convert(fields, this.#config));
    for (const [number, file] of (await this.#inputFiles()).entries()) {
      // Splits do not span files, so that a file added changes no other file's splits.
      builder.beginFile(number, file.name, "bytes");
      const end: { -readonly [K in keyof ScanEnd]: ScanEnd[K] } = {};
      for await (const record of this.#records(file, signal, { start: 0, end: file.num_bytes }, end)) {
        builder.add(record);
        if (builder.num_records >= this.#config.split_samples || builder.num_bytes >= SPLIT_BYTES) yield builder.finish();
      }
      if (builder.num_records > 0 || end.truncated_at !== undefined) yield builder.finish(end.truncated_at);
    }
  }

  async read(split: Split, signal: AbortSignal): Promise<SplitContent> {
    const location = parseLocation(split.location);
    const file = (await this.#inputFiles())[location.file];
    if (!file) throw new StageError(`${location.name} is no longer among the annotations`);
    const reader = new SplitReader(split, location, (fields) => convert(fields, this.#config));
    for await (const record of this.#records(file, signal, location)) reader.add(record);
    if (location.truncated_at !== undefined) throw truncated(file, location.truncated_at);
    const { samples, rejects } = reader.finish();
    return { samples: samplesBatch(samples), rejects, readImage: (key) => this.#images.read(key) };
  }

  async describe(): Promise<Readonly<Record<string, unknown>>> {
    return describeFiles(await this.#inputFiles());
  }

  #inputFiles(): Promise<InputFile[]> {
    return (this.#files ??= findInputFiles(asList(this.#config.annotations), "annotations"));
  }

  /**
   * Records that begin in the range. The file is scanned on from there and not only to the range's end: where a
   * damaged record ends is decided by what follows it.
   */
  async *#records(file: InputFile, signal: AbortSignal, range: { readonly start: number; readonly end: number }, end: { truncated_at?: number } = {}): AsyncGenerator<RawRecord, void, void> {
    const handle = await open(file.path).catch((error: unknown) => Promise.reject(asFileError(error, "read", file.path)));
    try {
      const { format, start } = await findFormat(handle, file);
      const window = new ByteWindow(handle, Math.max(start, range.start), file.num_bytes, range.end - range.start + LOOK_AHEAD_BYTES);
      const scan = scanRecords(window, format, this.#config);
      for (let next = scan.next(); ; next = scan.next()) {
        if (next.done) return void Object.assign(end, next.value);
        if (next.value === MORE) {
          signal.throwIfAborted();
          await window.more();
          continue;
        }
        if (next.value.start >= range.end) return;
        yield toRawRecord(next.value, window, file);
      }
    } finally {
      await handle.close();
    }
  }
}

function toRawRecord({ start, end, problem }: ScannedRecord, window: ByteWindow, file: InputFile): RawRecord {
  const place = `${file.name}@${start}`;
  if (problem !== undefined) return { start, end, place, content: "", fields: malformed(`${problem}, in bytes ${start} to ${end} of ${file.name}`) };
  const bytes = window.bytes(start, end);
  const fields = parseRecord(bytes);
  const located = fields instanceof RecordProblem ? malformed(`${fields.message}, at byte ${start} of ${file.name}`) : fields;
  return { start, end, place, content: bytes, fields: located };
}

/** Whether the file is an array or lines, and where its records begin. Throws PlanError where it is neither. */
async function findFormat(handle: FileHandle, file: InputFile): Promise<{ readonly format: RecordFormat; readonly start: number }> {
  const head = Buffer.alloc(4_096);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  const bom = head.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? 3 : 0;
  let first = bom;
  while (first < bytesRead && /\s/.test(String.fromCharCode(head[first]!))) first++;
  if (first === bytesRead && bytesRead === file.num_bytes) return { format: "lines", start: bytesRead };
  if (head[first] === 0x5b) return { format: "array", start: first + 1 };
  if (head[first] === 0x7b) return { format: "lines", start: first };
  throw new PlanError(`${file.path} is neither a JSON array nor JSON lines: it begins with ${JSON.stringify(head.toString("latin1", first, Math.min(first + 20, bytesRead)))}`, {
    remedy: "name the annotations file in source.annotations",
  });
}

function convert(fields: RecordFields, config: LlavaJsonConfig): Omit<Sample, "sample_id"> | RecordProblem {
  const images = imageKeys(fields);
  return images instanceof RecordProblem ? images : toSample(fields, images, config);
}

function truncated(file: InputFile, offset: number): StageError {
  const where = offset >= file.num_bytes ? "without the ] of its array" : `inside what begins at byte ${offset}`;
  return new StageError(`${file.path} is truncated: it ends at byte ${file.num_bytes}, ${where}`, {
    remedy: "restore the file; every split before it is kept",
  });
}
