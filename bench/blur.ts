/**
 * How exact and how fast ways of blurring are, one image at a time on one thread: `npm run bench:blur`.
 * Exact = a float64 convolution with edges replicated, rounded. Quoted in docs/adr/0004-blur.md.
 */
import sharp, { type BlurOptions } from "sharp";
import { gaussianBlur } from "../src/kernels/gaussian.ts";
import { hasLowRank, lowRankGaussian } from "../src/kernels/low-rank-gaussian.ts";
import { recursiveGaussian } from "../src/kernels/recursive-gaussian.ts";
import { median, table } from "./table.ts";

sharp.concurrency(1);
/** The first ones compile. */
const WARM_UP = 30;
const ROUNDS = 9;

function photograph(side: number): Uint8Array {
  let state = 7;
  return Uint8Array.from({ length: side * side * 3 }, (_, i) => {
    state = (state * 1103515245 + 12345) >>> 0;
    const x = Math.floor(i / 3) % side;
    const y = Math.floor(i / 3 / side);
    return (((x >> 4) + (y >> 4) * ((i % 3) + 1)) % 3) * 100 + ((state >> 16) % 40);
  });
}

const rows: Record<string, string | number>[] = [];
for (const [side, sigma] of [[112, 31.36], [336, 20], [336, 94.08], [768, 60]] as const) {
  const pixels = photograph(side);
  const exact = Uint8Array.from(gaussianBlur(pixels, side, side, sigma), Math.round);
  const bySharp = (options: BlurOptions) => () => sharp(pixels, { raw: { width: side, height: side, channels: 3 } }).blur(options).raw().toBuffer();
  const ways: Record<string, () => Promise<Uint8Array> | Uint8Array> = {
    "sharp, defaults": bySharp({ sigma }),
    "sharp, minAmplitude 0.001": bySharp({ sigma, minAmplitude: 0.001 }),
    "sharp, precision float": bySharp({ sigma, minAmplitude: 0.001, precision: "float" }),
    "recursive (ours)": () => recursiveGaussian(pixels, side, side, sigma),
    ...(hasLowRank(side, side, sigma) ? { "small matrices (ours)": () => lowRankGaussian(pixels, side, side, sigma) } : {}),
  };
  for (const [way, blur] of Object.entries(ways)) {
    const errors = Array.from(await blur(), (value, i) => Math.abs(value - exact[i]!));
    const times: number[] = [];
    for (let round = 0; round < WARM_UP && way.includes("ours"); round++) await blur();
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      await blur();
      times.push(performance.now() - start);
    }
    rows.push({
      side,
      sigma,
      way,
      "max error of 255": errors.reduce((most, error) => Math.max(most, error), 0),
      "mean error": (errors.reduce((sum, error) => sum + error, 0) / errors.length).toFixed(5),
      "median ms": median(times).toFixed(2),
    });
  }
}
console.log(table(rows));
