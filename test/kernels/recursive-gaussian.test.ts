import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gaussianBlur } from "../../src/kernels/gaussian.ts";
import { MIN_RECURSIVE_SIGMA, recursiveGaussian } from "../../src/kernels/recursive-gaussian.ts";

describe("recursiveGaussian", () => {
  it("is within one level of the float64 convolution, for any image, size and sigma", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: MIN_RECURSIVE_SIGMA, max: 60, noNaN: true }),
        fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
        (width, height, sigma, levels) => {
          const pixels = Uint8Array.from({ length: width * height * 3 }, () => levels.next().value as number);
          const exact = gaussianBlur(pixels, width, height, sigma);
          const fast = recursiveGaussian(pixels, width, height, sigma);
          for (let i = 0; i < fast.length; i++) expect(Math.abs(fast[i]! - exact[i]!)).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each([1, 2.5, 31.36, 94, 400])("is within one level on hard black and white edges at sigma %d", (sigma) => {
    const side = 96;
    const pixels = Uint8Array.from({ length: side * side * 3 }, (_, i) => ((Math.floor(i / 3) % side) + Math.floor(i / 3 / side)) % 24 < 12 ? 0 : 255);
    const exact = gaussianBlur(pixels, side, side, sigma);
    const fast = recursiveGaussian(pixels, side, side, sigma);
    const worst = fast.reduce((most, value, i) => Math.max(most, Math.abs(value - exact[i]!)), 0);
    expect(worst).toBeLessThanOrEqual(1);
  });

  it("keeps a constant image and leaves its input alone", () => {
    const pixels = new Uint8Array(5 * 7 * 3).fill(201);
    expect(recursiveGaussian(pixels, 7, 5, 12)).toEqual(pixels);
  });
});
