import { join } from "node:path";
import { digestOfFile, namesIn } from "./durable-file.ts";
import { isPartFileName } from "./part-layout.ts";

/** Published files as the manifest lists them, by their path in the output folder ("selection/part-00000.parquet"). */
export type PublishedFiles = Readonly<Record<string, { readonly sha256: string; readonly num_bytes: number }>>;

/** Reads every part of a data set. */
export async function describeDataset(folder: string, dataset: string, signal?: AbortSignal): Promise<PublishedFiles> {
  const files: Record<string, PublishedFiles[string]> = {};
  for (const name of (await namesIn(join(folder, dataset))).filter(isPartFileName)) {
    const { digest, num_bytes } = (await digestOfFile(join(folder, dataset, name), signal))!;
    files[`${dataset}/${name}`] = { sha256: digest, num_bytes };
  }
  return files;
}

/** The files of one data set. */
export function filesOf(files: PublishedFiles, dataset: string): PublishedFiles {
  return Object.fromEntries(Object.entries(files).filter(([path]) => path.startsWith(`${dataset}/`)));
}

/** Names of the data sets that files belong to. */
export function datasetsOf(files: PublishedFiles): string[] {
  return [...new Set(Object.keys(files).map((path) => path.slice(0, path.lastIndexOf("/"))))];
}

/** Paths of a data set's files that are missing, changed, or not listed. */
export async function findDifferent(folder: string, dataset: string, listed: PublishedFiles, signal?: AbortSignal): Promise<string[]> {
  const found = await describeDataset(folder, dataset, signal);
  const wanted = filesOf(listed, dataset);
  const paths = [...new Set([...Object.keys(wanted), ...Object.keys(found)])].sort();
  return paths.filter((path) => found[path]?.sha256 !== wanted[path]?.sha256).map((path) => join(folder, path));
}
