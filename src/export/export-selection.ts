import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { PlanError, StageError } from "../core/errors.ts";
import { ExportFolder } from "../io/export/export-folder.ts";
import { readDataset, readFinishedManifest, requireParts } from "../io/output/read-output.ts";
import { type ExportFormat, ExportTally } from "./format.ts";
import { FORMATS, type FormatName } from "./formats.ts";
import { SELECTED_COLUMNS, selectedSamples } from "./selected-sample.ts";

export interface ExportOptions {
  /** Output folder of a finished run. */
  readonly out_dir: string;
  readonly format: FormatName;
  /** "selection", or "selection@30". */
  readonly dataset: string;
  /** Folder to write; left out: export/FORMAT in out_dir, or export/DATASET/FORMAT for another data set. */
  readonly target?: string | undefined;
  readonly model_path?: string | undefined;
  readonly image_root?: string | undefined;
  readonly embed_images: boolean;
  readonly signal: AbortSignal;
  /** Called behind every batch. */
  readonly onProgress?: (tally: ExportTally) => void;
}

export interface ExportSummary {
  readonly path: string;
  readonly tally: ExportTally;
}

/** Rows in memory at once: with 2048 tokens each, a few MB. */
const BATCH_ROWS = 512;

/**
 * Writes a selection in a trainer's format. The folder appears whole or not at all, in place of an earlier export.
 * Memory bound: one batch of rows, and their images where they are embedded.
 * Throws PlanError for what can be corrected before (a folder without a finished run, a model that has moved),
 * StageError where a sample's tokens are others than the run stored.
 */
export async function exportSelection(options: ExportOptions): Promise<ExportSummary> {
  const { out_dir, dataset, format, signal } = options;
  checkEmbedding(format, options.embed_images);
  const manifest = await readFinishedManifest(out_dir);
  await requireParts(out_dir, dataset);
  const folder = await ExportFolder.create(options.target ?? defaultTarget(options));
  const tally = new ExportTally();
  const image_root = options.image_root === undefined ? undefined : resolve(options.image_root);
  const identity = { run_id: manifest["run_id"], plan_hash: manifest["plan_hash"], dataset, format, embed_images: options.embed_images, image_root };
  const fingerprint = createHash("sha256").update(JSON.stringify(identity)).digest("hex").slice(0, 16);
  const { model_path, embed_images } = options;
  try {
    const writer = await FORMATS[format].open({ folder: folder.temporary, manifest, model_path, image_root, embed_images, fingerprint, tally, signal });
    try {
      for await (const batch of readDataset(out_dir, dataset, { columns: SELECTED_COLUMNS, batch_rows: BATCH_ROWS, signal })) {
        signal.throwIfAborted();
        await writer.write(selectedSamples(batch));
        options.onProgress?.(tally);
      }
      refuseNothing(tally);
      await writer.finish();
    } finally {
      await writer.abandon();
    }
    await folder.publish({ format, dataset, run_id: manifest["run_id"], plan_hash: manifest["plan_hash"], ...tally });
  } finally {
    await folder.discard();
  }
  return { path: folder.path, tally };
}

function checkEmbedding(format: FormatName, embed_images: boolean): void {
  const formats: Readonly<Record<string, ExportFormat>> = FORMATS;
  if (!embed_images || formats[format]!.embeds_images) return;
  const able = Object.keys(formats).filter((name) => formats[name]!.embeds_images);
  throw new PlanError(`${format} can't hold the images' bytes`, { remedy: `leave --images out, or use ${able.join(" or ")}` });
}

function defaultTarget({ out_dir, dataset, format }: ExportOptions): string {
  return dataset === "selection" ? join(out_dir, "export", format) : join(out_dir, "export", dataset, format);
}

/** A few samples may not fit a format; where none does, something else is wrong. */
function refuseNothing({ num_samples, num_skipped, skipped_ids }: ExportTally): void {
  if (num_samples > 0 || num_skipped === 0) return;
  throw new StageError(`none of the ${num_skipped} samples can be written: the tokens' text is not that of the answers (${skipped_ids.slice(0, 3).join(", ")})`, {
    remedy: "the chat template rewrites answers: use llamafactory or hf-parquet, which hold token ids",
  });
}
