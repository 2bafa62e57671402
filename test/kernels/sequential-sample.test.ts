import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SequentialSample } from "../../src/kernels/sequential-sample.ts";

function draw(population: number, size: number, seed: number): boolean[] {
  const sample = new SequentialSample(population, size, seed);
  return Array.from({ length: population }, () => sample.next());
}

describe("SequentialSample", () => {
  it("draws exactly as many as asked, the same ones for the same seed", () => {
    const cases = fc.nat({ max: 300 }).chain((n) => fc.tuple(fc.constant(n), fc.nat({ max: n }), fc.nat()));
    fc.assert(
      fc.property(cases, ([population, size, seed]) => {
        const drawn = draw(population, size, seed);
        expect(drawn.filter(Boolean)).toHaveLength(size);
        expect(draw(population, size, seed)).toEqual(drawn);
      }),
    );
  });

  it("draws every subset equally often: 10 subsets of 2 of 5 over 20,000 seeds within 5 standard deviations", () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 20_000; seed++) {
      const subset = draw(5, 2, seed).map(Number).join("");
      counts.set(subset, (counts.get(subset) ?? 0) + 1);
    }
    expect(counts.size).toBe(10);
    for (const count of counts.values()) expect(Math.abs(count - 2000)).toBeLessThan(5 * Math.sqrt(20_000 * 0.1 * 0.9));
  });

  it("refuses to draw more than there is, and to go on behind the end", () => {
    expect(() => new SequentialSample(3, 4, 0)).toThrow(RangeError);
    const sample = new SequentialSample(1, 1, 0);
    sample.next();
    expect(sample.numRemaining).toBe(0);
    expect(() => sample.next()).toThrow(RangeError);
  });
});
