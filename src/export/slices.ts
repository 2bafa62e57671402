import type { FormatContext } from "./format.ts";
import type { SelectedSample } from "./selected-sample.ts";

/** Images in memory at once, a few hundred kB each. */
const SAMPLES_WITH_IMAGES = 16;

/** Runs `work` over the samples, a few at a time where their images' bytes come along, one slice behind the other. */
export async function inSlices(context: FormatContext, samples: readonly SelectedSample[], work: (slice: readonly SelectedSample[]) => Promise<void>): Promise<void> {
  const size = context.embed_images ? SAMPLES_WITH_IMAGES : samples.length;
  for (let start = 0; start < samples.length; start += size) {
    context.signal.throwIfAborted();
    await work(samples.slice(start, start + size));
  }
}
