/**
 * How exact and how fast ways of blurring are, one image at a time on one thread: `npm run bench:blur`.
 * Exact = a float64 convolution with edges replicated, rounded. Quoted in docs/adr/0004-blur.md.
 */
import sharp, { type BlurOptions } from "sharp";
import { directGaussian } from "../src/kernels/direct-gaussian.ts";
import { gaussianBlur } from "../src/kernels/gaussian.ts";
import { splineGaussian } from "../src/kernels/spline-gaussian.ts";
import { median, table } from "./table.ts";

sharp.concurrency(1);
/** The first ones compile. */
const WARM_UP = 30;
const ROUNDS = 9;

interface Case {
  readonly width: number;
  readonly height: number;
  readonly sigma: number;
}

interface Way {
  readonly blur: (sigma: number) => Promise<Uint8Array> | Uint8Array;
  /** Before rounding, of ours. */
  readonly levels?: Float64Array;
}

/** The default sigma, 0.28 of the shorter side. */
const SQUARES: readonly Case[] = [
  { width: 112, height: 112, sigma: 31.36 },
  { width: 336, height: 336, sigma: 94.08 },
];
const OBLONGS: readonly Case[] = [
  { width: 336, height: 448, sigma: 94.08 },
  { width: 448, height: 336, sigma: 94.08 },
  { width: 1288, height: 448, sigma: 125.44 },
];
const SMALLER_SIGMAS: readonly Case[] = [2, 5, 8, 20].map((sigma) => ({ width: 336, height: 448, sigma }));

function photograph({ width, height }: Case): Uint8Array {
  let state = 7;
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    state = (state * 1103515245 + 12345) >>> 0;
    const x = Math.floor(i / 3) % width;
    const y = Math.floor(i / 3 / width);
    return (((x >> 4) + (y >> 4) * ((i % 3) + 1)) % 3) * 100 + ((state >> 16) % 40);
  });
}

function ours(filter: typeof splineGaussian, pixels: Uint8Array, { width, height, sigma }: Case): Way {
  const levels = new Float64Array(pixels.length);
  filter(pixels, width, height, sigma, (values, at, length) => levels.set(values.subarray(0, length), at));
  const into = new Uint8Array(pixels.length);
  const take = (values: Float64Array, at: number, length: number) => {
    for (let i = 0; i < length; i++) into[at + i] = values[i]! + 0.5;
  };
  return {
    levels,
    blur(sigma) {
      filter(pixels, width, height, sigma, take);
      return into;
    },
  };
}

const rows: Record<string, string | number>[] = [];
for (const size of [...SQUARES, ...OBLONGS, ...SMALLER_SIGMAS]) {
  const { width, height, sigma } = size;
  const pixels = photograph(size);
  const exact = gaussianBlur(pixels, width, height, sigma);
  const bySharp = (options: BlurOptions): Way => ({ blur: () => sharp(pixels, { raw: { width, height, channels: 3 } }).blur(options).raw().toBuffer() });
  const ways: Record<string, Way> = {
    ...(SQUARES.includes(size)
      ? {
          "sharp, defaults": bySharp({ sigma }),
          "sharp, minAmplitude 0.001": bySharp({ sigma, minAmplitude: 0.001 }),
          "sharp, precision float": bySharp({ sigma, minAmplitude: 0.001, precision: "float" }),
        }
      : {}),
    ...(sigma <= 8 ? { "convolution (ours)": ours(directGaussian, pixels, size) } : {}),
    ...(sigma > 5.2 ? { "splines (ours)": ours(splineGaussian, pixels, size) } : {}),
  };
  for (const [way, { blur, levels }] of Object.entries(ways)) {
    const errors = Array.from(await blur(sigma), (value, i) => Math.abs(value - Math.round(exact[i]!)));
    const times: number[] = [];
    for (let round = 0; round < WARM_UP && levels; round++) await blur(sigma);
    for (let round = 0; round < ROUNDS; round++) times.push(await timeOf(() => blur(sigma)));
    // A sigma of their own: nothing is kept for it.
    const first: number[] = [];
    for (let round = 1; round <= ROUNDS && levels; round++) first.push(await timeOf(() => blur(sigma + round * 1e-6)));
    rows.push({
      size: `${width} x ${height}`,
      sigma,
      way,
      "max error of 255": errors.reduce((most, error) => Math.max(most, error), 0),
      "mean error": (errors.reduce((sum, error) => sum + error, 0) / errors.length).toFixed(6),
      "before rounding, max": levels ? levels.reduce((most, level, i) => Math.max(most, Math.abs(level - exact[i]!)), 0).toExponential(0) : "",
      "median ms": median(times).toFixed(2),
      "first of a size, ms": levels ? median(first).toFixed(2) : "",
    });
  }
}
console.log(table(rows));

async function timeOf(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}
