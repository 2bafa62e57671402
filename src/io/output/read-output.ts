import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { RecordBatch } from "apache-arrow";
import { PlanError } from "../../core/errors.ts";
import { naming } from "../file-error.ts";
import { readParquet } from "../parquet/read-parquet.ts";
import { namesIn } from "./durable-file.ts";
import { isPartFileName } from "./part-layout.ts";

export interface ReadDatasetOptions {
  /** Columns in the order wanted; left out: all. */
  readonly columns?: readonly string[];
  /** No batch has more rows than this. */
  readonly batch_rows?: number;
  readonly signal?: AbortSignal;
}

/**
 * The manifest of a finished run's output folder. Takes no lock: a folder with `_SUCCESS` does not change by itself.
 * Throws PlanError where the folder is none, or the run did not finish or went over max_reject_fraction.
 */
export async function readFinishedManifest(out_dir: string): Promise<Readonly<Record<string, unknown>>> {
  const path = resolve(out_dir);
  const names = await naming("read", path, async (): Promise<string[]> => ((await stat(path)).isDirectory() ? namesIn(path) : []));
  if (!names.includes("manifest.json")) {
    throw new PlanError(`${out_dir} holds no manifest.json, so no run has finished there`, {
      remedy: "name the folder that output.path of a finished run names",
    });
  }
  if (!names.includes("_SUCCESS")) {
    throw new PlanError(`${out_dir} has no _SUCCESS: its run did not finish, or rejected more than max_reject_fraction`, {
      remedy: "run the pipeline again: it continues, and says what is wrong",
    });
  }
  const file = join(path, "manifest.json");
  const text = await naming("read", file, () => readFile(file, "utf8"));
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new PlanError(`${file} is not valid JSON`, { cause, remedy: "restore the file, or make it again: pipeline select FILE.yaml" });
  }
}

/** Names of the data sets in the folder: scores, rejects, selection, selection@30... */
export async function datasetsIn(out_dir: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await namesIn(resolve(out_dir))) {
    if (!/^(scores|rejects|selection(@.*)?)$/.test(name)) continue;
    if ((await partFiles(out_dir, name)).length > 0) found.push(name);
  }
  return found;
}

/** Paths of a data set's parts, in the order of their rows. */
export async function partFiles(out_dir: string, dataset: string): Promise<string[]> {
  const folder = join(resolve(out_dir), dataset);
  return (await namesIn(folder)).filter(isPartFileName).map((name) => join(folder, name));
}

/**
 * Rows of one data set of an output folder, in their order, part by part.
 * Memory bound: the encoded pages of the columns asked for in one row group, and one batch.
 * Throws PlanError where the folder has no such data set or column, StageError where a file is damaged.
 */
export async function* readDataset(out_dir: string, dataset: string, options: ReadDatasetOptions = {}): AsyncGenerator<RecordBatch, void, void> {
  for (const part of await requireParts(out_dir, dataset)) yield* readParquet(part, options);
}

/** As partFiles. Throws PlanError where there is none. */
export async function requireParts(out_dir: string, dataset: string): Promise<string[]> {
  const parts = await partFiles(out_dir, dataset);
  if (parts.length > 0) return parts;
  const others = await datasetsIn(out_dir);
  throw new PlanError(`${join(out_dir, dataset)} has no part-*.parquet`, {
    remedy: others.length > 0 ? `the folder has ${others.join(", ")}` : "name the folder that output.path of a finished run names",
  });
}
