import { describe, expect, it } from "vitest";
import { Reservoir } from "../../src/kernels/reservoir.ts";

describe("a reservoir", () => {
  it("holds all rows, in order, where they fit", () => {
    const reservoir = new Reservoir(2, 5_000, 0);
    for (let i = 0; i < 3_000; i++) reservoir.add([i, -i]);
    expect(reservoir.num_seen).toBe(3_000);
    expect([...reservoir.column(0)]).toEqual(Array.from({ length: 3_000 }, (_, i) => i));
    expect(reservoir.column(1)[2_999]).toBe(-2_999);
  });

  it("holds as many as it has room for, rows whole, every row as likely as any", () => {
    const counts = new Float64Array(20);
    for (let seed = 0; seed < 4_000; seed++) {
      const reservoir = new Reservoir(2, 5, seed);
      for (let i = 0; i < 20; i++) reservoir.add([i, 2 * i]);
      const [a, b] = [reservoir.column(0), reservoir.column(1)];
      expect(new Set(a).size).toBe(5);
      expect(b).toEqual(a.map((value) => 2 * value));
      for (const value of a) counts[value]!++;
    }
    // Expected 1,000 each; the standard deviation is 27.
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(5 * 27.4);
  });

  it("is the same for the same seed", () => {
    const draw = (seed: number): number[] => {
      const reservoir = new Reservoir(1, 10, seed);
      for (let i = 0; i < 1_000; i++) reservoir.add([i]);
      return [...reservoir.column(0)];
    };
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });
});
