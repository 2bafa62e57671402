import { resolve } from "node:path";
import { z } from "zod";
import type { Source } from "../../core/source.ts";
import { llavaJsonConfig, openLlavaJson } from "./llava-json.ts";
import { openParquetSource, parquetSourceConfig } from "./parquet-source.ts";
import { openWebdataset, webdatasetConfig } from "./webdataset.ts";

/** `source` in the configuration: one of the kinds of input. */
export const sourceConfig = z.discriminatedUnion("kind", [llavaJsonConfig, parquetSourceConfig, webdatasetConfig]);

export type SourceConfig = z.output<typeof sourceConfig>;

/**
 * The source that a configuration names. Relative paths are taken relative to `base_dir`.
 * Of Parquet input it reads the first file's schema; nothing else is read before `splits`. Throws PlanError.
 */
export async function openSource(config: SourceConfig, base_dir: string): Promise<Source> {
  const resolved = resolveSourcePaths(config, base_dir);
  switch (resolved.kind) {
    case "llava_json":
      return openLlavaJson(resolved);
    case "parquet":
      return openParquetSource(resolved);
    case "webdataset":
      return openWebdataset(resolved);
  }
}

/** Options that say where files lie. What is in them is in the splits' digests. */
const PLACES = ["annotations", "files", "shards", "image_root"];

/** The configuration with every path and glob absolute. */
export function resolveSourcePaths<C extends SourceConfig>(config: C, base_dir: string): C {
  const absolute = (value: unknown): unknown => (Array.isArray(value) ? value.map(absolute) : resolve(base_dir, value as string));
  const entries = Object.entries(config).map(([key, value]: [string, unknown]) => [key, PLACES.includes(key) && value !== undefined ? absolute(value) : value]);
  return Object.fromEntries(entries) as C;
}

/** What of the configuration is part of the scores plan: all but where files lie. */
export function sourceIdentity(config: SourceConfig): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(config).filter(([key]) => !PLACES.includes(key)));
}
