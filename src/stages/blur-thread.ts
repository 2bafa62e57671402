/** Runs in a thread of the blur stage's pool. */
import { blurPixels } from "../kernels/blur-pixels.ts";
import { serveThread } from "../core/thread-pool.ts";

export interface BlurTask {
  /** RGB uint8, [height, width, 3] row-major. */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Pixels. */
  readonly sigma: number;
}

serveThread<readonly BlurTask[], Uint8Array[]>(
  (tasks) => tasks.map(({ pixels, width, height, sigma }) => blurPixels(pixels, width, height, sigma, pixels)),
  (blurred) => blurred.map(({ buffer }) => buffer as ArrayBuffer),
);
