import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KthLargestSearch, LeadingDigitHistogram, leadingDigit } from "../../src/kernels/radix-quantile.ts";

/** The k-th largest by sorting everything. */
const bySorting = (values: readonly number[], rank: number) => [...values].sort((a, b) => b - a)[rank - 1]! + 0;

function histogramOf(values: readonly number[]): LeadingDigitHistogram {
  const histogram = new LeadingDigitHistogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

function search(values: readonly number[], ranks: readonly number[], maxCollected: number): { found: number[]; passes: number } {
  const searching = new KthLargestSearch(histogramOf(values), ranks, { maxCollected });
  let passes = 1;
  for (; !searching.done; passes++) {
    for (const value of values) searching.add(value);
    searching.endPass();
  }
  return { found: searching.values(), passes };
}

/** Values that share leading digits, repeat, differ in the last bit, are subnormal or a zero of either sign. */
const awkward = fc.oneof(
  fc.double({ noNaN: true }),
  fc.double({ min: 0.999, max: 1.001, noNaN: true }),
  fc.constantFrom(0, -0, Number.MIN_VALUE, -Number.MIN_VALUE, 1, 1 + Number.EPSILON, -1, -1 - Number.EPSILON, Infinity, -Infinity),
  fc.nat({ max: 40 }).map((step) => step * Number.MIN_VALUE),
  fc.nat({ max: 40 }).map((step) => 1 + step * Number.EPSILON),
  fc.nat({ max: 40 }).map((step) => -(1 + step * 2 ** -30)),
);
const population = fc.array(awkward, { minLength: 1, maxLength: 300 });

describe("KthLargestSearch", () => {
  it.each([
    ["one value", [3.5], [1]],
    ["all equal", [2, 2, 2, 2], [1, 2, 4]],
    ["negative", [-1, -2, -3], [1, 2, 3]],
    ["zeros of both signs", [0, -0, 0, -0], [1, 2, 3, 4]],
    ["subnormal", [Number.MIN_VALUE, 0, -Number.MIN_VALUE, 2 * Number.MIN_VALUE], [1, 2, 3, 4]],
    ["ties at the rank", [5, 4, 4, 4, 3], [2, 3, 4]],
    ["repeated ranks", [1, 2, 3], [2, 2, 1]],
  ])("equals sorting: %s", (_name, values, ranks) => {
    for (const maxCollected of [0, 1000]) {
      expect(search(values, ranks, maxCollected).found).toEqual(ranks.map((rank) => bySorting(values, rank)));
    }
  });

  it("equals sorting for any values, ranks and memory bound, in at most four passes", () => {
    const cases = population.chain((values) =>
      fc.tuple(fc.constant(values), fc.array(fc.integer({ min: 1, max: values.length }), { maxLength: 5 }), fc.nat({ max: 50 })),
    );
    fc.assert(
      fc.property(cases, ([values, ranks, maxCollected]) => {
        const { found, passes } = search(values, ranks, maxCollected);
        expect(found).toEqual(ranks.map((rank) => bySorting(values, rank)));
        expect(passes).toBeLessThanOrEqual(4);
      }),
    );
  });

  it("needs two passes where the open ranges are few values", () => {
    const values = Array.from({ length: 1000 }, (_, i) => Math.sin(i));
    expect(search(values, [300, 700], 1000).passes).toBe(2);
  });

  it("gives the same from parts that were seen apart, merged in any order", () => {
    fc.assert(
      fc.property(fc.array(population, { minLength: 1, maxLength: 4 }), fc.nat({ max: 50 }), fc.double({ min: 0, max: 1, noNaN: true }), (parts, maxCollected, at) => {
        const values = parts.flat();
        const rank = 1 + Math.floor(at * (values.length - 1));
        const merged = new LeadingDigitHistogram();
        for (const part of [...parts].reverse()) merged.merge(histogramOf(part).sparse());
        const open = () => new KthLargestSearch(merged, [rank], { maxCollected });
        const searches = parts.map(open);
        const whole = open();
        while (!whole.done) {
          for (const [i, part] of parts.entries()) for (const value of part) searches[i]!.add(value);
          const pass = searches.map((s) => s);
          // Merging everything into each part's search in turn: any of them could be the one that goes on.
          const snapshots = pass.map((s) => structuredCloneSearch(s));
          for (const [i, target] of pass.entries()) for (const [j, other] of snapshots.entries()) if (i !== j) target.merge(other);
          for (const s of searches) s.endPass();
          for (const value of values) whole.add(value);
          whole.endPass();
        }
        for (const s of searches) expect(s.values()).toEqual([bySorting(values, rank)]);
      }),
      { numRuns: 50 },
    );
  });

  it("says so when a later pass sees other values", () => {
    const searching = new KthLargestSearch(histogramOf([1, 2, 3]), [1], { maxCollected: 0 });
    searching.add(3);
    searching.add(3);
    expect(() => searching.endPass()).toThrow("changed between two passes");
  });

  it.each([0, 4, 1.5])("refuses rank %s of 3", (rank) => {
    expect(() => new KthLargestSearch(histogramOf([1, 2, 3]), [rank])).toThrow(RangeError);
  });

  it("refuses NaN", () => {
    expect(() => histogramOf([NaN])).toThrow(RangeError);
  });
});

/** A search with the same state: a merge's argument must not be one that merges have already reached. */
function structuredCloneSearch(search: KthLargestSearch): KthLargestSearch {
  return Object.assign(Object.create(KthLargestSearch.prototype) as KthLargestSearch, structuredClone({ ...search }));
}

describe("LeadingDigitHistogram", () => {
  it("lists non-empty digits in ascending order and adds up again", () => {
    fc.assert(
      fc.property(population, population, (a, b) => {
        const merged = histogramOf(a);
        merged.merge(histogramOf(b).sparse());
        expect(merged.sparse()).toEqual(histogramOf([...a, ...b]).sparse());
        expect(merged.total).toBe(a.length + b.length);
        const digits = merged.sparse().map(([digit]) => digit);
        expect(digits).toEqual([...digits].sort((x, y) => x - y));
        expect(new Set(digits)).toEqual(new Set([...a, ...b].map(leadingDigit)));
      }),
    );
  });

  it.each([
    [0, 0x8000],
    [1, 0xbff0],
    [-1, 0x400f],
    [0.13, 0xbfc0],
  ])("puts %s under its top 16 bits", (value, digit) => {
    expect(leadingDigit(value)).toBe(digit);
  });

  it("refuses digits that are none", () => {
    expect(() => new LeadingDigitHistogram().merge([[65536, 1]])).toThrow(RangeError);
  });
});
