/** What a configuration for somebody's own data would say, from a look at the files they point at. */
import { access, readdir, stat } from "node:fs/promises";
import path from "node:path";
import { PlanError } from "../core/errors.ts";
import { utf8ListValue, columnData } from "../core/record-batch.ts";
import { openSource, sourceConfig } from "../io/sources/open-source.ts";

/** Paths are absolute. What is missing was not found. */
export interface Suggestion {
  readonly source?: { readonly kind: "llava_json"; readonly annotations: string } | { readonly kind: "parquet"; readonly files: string } | { readonly kind: "webdataset"; readonly shards: string };
  readonly image_root?: string;
  readonly model?: string;
}

const IMAGE_NAME = /\.(jpe?g|png|webp|gif)$/i;
/** Folders looked at below one that was named, and entries of each. */
const MAX_FOLDERS = 50;
const MAX_ENTRIES = 2000;
/** Images of the first records by which the image root is found. */
const NUM_IMAGES_TRIED = 20;

/** Looks at the paths given (files, or folders and what is in them); reads at most the first records of annotations. */
export async function suggestConfig(paths: readonly string[]): Promise<Suggestion> {
  const found: { source?: Suggestion["source"]; model?: string; imageFolder?: string } = {};
  for (const name of paths) await examine(path.resolve(name), found, 2);
  const root = found.source?.kind === "llava_json" ? await findImageRoot(found.source.annotations, found.imageFolder, paths) : undefined;
  return { ...(found.source ? { source: found.source } : {}), ...(found.model ? { model: found.model } : {}), ...(root ? { image_root: root } : {}) };
}

async function examine(name: string, found: { source?: Suggestion["source"]; model?: string; imageFolder?: string }, depth: number): Promise<void> {
  const info = await stat(name).catch(() => {
    throw new PlanError(`${name} does not exist`, { remedy: "point at annotations, images or a model folder" });
  });
  if (!info.isDirectory()) {
    const source = sourceOfFile(name, name);
    if (source) found.source ??= source;
    return;
  }
  const entries = (await readdir(name, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1)).slice(0, MAX_ENTRIES);
  const names = entries.map((entry) => entry.name);
  if (names.includes("config.json") && names.includes("tokenizer.json")) {
    found.model ??= name;
    return;
  }
  if (names.some((entry) => IMAGE_NAME.test(entry))) found.imageFolder ??= name;
  for (const [pattern, kind] of [[/\.parquet$/i, "*.parquet"], [/\.tar(\.gz)?$/i, "*.tar*"]] as const) {
    const match = names.find((entry) => pattern.test(entry));
    if (match) found.source ??= sourceOfFile(match, path.join(name, kind))!;
  }
  const annotations = entries.filter((entry) => entry.isFile() && /\.jsonl?$/i.test(entry.name)).map((entry) => path.join(name, entry.name));
  for (const file of await largestFirst(annotations)) {
    if (found.source === undefined && (await firstImages(file).catch(() => undefined)) !== undefined) found.source = { kind: "llava_json", annotations: file };
  }
  if (depth === 0) return;
  for (const entry of entries.filter((one) => one.isDirectory() && !one.name.startsWith(".")).slice(0, MAX_FOLDERS)) {
    await examine(path.join(name, entry.name), found, depth - 1);
  }
}

/** Beside a data set there are often small files about it. */
async function largestFirst(files: readonly string[]): Promise<string[]> {
  const sizes = await Promise.all(files.map(async (file) => ({ file, size: (await stat(file)).size })));
  return sizes.sort((a, b) => b.size - a.size).map(({ file }) => file);
}

function sourceOfFile(name: string, pattern: string): Suggestion["source"] {
  if (/\.jsonl?$/i.test(name)) return { kind: "llava_json", annotations: pattern };
  if (/\.parquet$/i.test(name)) return { kind: "parquet", files: pattern };
  return /\.tar(\.gz)?$/i.test(name) ? { kind: "webdataset", shards: pattern } : undefined;
}

/** Images that the first records name; undefined where the file has no records that can be read. */
async function firstImages(annotations: string): Promise<string[] | undefined> {
  const source = await openSource(sourceConfig.parse({ kind: "llava_json", annotations, image_root: path.dirname(annotations) }), path.sep);
  const { signal } = new AbortController();
  for await (const split of source.splits(signal)) {
    const { samples } = await source.read(split, signal);
    if (samples.numRows === 0) return undefined;
    const images = columnData(samples, "images");
    const keys = Array.from({ length: samples.numRows }, (_, row) => utf8ListValue(images as Parameters<typeof utf8ListValue>[0], row)).flat();
    return [...new Set(keys)].slice(0, NUM_IMAGES_TRIED);
  }
  return undefined;
}

/** The folder under which the first images lie, if there is one near. */
async function findImageRoot(annotations: string, imageFolder: string | undefined, paths: readonly string[]): Promise<string | undefined> {
  const images = await firstImages(annotations).catch(() => undefined);
  if (images === undefined || images.length === 0) return imageFolder;
  const base = path.dirname(annotations);
  const near = [...(imageFolder ? [imageFolder, path.dirname(imageFolder)] : []), ...paths.map((name) => path.resolve(name)), base, path.join(base, "images"), path.dirname(base), path.join(path.dirname(base), "images")];
  // The folder that has most of them: those that are missing are rejects of the run, no reason to find none.
  let best: { readonly folder: string; readonly numFound: number } | undefined;
  for (const folder of new Set(near)) {
    const all = await Promise.all(images.map((image) => access(path.join(folder, image)).then(() => true, () => false)));
    const numFound = all.filter(Boolean).length;
    if (numFound > (best?.numFound ?? 0)) best = { folder, numFound };
  }
  return best?.folder;
}

/** The text of a commented configuration. Paths are written relative to the folder that the file will be in. */
export function renderSuggestion(suggestion: Required<Pick<Suggestion, "source" | "model">> & Pick<Suggestion, "image_root">, folder: string, name: string): string {
  const relative = (target: string): string => JSON.stringify((path.relative(folder, target) || ".").replaceAll(path.sep, "/").replaceAll("${", "$${"));
  const { source, model, image_root } = suggestion;
  const places =
    source.kind === "llava_json"
      ? `  annotations: ${relative(source.annotations)}\n  image_root: ${relative(image_root ?? path.dirname(source.annotations))}   # image paths in the annotations never leave this folder`
      : source.kind === "parquet"
        ? `  files: ${relative(source.files)}`
        : `  shards: ${relative(source.shards)}`;
  return `# What to score, with which model, and what to keep. Relative paths are relative to this file.
#   pipeline validate FILE   every mistake with line, column and fix
#   pipeline doctor FILE     loads the model and scores a few samples
#   pipeline run FILE        everything; run it again after an interruption
version: 1
name: ${name}

source:
  kind: ${source.kind}
${places}

model:
  path: ${relative(model)}   # an aligned model: after adapter pre-training, before instruction tuning

stages:
  - decode: {}
  - blur: { sigma_fraction: 0.28 }                # about the size of what answers name, relative to the shorter side
  - paired_inference: { max_batch_tokens: 8192 }  # memory against speed
  - token_delta: {}
  - quantile_threshold: { top_percent: 70 }       # or tau: 0.13, or tau_from: path/to/manifest.json
  - mask: { granularity: sample_and_token }       # sample | token | sample_and_token | random

output:
  path: out/${name}
  compression: zstd                               # snappy for readers that lack it

max_reject_fraction: 0.01                         # more rejects than this: exit code 3 and no _SUCCESS
`;
}
