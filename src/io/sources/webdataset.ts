import { z } from "zod";
import { samplesSchema } from "../../core/columns.ts";
import { StageError } from "../../core/errors.ts";
import type { Sample } from "../../core/sample.ts";
import type { Source, Split, SplitContent } from "../../core/source.ts";
import { type ArchiveBytes, openArchive } from "./archive-bytes.ts";
import { describeFiles, findInputFiles, type InputFile } from "./input-files.ts";
import { parseRecord } from "./parse-record.ts";
import { recordProblem } from "./record-scanner.ts";
import { imageKeys, malformed, type RecordFields, RecordProblem, toSample } from "./sample-record.ts";
import { samplesBatch } from "./samples-batch.ts";
import { asList, filesOption, maxImageBytesOption, scanLimitOptions, sourceNameOptions, splitSamplesOption } from "./source-options.ts";
import { SplitBuilder } from "./split-builder.ts";
import { noImage, SplitImages } from "./split-images.ts";
import { parseLocation } from "./split-location.ts";
import { type RawRecord, SplitReader } from "./split-reader.ts";
import { readTarSamples, TarDamage, type TarEntry, type TarSample } from "./tar-samples.ts";

export const webdatasetConfig = z
  .strictObject({
    kind: z.literal("webdataset"),
    shards: filesOption.describe("Tar archives, packed with gzip or not: a path, a glob, or a list of them."),
    split_samples: splitSamplesOption,
    ...sourceNameOptions,
    max_image_bytes: maxImageBytesOption,
    ...scanLimitOptions,
  })
  .describe("Archives in which each sample is a .json beside its images, under one name: 0001.json, 0001.jpg, or 0001.0.jpg and 0001.1.jpg.");

export type WebdatasetConfig = z.output<typeof webdatasetConfig>;

/** A split also ends when its entries reach this many bytes: its images are held in memory. */
const SPLIT_BYTES = 64 * 2 ** 20;

/** Nothing is read before `splits`. */
export async function openWebdataset(config: WebdatasetConfig): Promise<Source> {
  return new WebdatasetSource(config);
}

