import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gaussianBlur } from "../../src/kernels/gaussian.ts";
import { hasLowRank, lowRankGaussian } from "../../src/kernels/low-rank-gaussian.ts";

/** Rounding may fall to the other side only where the exact value is that close to a half. */
const TOLERANCE_LEVELS = 0.5 + 1e-4;

function expectExact(pixels: Uint8Array, width: number, height: number, sigma: number): void {
  const exact = gaussianBlur(pixels, width, height, sigma);
  const worst = lowRankGaussian(pixels, width, height, sigma).reduce((most, value, i) => Math.max(most, Math.abs(value - exact[i]!)), 0);
  expect(worst).toBeLessThanOrEqual(TOLERANCE_LEVELS);
}

describe("lowRankGaussian", () => {
  it("is the float64 convolution, rounded, for any image, size and sigma that it takes", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: 0.25, max: 20, noNaN: true }),
        fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
        (width, height, times, levels) => {
          const sigma = times * Math.max(width, height);
          const pixels = Uint8Array.from({ length: width * height * 3 }, () => levels.next().value as number);
          expectExact(pixels, width, height, sigma);
        },
      ),
      { numRuns: 100 },
    );
  });

  it.each([25, 31.36, 94, 400])("is exact on hard black and white edges at sigma %d", (sigma) => {
    const side = 96;
    const pixels = Uint8Array.from({ length: side * side * 3 }, (_, i) => ((Math.floor(i / 3) % side) + Math.floor(i / 3 / side)) % 24 < 12 ? 0 : 255);
    expectExact(pixels, side, side, sigma);
  });

  it("is for sigmas whose kernel reaches over the whole image", () => {
    expect(hasLowRank(112, 112, 0.28 * 112)).toBe(true);
    expect(hasLowRank(336, 336, 20)).toBe(false);
    expect(hasLowRank(640, 336, 0.28 * 336)).toBe(false);
  });

  it("blurs in place, and forgets the image before", () => {
    const [first, second] = [7, 11].map((step) => Uint8Array.from({ length: 9 * 6 * 3 }, (_, i) => (i * step) % 256)) as [Uint8Array, Uint8Array];
    const expected = lowRankGaussian(second, 9, 6, 5);
    lowRankGaussian(first.slice(), 9, 6, 3);
    expect(lowRankGaussian(second, 9, 6, 5, second)).toBe(second);
    expect(second).toEqual(expected);
  });

  it("keeps a constant image and leaves its input alone", () => {
    for (const level of [0, 201, 255]) {
      const pixels = new Uint8Array(5 * 7 * 3).fill(level);
      expect(lowRankGaussian(pixels, 7, 5, 12)).toEqual(pixels);
      expect(pixels.every((value) => value === level)).toBe(true);
    }
  });
});
