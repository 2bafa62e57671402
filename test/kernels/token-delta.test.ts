import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tokenMean, tokenVig } from "../../src/kernels/token-delta.ts";
import { float64Bits } from "./float-bits.ts";

const nll = fc.float({ min: 0, max: 30, noNaN: true });
const pairs = fc.array(fc.tuple(nll, nll), { minLength: 1, maxLength: 200 });

describe("tokenVig", () => {
  it("is blurred minus clean, rounded to float32", () => {
    expect([...tokenVig(Float32Array.of(1, 2, 0.1), Float32Array.of(3, 1.5, 0.3))]).toEqual([2, -0.5, Math.fround(Math.fround(0.3) - Math.fround(0.1))]);
  });

  it("refuses NLLs of different lengths", () => {
    expect(() => tokenVig(new Float32Array(2), new Float32Array(3))).toThrow("2 clean and 3 blurred");
  });
});

describe("tokenMean", () => {
  it("has known bits", () => {
    expect(float64Bits(tokenMean(Float32Array.of(0.1, 0.2, 0.7)))).toBe("3fd5555552aaaaab");
  });

  it("refuses no tokens", () => {
    expect(() => tokenMean(new Float32Array(0))).toThrow(RangeError);
  });
});

describe("VIG", () => {
  it("is at once the mean token VIG, the difference of mean NLLs and the log of the perplexity ratio", () => {
    fc.assert(
      fc.property(pairs, (values) => {
        const image = Float32Array.from(values, ([clean]) => clean);
        const blur = Float32Array.from(values, ([, blurred]) => blurred);
        const vig = tokenMean(tokenVig(image, blur));
        // Each token's VIG was rounded to float32: half a unit in the last place of at most 30.
        const tolerance = 2 ** -20;
        const perplexityRatio = Math.exp(tokenMean(blur)) / Math.exp(tokenMean(image));
        expect(Math.abs(vig - (tokenMean(blur) - tokenMean(image)))).toBeLessThanOrEqual(tolerance);
        expect(Math.abs(vig - Math.log(perplexityRatio))).toBeLessThanOrEqual(tolerance);
      }),
    );
  });
});
