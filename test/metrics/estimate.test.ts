import { describe, expect, it } from "vitest";
import { MeanTally, meanOfEstimates, proportion, RatioTally, share } from "../../src/metrics/estimate.ts";

describe("Wilson's interval", () => {
  it("is that of the textbook: 8 of 10", () => {
    const { value, low, high } = proportion(8, 10);
    expect(value).toBe(0.8);
    // (0.8 + 1.96²/20 ± 1.96 sqrt(0.016 + 1.96²/400)) / (1 + 1.96²/10)
    expect(low).toBeCloseTo(0.4902, 4);
    expect(high).toBeCloseTo(0.9433, 4);
  });

  it("has a width at 0 and at 1, and stays in range", () => {
    expect(proportion(0, 20)).toMatchObject({ value: 0, low: 0 });
    // z² / (n + z²)
    expect(proportion(0, 20).high).toBeCloseTo(3.8415 / 23.8415, 4);
    expect(proportion(20, 20)).toMatchObject({ value: 1, high: 1 });
  });

  it("is absent for nothing", () => {
    expect(proportion(0, 0)).toEqual({ value: null, low: null, high: null });
    expect(share(Number.NaN, 0)).toEqual({ value: null, low: null, high: null });
  });
});

describe("a mean", () => {
  it("has the interval of its standard error", () => {
    const tally = new MeanTally();
    for (const value of [1, 2, 3, 4, 5]) tally.add(value);
    // Variance 2.5, standard error sqrt(0.5).
    const { value, low, high } = tally.estimate(0, 6);
    expect(value).toBe(3);
    expect(low).toBeCloseTo(3 - 1.959964 * Math.SQRT1_2, 5);
    expect(high).toBeCloseTo(3 + 1.959964 * Math.SQRT1_2, 5);
  });

  it("stays in the range of the values, and has no interval for one value", () => {
    const tally = new MeanTally();
    tally.add(6);
    expect(tally.estimate(0, 6)).toEqual({ value: 6, low: null, high: null });
    tally.add(5);
    expect(tally.estimate(0, 6).high).toBe(6);
  });
});

describe("a ratio over clusters", () => {
  it("of units alone is a proportion", () => {
    const tally = new RatioTally();
    for (const hit of [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]) tally.add(hit, 1);
    const alone = proportion(3, 10);
    expect(tally.estimate().value).toBe(0.3);
    // n / (n - 1) in the variance.
    expect(tally.estimate().low).toBeCloseTo(share(0.3, 9).low!, 10);
    expect(tally.estimate().low).toBeLessThan(alone.low!);
  });

  it("is wider where the units of a cluster agree", () => {
    const [scattered, lumped] = [new RatioTally(), new RatioTally()];
    for (let i = 0; i < 20; i++) {
      scattered.add(2, 4);
      lumped.add(i % 2 === 0 ? 4 : 0, 4);
    }
    const width = (tally: RatioTally): number => tally.estimate().high! - tally.estimate().low!;
    expect(scattered.estimate().value).toBe(0.5);
    expect(lumped.estimate().value).toBe(0.5);
    expect(width(lumped)).toBeGreaterThan(1.5 * width(scattered));
  });

  it("keeps a width where nothing was counted", () => {
    const tally = new RatioTally();
    tally.add(0, 5);
    tally.add(0, 7);
    expect(tally.estimate()).toEqual(proportion(0, 12));
  });
});

it("the mean of intervals covers any dependence", () => {
  const [a, b] = [proportion(1, 4), proportion(3, 4)];
  expect(meanOfEstimates([a, b])).toEqual({ value: 0.5, low: (a.low! + b.low!) / 2, high: (a.high! + b.high!) / 2 });
  expect(meanOfEstimates([a, proportion(0, 0)])).toEqual({ value: null, low: null, high: null });
});
