import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countActive, fillLossMask, keepsSample } from "../../src/kernels/loss-mask.ts";

const granularity = fc.constantFrom("sample" as const, "token" as const, "sample_and_token" as const);
const vig = fc.float({ noNaN: true, noDefaultInfinity: true });

describe("keepsSample", () => {
  it.each([
    ["sample", 0.5, true],
    ["sample", 0.25, false],
    ["sample_and_token", 0.5, true],
    ["sample_and_token", 0.25, false],
    ["token", 0.25, true],
  ] as const)("%s at VIG %s and tau 0.5: %s", (kind, value, kept) => {
    expect(keepsSample(kind, value, 0.5)).toBe(kept);
  });

  it("treats both zeros alike", () => {
    expect(keepsSample("sample", -0, 0)).toBe(true);
    expect(keepsSample("sample", 0, -0)).toBe(true);
  });
});

describe("fillLossMask", () => {
  it("compares the float32 value, widened, with the float64 tau", () => {
    const mask = new Uint8Array(2);
    // float32(0.1) is 0.100000001490116..., above the double 0.1; float32(0.7) is 0.699999988..., below the double 0.7.
    expect(fillLossMask("token", Float32Array.of(0.1), 0, 1, 0.1, mask, 0)).toBe(1);
    expect(fillLossMask("token", Float32Array.of(0.7), 0, 1, 0.7, mask, 1)).toBe(0);
    expect([...mask]).toEqual([1, 0]);
  });

  it("equals the definition and touches nothing else", () => {
    fc.assert(
      fc.property(granularity, fc.array(vig), fc.array(vig, { maxLength: 5 }), fc.double({ noNaN: true }), (kind, values, before, tau) => {
        const all = Float32Array.of(...before, ...values, 1);
        const mask = new Uint8Array(values.length + 4).fill(7);
        const numActive = fillLossMask(kind, all, before.length, before.length + values.length, tau, mask, 2);
        const expected = values.map((v) => (kind === "sample" || v >= tau ? 1 : 0));
        expect([...mask]).toEqual([7, 7, ...expected, 7, 7]);
        expect(numActive).toBe(expected.filter((bit) => bit === 1).length);
        expect(countActive(all, before.length, before.length + values.length, tau)).toBe(values.filter((v) => v >= tau).length);
      }),
    );
  });
});
