import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bitWidth, decodeHybrid, encodeHybrid, repeatedLevel } from "../../../src/io/parquet/select-levels.ts";

describe("Parquet's hybrid encoding", () => {
  it("gives back what was put in, for every width up to 24 bits", () => {
    const numbers = fc.integer({ min: 0, max: 24 }).chain((width) => fc.tuple(fc.constant(width), fc.array(fc.nat(2 ** width - 1), { maxLength: 100 })));
    fc.assert(
      fc.property(numbers, fc.nat(5), ([width, values], offset) => {
        const bytes = encodeHybrid(Int32Array.from(values), values.length, width);
        // Somewhere in a page, not aligned, with other bytes around it.
        const page = new Uint8Array(offset + bytes.length + 3).fill(255);
        page.set(bytes, offset);
        const read = new Int32Array(values.length);
        decodeHybrid(page, offset, offset + bytes.length, width, values.length, read);
        expect(Array.from(read)).toEqual(values);
      }),
      { numRuns: 500 },
    );
  });

  it("packs as the format says: least significant bit first, groups of eight", () => {
    // The example of the format's description: 0 to 7 in three bits.
    expect(Array.from(encodeHybrid(Int32Array.from([0, 1, 2, 3, 4, 5, 6, 7]), 8, 3))).toEqual([3, 0b10001000, 0b11000110, 0b11111010]);
    expect(Array.from(encodeHybrid(Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0, 1, 1]), 10, 1))).toEqual([5, 1, 3]);
  });

  it("writes one run where all are equal, and finds it again", () => {
    const bytes = encodeHybrid(new Uint8Array(1000).fill(1), 1000, bitWidth(1));
    expect(bytes.length).toBe(3);
    expect(repeatedLevel(bytes, 0, 1000, 1)).toBe(1);
  });

  it("refuses levels that end early", () => {
    expect(() => decodeHybrid(new Uint8Array(0), 0, 0, 1, 8, new Uint8Array(8))).toThrow("end early");
  });
});
