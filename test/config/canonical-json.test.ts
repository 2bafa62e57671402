import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalDigest, canonicalJson } from "../../src/config/canonical-json.ts";
import { InternalError } from "../../src/core/errors.ts";

describe("canonicalJson", () => {
  it("sorts keys by code units and leaves undefined out", () => {
    expect(canonicalJson({ b: 1, a: [1, { d: null, c: "x" }], Z: true, gone: undefined })).toBe('{"Z":true,"a":[1,{"c":"x","d":null}],"b":1}');
  });

  it("is JSON of the same data, whatever the order of keys", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
        const reversed = (data: unknown): unknown =>
          Array.isArray(data)
            ? data.map(reversed)
            : typeof data === "object" && data !== null
              ? Object.fromEntries(Object.entries(data).reverse().map(([key, item]) => [key, reversed(item)]))
              : data;
        expect(canonicalDigest(reversed(value))).toBe(canonicalDigest(value));
      }),
    );
  });

  it("refuses what JSON can't hold", () => {
    for (const value of [Number.NaN, Infinity, () => 1, 1n]) expect(() => canonicalJson({ value })).toThrow(InternalError);
  });
});
