import { describe, expect, it } from "vitest";
import { RandomStream } from "../../src/kernels/random-stream.ts";

describe("RandomStream", () => {
  it("is the same on every machine", () => {
    const random = new RandomStream(42);
    expect(Array.from({ length: 4 }, () => random.uint32())).toEqual(GOLDEN_42);
    expect(naiveXoshiro(42n, 4)).toEqual(GOLDEN_42);
  });

  it("differs between seeds and between streams of a seed", () => {
    const first = (seed: number, stream: number) => new RandomStream(seed, stream).uniform();
    expect(new Set([first(1, 0), first(2, 0), first(1, 1), first(2, 1)]).size).toBe(4);
  });

  it("is uniform over [0, 1): 10 bins of 100,000 draws within 5 standard deviations", () => {
    const random = new RandomStream(7);
    const bins = new Float64Array(10);
    for (let i = 0; i < 100_000; i++) bins[Math.floor(random.uniform() * 10)]!++;
    for (const count of bins) expect(Math.abs(count - 10_000)).toBeLessThan(5 * Math.sqrt(100_000 * 0.1 * 0.9));
  });

  it.each([-1, 0.5, NaN, 2 ** 53])("refuses the seed %s", (seed) => {
    expect(() => new RandomStream(seed)).toThrow(RangeError);
  });
});

const GOLDEN_42 = [360185622, 1627704702, 880513817, 1441732288];

/** xoshiro128** and SplitMix64 with whole-number arithmetic only. */
function naiveXoshiro(seed: bigint, count: number): number[] {
  const u32 = (x: bigint) => x & 0xffffffffn;
  const u64 = (x: bigint) => x & 0xffffffffffffffffn;
  const rotl = (x: bigint, k: bigint) => u32((x << k) | (x >> (32n - k)));
  const s: bigint[] = [];
  for (let i = 1n; i <= 4n; i++) {
    let z = u64(seed + i * 0x9e3779b97f4a7c15n);
    z = u64((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = u64((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    s.push((z ^ (z >> 31n)) >> 32n);
  }
  return Array.from({ length: count }, () => {
    const result = u32(rotl(u32(s[1]! * 5n), 7n) * 9n);
    const t = u32(s[1]! << 9n);
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotl(s[3]!, 11n);
    return Number(result);
  });
}
