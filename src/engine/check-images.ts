import type { OutputFolder } from "../core/output.ts";
import type { Plan } from "../core/plan.ts";
import type { RunObserver } from "../core/progress.ts";
import type { Split } from "../core/source.ts";
import { ImageDigests } from "./image-digests.ts";

/**
 * Reads the images of every committed split again and forgets the splits whose images are not those that were scored.
 * Memory bound: the records and images of one split.
 */
export async function forgetChangedImages(plan: Plan, output: OutputFolder, splits: readonly Split[], options: { readonly observer: RunObserver; readonly signal: AbortSignal }): Promise<void> {
  const { observer, signal } = options;
  const changed: Split[] = [];
  let numUnknown = 0;
  for (const split of splits) {
    const record = output.committed().get(split.digest);
    if (!record) continue;
    if (record.images_digest === undefined) numUnknown++;
    else if (record.images_digest !== (await imagesDigest(plan, split, signal))) changed.push(split);
  }
  await output.forget(changed.map((split) => split.digest));
  if (changed.length > 0) {
    const first = changed[0]!;
    const message = `images of ${changed.length} split(s) changed since they were scored, first in split ${first.index} (${first.location}): these splits are scored again`;
    observer.report({ event: "warning", code: "images_changed", message });
  }
  if (numUnknown > 0) {
    const message = `${numUnknown} split(s) were scored by a version that did not digest images: they were not checked`;
    observer.report({ event: "warning", code: "images_unknown", message });
  }
}

async function imagesDigest(plan: Plan, split: Split, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const { samples, readImage } = await plan.source.read(split, signal);
  const digests = new ImageDigests(readImage);
  digests.expect(samples);
  return digests.ofAll(signal);
}
