import { stat } from "node:fs/promises";
import { basename, dirname, sep } from "node:path";
import { glob, isDynamicPattern } from "tinyglobby";
import { PlanError } from "../../core/errors.ts";
import { asFileError } from "../file-error.ts";

export interface InputFile {
  readonly path: string;
  /** Its path from the deepest folder that all files share, or its last part where that tells them apart: for messages and ids of places. */
  readonly name: string;
  readonly num_bytes: number;
}

/**
 * The files that paths and globs name: in the order of the patterns, within a glob by code units, each once.
 * Throws PlanError where a path does not exist or a glob matches nothing.
 */
export async function findInputFiles(patterns: readonly string[], key: string): Promise<InputFile[]> {
  const paths = new Set<string>();
  for (const pattern of patterns) for (const path of await matches(pattern, key)) paths.add(path);
  const files = await Promise.all([...paths].map(async (path) => ({ path, num_bytes: await sizeOf(path, key) })));
  const names = shortNames(files.map((file) => file.path));
  return files.map((file, i) => ({ ...file, name: names[i]! }));
}

async function matches(pattern: string, key: string): Promise<string[]> {
  // A file may have brackets in its name: what exists is no pattern.
  if (!isDynamicPattern(pattern) || (await stat(pattern).catch(() => undefined))) return [pattern];
  const found = await glob(pattern, { absolute: true, onlyFiles: true, expandDirectories: false });
  if (found.length === 0) throw new PlanError(`no file matches ${pattern}`, { remedy: `correct source.${key}` });
  return found.sort();
}

async function sizeOf(path: string, key: string): Promise<number> {
  try {
    const stats = await stat(path);
    if (stats.isFile()) return stats.size;
  } catch (error) {
    throw asFileError(error, "read", path);
  }
  throw new PlanError(`${path} is not a file`, { remedy: `name files in source.${key}, or a glob such as ${path}/*` });
}

function shortNames(paths: readonly string[]): string[] {
  const names = paths.map((path) => basename(path));
  if (new Set(names).size === names.length) return names;
  const folders = paths.map((path) => dirname(path).split(sep));
  const shared = folders[0]!.findIndex((part, i) => folders.some((other) => other[i] !== part));
  const depth = shared < 0 ? folders[0]!.length : shared;
  return paths.map((path) => path.split(sep).slice(depth).join("/"));
}

/** What the manifest says of the input: how many files and bytes, and the first names. */
export function describeFiles(files: readonly InputFile[]): Readonly<Record<string, unknown>> {
  return {
    num_files: files.length,
    num_bytes: files.reduce((sum, file) => sum + file.num_bytes, 0),
    files: files.slice(0, 100).map(({ name, num_bytes }) => ({ name, num_bytes })),
  };
}
