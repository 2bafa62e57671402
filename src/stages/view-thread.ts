/** Runs in a thread of the views' pool. */
import { serveThread } from "../core/thread-pool.ts";
import { type RgbImage, type RgbStep, viewPixels } from "../kernels/view-pixels.ts";

export interface ViewTask {
  readonly source: RgbImage;
  readonly steps: readonly RgbStep[];
}

serveThread<ViewTask, RgbImage>(
  ({ source, steps }) => viewPixels(source, steps),
  ({ data }) => [data.buffer as ArrayBuffer],
);
