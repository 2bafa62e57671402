import { Readable } from "node:stream";
import { extract, type Header } from "tar-stream";
import { keyProblem } from "./image-folder.ts";

/** An entry of an archive. `bytes` is undefined where they were not wanted or beyond the limit. */
export interface TarEntry {
  readonly name: string;
  readonly kind: "record" | "image" | "other";
  readonly num_bytes: number;
  readonly bytes: Buffer | undefined;
}

/** Neighbouring entries whose names are equal up to the first dot behind the folder: one sample. */
export interface TarSample {
  /** Bytes of the (unpacked) archive, [start, end). */
  readonly start: number;
  readonly end: number;
  readonly key: string;
  readonly entries: readonly TarEntry[];
  /** Why the sample can't be used: a hostile name, a link, a device. */
  readonly problem: string | undefined;
}

export interface TarLimits {
  readonly max_record_bytes: number;
  readonly max_image_bytes: number;
}

/** What was wrong with an archive, and the byte at which the sample begins that could not be read. */
export class TarDamage extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

const BLOCK = 512;
const IMAGE_NAME = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|heic)$/i;

/**
 * The samples of a stretch of an archive that begins at `start`, in order; with the images' bytes or without.
 * Memory bound: one sample within the limits. Throws TarDamage.
 */
export async function* readTarSamples(bytes: AsyncIterable<Uint8Array>, start: number, limits: TarLimits, with_images: boolean): AsyncGenerator<TarSample, void, void> {
  const archive = extract();
  const input = Readable.from(bytes);
  input.on("error", (error) => archive.destroy(error));
  input.pipe(archive);
  let sample: OpenSample | undefined;
  let position = start;
  const next = async (iterator: AsyncIterator<Entry>) => {
    try {
      return await iterator.next();
    } catch (error) {
      throw new TarDamage((error as Error).message, sample?.start ?? position);
    }
  };
  try {
    const iterator = archive[Symbol.asyncIterator]() as AsyncIterator<Entry>;
    for (let found = await next(iterator); !found.done; found = await next(iterator)) {
      const entry = found.value;
      const { header } = entry;
      const end = start + entry.offset + BLOCK + Math.ceil(header.size / BLOCK) * BLOCK;
      if (isNoSample(header)) {
        entry.resume();
        position = end;
        continue;
      }
      const key = sampleKey(header.name);
      if (sample && sample.key !== key) {
        yield sample.close();
        sample = undefined;
      }
      sample ??= new OpenSample(position, key);
      const content = await readEntry(entry, limits, with_images).catch((error: Error) => Promise.reject(new TarDamage(error.message, sample!.start)));
      sample.add(header, content, end);
      position = end;
    }
    if (sample) yield sample.close();
  } finally {
    input.destroy();
    archive.destroy();
  }
}

type Entry = Readable & { readonly header: Header; readonly offset: number };

class OpenSample {
  readonly start: number;
  readonly key: string;
  readonly #entries: TarEntry[] = [];
  #end: number;
  #problem: string | undefined;

  constructor(start: number, key: string) {
    this.start = this.#end = start;
    this.key = key;
  }

  add(header: Header, bytes: Buffer | undefined, end: number): void {
    this.#end = end;
    this.#problem ??= entryProblem(header);
    this.#entries.push({ name: header.name, kind: kindOf(header.name), num_bytes: header.size, bytes });
  }

  close(): TarSample {
    return { start: this.start, end: this.#end, key: this.key, entries: this.#entries, problem: this.#problem };
  }
}

/** Folders, and files that systems hide, among them macOS's companions of other files. */
function isNoSample({ name, type }: Header): boolean {
  return type === "directory" || /(^|\/)\.[^/.][^/]*$/.test(name);
}

function sampleKey(name: string): string {
  const base = name.lastIndexOf("/") + 1;
  const dot = name.indexOf(".", base);
  return dot < 0 ? name : name.slice(0, dot);
}

function kindOf(name: string): TarEntry["kind"] {
  if (/\.json$/i.test(name)) return "record";
  return IMAGE_NAME.test(name) ? "image" : "other";
}

function entryProblem({ name, type }: Header): string | undefined {
  const problem = keyProblem(name);
  if (problem) return problem;
  return type === "file" || type === "contiguous-file" ? undefined : `is a ${type}`;
}

async function readEntry(entry: Entry, limits: TarLimits, with_images: boolean): Promise<Buffer | undefined> {
  const kind = kindOf(entry.header.name);
  const limit = kind === "record" ? limits.max_record_bytes : kind === "image" && with_images ? limits.max_image_bytes : -1;
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry as AsyncIterable<Uint8Array>) if (entry.header.size <= limit) chunks.push(chunk);
  return entry.header.size <= limit ? Buffer.concat(chunks) : undefined;
}
