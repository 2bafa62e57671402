/** Runs in a thread of the blur stage's pool. */
import { gaussianBlur } from "../kernels/gaussian.ts";
import { MIN_RECURSIVE_SIGMA, recursiveGaussian } from "../kernels/recursive-gaussian.ts";
import { serveThread } from "../core/thread-pool.ts";

export interface BlurTask {
  /** RGB uint8, [height, width, 3] row-major. */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Pixels. */
  readonly sigma: number;
}

serveThread<BlurTask, Uint8Array>(({ pixels, width, height, sigma }) =>
  sigma < MIN_RECURSIVE_SIGMA ? Uint8Array.from(gaussianBlur(pixels, width, height, sigma), Math.round) : recursiveGaussian(pixels, width, height, sigma),
);
