import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gaussianBlur, gaussianWeights } from "../../src/kernels/gaussian.ts";

/** The blurred image by the two-dimensional sum. */
function blurInTwoDimensions(pixels: Uint8Array, width: number, height: number, sigma: number): number[] {
  const weights = gaussianWeights(sigma);
  const radius = (weights.length - 1) / 2;
  const clamp = (i: number, length: number) => Math.min(length - 1, Math.max(0, i));
  const blurred: number[] = [];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let dy = -radius; dy <= radius; dy++)
          for (let dx = -radius; dx <= radius; dx++)
            sum += weights[dy + radius]! * weights[dx + radius]! * pixels[(clamp(y + dy, height) * width + clamp(x + dx, width)) * 3 + c]!;
        blurred.push(sum);
      }
  return blurred;
}

const image = fc
  .tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 }))
  .chain(([width, height]) => fc.tuple(fc.constant(width), fc.constant(height), fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })));

describe("gaussianWeights", () => {
  it("sum to 1, are symmetric, end at 4 sigma and fall as a Gaussian does", () => {
    const weights = gaussianWeights(1.5);
    expect(weights).toHaveLength(13);
    expect(weights.reduce((sum, w) => sum + w, 0)).toBeCloseTo(1, 15);
    expect([...weights].reverse()).toEqual([...weights]);
    expect(weights[6]! / weights[9]!).toBeCloseTo(Math.exp(9 / 4.5), 12);
  });
});

describe("gaussianBlur", () => {
  it("equals the two-dimensional convolution with the edge repeated", () => {
    fc.assert(
      fc.property(image, fc.double({ min: 0.3, max: 3, noNaN: true }), ([width, height, pixels], sigma) => {
        const expected = blurInTwoDimensions(pixels, width, height, sigma);
        const blurred = gaussianBlur(pixels, width, height, sigma);
        for (let i = 0; i < expected.length; i++) expect(Math.abs(blurred[i]! - expected[i]!)).toBeLessThan(1e-9);
      }),
      { numRuns: 30 },
    );
  });

  it("leaves an image of one colour and a sigma of 0 as they are", () => {
    const flat = Uint8Array.from({ length: 5 * 4 * 3 }, (_, i) => [10, 128, 255][i % 3]!);
    for (const value of gaussianBlur(flat, 5, 4, 2).entries()) expect(value[1]).toBeCloseTo(flat[value[0]]!, 10);
    const noise = Uint8Array.from({ length: 5 * 4 * 3 }, (_, i) => (i * 91) % 256);
    expect([...gaussianBlur(noise, 5, 4, 0)]).toEqual([...noise]);
  });

  it("refuses pixels that do not fit the size", () => {
    expect(() => gaussianBlur(new Uint8Array(11), 2, 2, 1)).toThrow("2 x 2");
  });
});
