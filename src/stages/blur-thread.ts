/** Runs in a thread of the blur stage's pool. */
import { blurPixels } from "../kernels/blur-pixels.ts";
import { serveThread } from "../core/thread-pool.ts";

export interface BlurTask {
  /** RGB uint8, [height, width, 3] row-major, in shared memory. */
  readonly pixels: Uint8Array;
  /** Of the same shape, in shared memory: the result. */
  readonly blurred: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Pixels. */
  readonly sigma: number;
}

serveThread<BlurTask, void>(({ pixels, blurred, width, height, sigma }) => blurred.set(blurPixels(pixels, width, height, sigma)));
