/** A finished output folder as the report reads it: without its lock, and never changing it. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { RecordBatch } from "apache-arrow";
import { PlanError } from "../core/errors.ts";
import { takeRows } from "../core/record-batch.ts";
import { naming } from "../io/file-error.ts";
import { namesIn } from "../io/output/durable-file.ts";
import { isPartFileName } from "../io/output/part-layout.ts";
import { ParquetReader } from "../io/parquet/read-parquet.ts";
import { parseManifest, type RunManifest } from "./run-manifest.ts";

export interface PlacedBatch {
  /** Place of the batch's first row in the data set, from 0. */
  readonly start: number;
  readonly batch: RecordBatch;
}

export class ScoresFolder {
  readonly path: string;
  readonly manifest: RunManifest;
  /** Rows of scores/. */
  readonly num_rows: number;
  readonly #scores: readonly ParquetReader[];

  private constructor(path: string, manifest: RunManifest, scores: readonly ParquetReader[]) {
    this.path = path;
    this.manifest = manifest;
    this.#scores = scores;
    this.num_rows = scores.reduce((sum, part) => sum + part.num_rows, 0);
  }

  /** Throws PlanError where there is no finished run. */
  static async open(path: string): Promise<ScoresFolder> {
    const folder = resolve(path);
    const manifest = await readManifest(folder);
    return new ScoresFolder(folder, manifest, await openParts(join(folder, "scores")));
  }

  /** All rows in order, only the named columns. Memory bound: one batch. */
  async *scores(columns: readonly string[], signal: AbortSignal): AsyncGenerator<PlacedBatch, void, void> {
    let start = 0;
    for (const part of this.#scores) {
      for await (const batch of part.batches({ columns, signal })) {
        yield { start, batch };
        start += batch.numRows;
      }
    }
  }

  /** The rows at these places (ascending, each once), reading no row group that holds none of them. */
  async *rowsAt(places: readonly number[], columns: readonly string[], signal: AbortSignal): AsyncGenerator<{ readonly places: readonly number[]; readonly batch: RecordBatch }, void, void> {
    let start = 0;
    let next = 0;
    for (const part of this.#scores) {
      for (const [index, group] of part.row_groups.entries()) {
        const end = start + group.num_rows;
        if (next < places.length && places[next]! < end) {
          for await (const batch of part.batches({ columns, row_groups: [index], signal })) {
            const wanted: number[] = [];
            for (; next < places.length && places[next]! < start + batch.numRows; next++) wanted.push(places[next]!);
            if (wanted.length > 0) yield { places: wanted, batch: takeRows(batch, wanted.map((place) => place - start)) };
            start += batch.numRows;
          }
        }
        start = end;
      }
    }
  }

  async *rejects(signal: AbortSignal): AsyncGenerator<RecordBatch, void, void> {
    for (const part of await openParts(join(this.path, "rejects"))) {
      try {
        yield* part.batches({ signal });
      } finally {
        await part.close();
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#scores.map((part) => part.close()));
  }
}

async function openParts(folder: string): Promise<ParquetReader[]> {
  const parts: ParquetReader[] = [];
  for (const name of (await namesIn(folder)).filter(isPartFileName)) parts.push(await ParquetReader.open(join(folder, name)));
  return parts;
}

async function readManifest(folder: string): Promise<RunManifest> {
  const path = join(folder, "manifest.json");
  const text = await naming("read", path, () => readFile(path, "utf8")).catch((cause: unknown) => {
    throw new PlanError(`${folder} holds no finished run: it has no manifest.json that can be read`, {
      cause,
      remedy: "name the output folder of a run that has ended (output.path of its configuration)",
    });
  });
  return parseManifest(text, path);
}