class WebdatasetSource implements Source {
  readonly kind = "webdataset";
  readonly schema = samplesSchema;
  readonly #config: WebdatasetConfig;
  readonly #archives = new Map<string, Promise<ArchiveBytes>>();
  #files: Promise<InputFile[]> | undefined;
  /** Splits are read one behind the other: a packed archive is unpacked by one reader. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(config: WebdatasetConfig) {
    this.#config = config;
  }

  async *splits(signal: AbortSignal): AsyncGenerator<Split, void, void> {
    const builder = new SplitBuilder((fields) => convert(fields, this.#config));
    for (const [number, file] of (await this.#inputFiles()).entries()) {
      builder.beginFile(number, file.name, "bytes");
      yield* this.#splitsOfShard(file, builder, signal);
    }
  }

  read(split: Split, signal: AbortSignal): Promise<SplitContent> {
    const reading = this.#reading.then(() => this.#read(split, signal));
    this.#reading = reading.catch(() => undefined);
    return reading;
  }

  async describe(): Promise<Readonly<Record<string, unknown>>> {
    return describeFiles(await this.#inputFiles());
  }

  async *#splitsOfShard(file: InputFile, builder: SplitBuilder, signal: AbortSignal): AsyncGenerator<Split, void, void> {
    let start: number | undefined;
    let damaged_at: number | undefined;
    try {
      for await (const sample of readTarSamples((await openArchive(file.path)).read(0, Infinity), 0, this.#config, false)) {
        signal.throwIfAborted();
        start ??= sample.start;
        builder.add(toRawRecord(sample, file, this.#config));
        if (builder.num_records < this.#config.split_samples && sample.end - start < SPLIT_BYTES) continue;
        start = undefined;
        yield builder.finish();
      }
    } catch (error) {
      if (!(error instanceof TarDamage)) throw error;
      damaged_at = error.offset;
    }
    if (builder.num_records > 0 || damaged_at !== undefined) yield builder.finish(damaged_at);
  }

  async #read(split: Split, signal: AbortSignal): Promise<SplitContent> {
    const location = parseLocation(split.location);
    const file = (await this.#inputFiles())[location.file];
    if (!file) throw new StageError(`${location.name} is no longer among the shards`);
    if (location.truncated_at !== undefined) throw damaged(file, location.truncated_at);
    const images = new SplitImages(this.#config.max_image_bytes);
    const reader = new SplitReader(split, location, (fields) => convert(fields, this.#config));
    const keys: (readonly string[])[] = [];
    const archive = await this.#archive(file);
    try {
      for await (const sample of readTarSamples(archive.read(location.start, location.end), location.start, this.#config, true)) {
        signal.throwIfAborted();
        const record = toRawRecord(sample, file, this.#config);
        reader.add(record);
        keys.push(record.fields instanceof RecordProblem ? [] : keepImages(images, sample, record.fields));
      }
    } catch (error) {
      throw error instanceof TarDamage ? damaged(file, error.offset, error) : error;
    }
    const { samples, sample_records, rejects } = reader.finish();
    const named = samples.map((sample, i) => ({ ...sample, images: keys[sample_records[i]!]! }));
    return { samples: samplesBatch(named), rejects, readImage: async (key) => images.get(key) ?? noImage(key, "no such entry beside the record") };
  }

  #inputFiles(): Promise<InputFile[]> {
    return (this.#files ??= findInputFiles(asList(this.#config.shards), "shards"));
  }

  #archive(file: InputFile): Promise<ArchiveBytes> {
    const known = this.#archives.get(file.path);
    if (known) return known;
    this.#archives.clear(); // one packed archive stays open
    const archive = openArchive(file.path);
    this.#archives.set(file.path, archive);
    return archive;
  }
}

const imagesOf = (sample: TarSample): readonly TarEntry[] => sample.entries.filter((entry) => entry.kind === "image");

/** Images are named as the record names them, in its order; a record that names none takes its entries' names. */
function toRawRecord(sample: TarSample, file: InputFile, limits: WebdatasetConfig): RawRecord {
  const place = `${file.name}/${sample.key}`;
  const records = sample.entries.filter((entry) => entry.kind === "record");
  const names = sample.entries.map((entry) => [entry.name, entry.num_bytes]);
  const content = `${JSON.stringify(names)} ${records[0]?.bytes?.toString("latin1") ?? ""}`;
  return { start: sample.start, end: sample.end, place, content, fields: fieldsOf(sample, records, limits, place) };
}

function fieldsOf(sample: TarSample, records: readonly TarEntry[], limits: WebdatasetConfig, place: string): RecordFields | RecordProblem {
  const broken = (message: string) => new RecordProblem("malformed_archive_entry", `${message}, in ${JSON.stringify(place.slice(0, 200))} at byte ${sample.start}`);
  if (sample.problem !== undefined) return broken(`an entry ${sample.problem}`);
  if (records.length !== 1) return broken(records.length === 0 ? "no .json beside the other entries" : "more than one .json");
  const { bytes } = records[0]!;
  const problem = bytes ? recordProblem(bytes, limits) : `longer than max_record_bytes (${limits.max_record_bytes})`;
  if (problem !== undefined) return malformed(`${problem}, in ${records[0]!.name} of ${place}`);
  const fields = parseRecord(bytes!);
  if (fields instanceof RecordProblem) return malformed(`${fields.message}, in ${records[0]!.name} of ${place}`);
  const named = imageKeys(fields);
  if (named instanceof RecordProblem) return named;
  const entries = imagesOf(sample);
  if (named.length > 0 && named.length !== entries.length) return broken(`the record names ${named.length} images and has ${entries.length} beside it`);
  return { ...fields, images: undefined, image: named.length > 0 ? named : entries.map((entry) => entry.name) };
}

function convert(fields: RecordFields, config: WebdatasetConfig): Omit<Sample, "sample_id"> | RecordProblem {
  return toSample(fields, fields.image as string[], config);
}

function keepImages(images: SplitImages, sample: TarSample, fields: RecordFields): string[] {
  const keys = fields.image as string[];
  return imagesOf(sample).map((entry, i) => (entry.bytes ? images.add(keys[i]!, entry.bytes, sample.key) : images.addTooLarge(keys[i]!, entry.num_bytes)));
}

function damaged(file: InputFile, offset: number, cause?: unknown): StageError {
  return new StageError(`${file.path} is truncated or damaged behind byte ${offset} of the archive`, {
    cause,
    remedy: "restore the file; every split before it is kept",
  });
}
