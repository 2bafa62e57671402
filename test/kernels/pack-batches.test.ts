import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packBatches, type PackOptions } from "../../src/kernels/pack-batches.ts";

const options: PackOptions = { maxBatchPositions: 8192, overheadPositions: 256 };

const planCost = (batches: readonly ArrayLike<number>[], lengths: readonly number[], { overheadPositions }: PackOptions) =>
  batches.reduce((sum, rows) => sum + 2 * rows.length * Math.max(...Array.from(rows, (row) => lengths[row]!)) + overheadPositions, 0);

/** The cheapest plan by trying every cut of the sorted rows. */
function cheapest(sorted: readonly number[], { maxBatchPositions, overheadPositions }: PackOptions): number {
  if (sorted.length === 0) return 0;
  let best = Infinity;
  for (let size = 1; size <= sorted.length && 2 * size * sorted[0]! <= maxBatchPositions; size++) {
    const rest = cheapest(sorted.slice(size), { maxBatchPositions, overheadPositions });
    best = Math.min(best, 2 * size * sorted[0]! + overheadPositions + rest);
  }
  return best;
}

describe("packBatches", () => {
  it.each([
    ["nothing", [], [], []],
    ["one row", [10], [[0]], []],
    ["equal lengths in row order", [5, 5, 5], [[0, 1, 2]], []],
    ["a row that exceeds the budget alone", [10, 5000, 4096], [[2], [0]], [1]],
    ["lengths too different to share a batch", [1000, 10, 1000, 10], [[0, 2], [1, 3]], []],
    ["lengths so close that one batch is cheaper", [100, 99, 98], [[0, 1, 2]], []],
  ])("packs %s", (_name, lengths, batches, tooLong) => {
    const packed = packBatches(lengths, options);
    expect(packed.batches.map((batch) => [...batch])).toEqual(batches);
    expect(packed.tooLong).toEqual(tooLong);
  });

  it("puts every row into one batch or among those too long, within the budget", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 6000 }), { maxLength: 300 });
    fc.assert(
      fc.property(lengths, (rows) => {
        const { batches, tooLong } = packBatches(rows, options);
        const placed = [...batches.flatMap((batch) => [...batch]), ...tooLong].sort((a, b) => a - b);
        expect(placed).toEqual(rows.map((_, row) => row));
        for (const batch of batches) expect(planCost([batch], rows, options) - options.overheadPositions).toBeLessThanOrEqual(8192);
        for (const row of tooLong) expect(2 * rows[row]!).toBeGreaterThan(8192);
      }),
    );
  });

  it("costs no more than the best of all plans", () => {
    const small = fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 9 });
    fc.assert(
      fc.property(small, fc.integer({ min: 40, max: 200 }), fc.nat({ max: 30 }), (lengths, maxBatchPositions, overheadPositions) => {
        const tight = { maxBatchPositions, overheadPositions };
        const { batches } = packBatches(lengths, tight);
        expect(planCost(batches, lengths, tight)).toBe(cheapest([...lengths].sort((a, b) => b - a), tight));
      }),
    );
  });

  it("keeps padding under 5 percent and batches large on a mix of captions and chats", () => {
    // 64 image tokens and a caption of 8 to 40 tokens, or a chat of 60 to 400, as in a LLaVA mix; 256 rows a split.
    const lengths = Array.from({ length: 256 }, (_, i) => 64 + (i % 5 < 3 ? 8 + ((i * 37) % 33) : 60 + ((i * 101) % 341)));
    const { batches } = packBatches(lengths, options);
    const padded = planCost(batches, lengths, { ...options, overheadPositions: 0 });
    const useful = 2 * lengths.reduce((sum, length) => sum + length, 0);
    expect((padded - useful) / padded).toBeLessThan(0.05);
    // Filled to the budget, the same rows would need at least this many batches.
    expect(batches.length).toBeLessThanOrEqual(1.5 * Math.ceil(useful / options.maxBatchPositions));
  });
});
