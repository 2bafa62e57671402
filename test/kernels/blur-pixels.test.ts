import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blurPixels } from "../../src/kernels/blur-pixels.ts";
import { directGaussian } from "../../src/kernels/direct-gaussian.ts";
import { gaussianBlur, gaussianWeights } from "../../src/kernels/gaussian.ts";
import { splineGaussian } from "../../src/kernels/spline-gaussian.ts";

type Blur = typeof splineGaussian;

/** Levels of 255, before rounding. */
const TOLERANCE_LEVELS = 1e-4;

function unrounded(blur: Blur, pixels: Uint8Array, width: number, height: number, sigma: number): Float64Array {
  const levels = new Float64Array(pixels.length).fill(NaN);
  blur(pixels, width, height, sigma, (values, at, length) => levels.set(values.subarray(0, length), at));
  return levels;
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return Number.isNaN(largest) ? Infinity : largest;
}

/** [size, size]: row i holds what each pixel of a line gives to its blurred pixel i. */
function blurMatrix(size: number, sigma: number): Float64Array[] {
  const weights = gaussianWeights(sigma);
  const radius = (weights.length - 1) / 2;
  return Array.from({ length: size }, (_, i) => {
    const row = new Float64Array(size);
    weights.forEach((weight, w) => (row[Math.min(size - 1, Math.max(0, i + w - radius))]! += weight));
    return row;
  });
}

/** As gaussianBlur, whose cost grows with sigma, by the matrices of rows and columns. */
function blurByMatrices(pixels: Uint8Array, width: number, height: number, sigma: number): Float64Array {
  const across = blurMatrix(width, sigma);
  const down = blurMatrix(height, sigma);
  const rows = new Float64Array(pixels.length);
  const blurred = new Float64Array(pixels.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let j = 0; j < width; j++) for (let c = 0; c < 3; c++) rows[(y * width + x) * 3 + c]! += across[x]![j]! * pixels[(y * width + j) * 3 + c]!;
  for (let y = 0; y < height; y++)
    for (let j = 0; j < height; j++) for (let i = 0; i < width * 3; i++) blurred[y * width * 3 + i]! += down[y]![j]! * rows[j * width * 3 + i]!;
  return blurred;
}

const size = fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 12 }));
/** Blocks of few levels, which no blur evens out, or noise. */
const image = fc.tuple(size, size, fc.integer({ min: 1, max: 60 }), fc.integer()).map(([width, height, block, seed]) => {
  const level = (x: number, y: number, c: number) => Math.imul(Math.imul(Math.floor(x / block) * 3 + c + seed, 73856093) ^ (Math.floor(y / block) * 19349663), 2654435761) >>> 24;
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => level(Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3));
  return { width, height, pixels };
});

describe.each([
  { name: "directGaussian", blur: directGaussian, sigmas: { min: 0.1, max: 10 } },
  { name: "splineGaussian", blur: splineGaussian, sigmas: { min: 5.2, max: 200 } },
])("$name", ({ blur, sigmas }) => {
  it("is the float64 convolution within 1e-4 levels, for any image, size and sigma", () => {
    fc.assert(
      fc.property(image, fc.double({ ...sigmas, noNaN: true }), ({ width, height, pixels }, sigma) => {
        expect(largestDifference(unrounded(blur, pixels, width, height, sigma), blurByMatrices(pixels, width, height, sigma))).toBeLessThan(TOLERANCE_LEVELS);
      }),
      { numRuns: 25 },
    );
  });

  it("keeps a constant image", () => {
    for (const level of [0, 201, 255]) {
      const levels = unrounded(blur, new Uint8Array(90 * 70 * 3).fill(level), 90, 70, 6);
      expect(largestDifference(levels, new Float64Array(levels.length).fill(level))).toBeLessThan(1e-6);
    }
  });
});

describe("splineGaussian", () => {
  it.each([
    { size: 60, sigma: 5.2 },
    { size: 150, sigma: 7.79 },
    { size: 150, sigma: 9.4 },
    { size: 100, sigma: 15.9 },
    { size: 150, sigma: 31.36 },
  ])("is off by 1e-4 at most for the worst line of $size pixels at sigma $sigma", ({ size, sigma }) => {
    // Blurring is linear: what each white pixel is off by, added up in absolute values, is the most that any line can be.
    const exact = blurMatrix(size, sigma);
    const worst = { across: new Float64Array(size), down: new Float64Array(size) };
    for (let j = 0; j < size; j++) {
      const line = new Uint8Array(size * 3).fill(255, 3 * j, 3 * j + 3);
      const across = unrounded(splineGaussian, line, size, 1, sigma);
      const down = unrounded(splineGaussian, line, 1, size, sigma);
      for (let i = 0; i < size; i++) {
        worst.across[i]! += Math.abs(across[3 * i]! - 255 * exact[i]![j]!);
        worst.down[i]! += Math.abs(down[3 * i]! - 255 * exact[i]![j]!);
      }
    }
    expect(Math.max(...worst.across, ...worst.down)).toBeLessThan(TOLERANCE_LEVELS);
  });
});

describe("blurPixels", () => {
  const { cases } = JSON.parse(readFileSync("test/golden/scipy-blur.json", "utf8")) as {
    cases: readonly { readonly width: number; readonly height: number; readonly sigma: number; readonly blurred_e5: readonly number[] }[];
  };
  const pixelsOf = (width: number, height: number) => Uint8Array.from({ length: width * height * 3 }, (_, i) => (31 * i * i + 7 * i) % 256);

  it.each(cases)("is scipy's at $width x $height, sigma $sigma", ({ width, height, sigma, blurred_e5 }) => {
    const blurred = blurPixels(pixelsOf(width, height), width, height, sigma);
    expect(blurred).toHaveLength(blurred_e5.length);
    expect(largestDifference(blurred, blurred_e5.map((level) => level / 1e5))).toBeLessThan(0.5 + TOLERANCE_LEVELS);
    expect(largestDifference(gaussianBlur(pixelsOf(width, height), width, height, sigma), blurred_e5.map((level) => level / 1e5))).toBeLessThan(1e-5);
  });

  it("is the rounded convolution at any sigma, up to ten times the size", () => {
    fc.assert(
      fc.property(image, fc.double({ min: Math.log(0.1), max: Math.log(4000), noNaN: true }), ({ width, height, pixels }, logSigma) => {
        const sigma = Math.min(Math.exp(logSigma), 10 * Math.max(width, height));
        const exact = blurByMatrices(pixels, width, height, sigma);
        expect(largestDifference(blurPixels(pixels, width, height, sigma), exact)).toBeLessThan(0.5 + TOLERANCE_LEVELS);
      }),
      { numRuns: 40 },
    );
  });

  it.each([2, 9, 200])("blurs in place at sigma %d, leaves its input alone otherwise, and forgets the image before", (sigma) => {
    const [first, second] = [7, 11].map((step) => Uint8Array.from({ length: 90 * 160 * 3 }, (_, i) => (i * step) % 256)) as [Uint8Array, Uint8Array];
    const kept = second.slice();
    const expected = blurPixels(second, 90, 160, sigma);
    expect(second).toEqual(kept);
    blurPixels(first, 160, 90, sigma);
    expect(blurPixels(second, 90, 160, sigma, second)).toBe(second);
    expect(second).toEqual(expected);
  });
});
