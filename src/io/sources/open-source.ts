import { resolve } from "node:path";
import { z } from "zod";
import type { Source } from "../../core/source.ts";
import { llavaJsonConfig, openLlavaJson } from "./llava-json.ts";

/** `source` in the configuration: one of the kinds of input. */
export const sourceConfig = z.discriminatedUnion("kind", [llavaJsonConfig]);

export type SourceConfig = z.output<typeof sourceConfig>;

/** The source that a configuration names. Relative paths are taken relative to `base_dir`. Opens no data file but to read its columns. */
export async function openSource(config: SourceConfig, base_dir: string): Promise<Source> {
  return openLlavaJson(resolveSourcePaths(config, base_dir));
}

/** The configuration with every path and glob absolute. */
export function resolveSourcePaths<C extends SourceConfig>(config: C, base_dir: string): C {
  const absolute = (path: string) => resolve(base_dir, path);
  const all = (paths: string | string[]) => (typeof paths === "string" ? absolute(paths) : paths.map(absolute));
  return { ...config, annotations: all(config.annotations), image_root: absolute(config.image_root) };
}

/** What of the configuration is part of the scores plan: all but where files lie. */
export function sourceIdentity(config: SourceConfig): Readonly<Record<string, unknown>> {
  const places = new Set(["annotations", "image_root", "files"]);
  return Object.fromEntries(Object.entries(config).filter(([key]) => !places.has(key)));
}
