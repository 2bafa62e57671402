import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StageError } from "../../../src/core/errors.ts";
import { ByteWindow } from "../../../src/io/sources/byte-window.ts";
import { llavaJsonConfig, openLlavaJson } from "../../../src/io/sources/llava-json.ts";
import { MORE, type RecordFormat, type ScanEnd, type ScannedRecord, scanRecords } from "../../../src/io/sources/record-scanner.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { readAll, readSplit, splitsOf } from "./read-all.ts";

const LIMITS = { max_record_bytes: 2_048, max_depth: 16 };

function scan(bytes: Uint8Array, format: RecordFormat): { records: ScannedRecord[]; end: ScanEnd } {
  const scanning = scanRecords(ByteWindow.of(bytes), format, LIMITS);
  const records: ScannedRecord[] = [];
  for (;;) {
    const next = scanning.next();
    if (next.done) return { records, end: next.value };
    if (next.value === MORE) throw new Error("asked for more than there is");
    records.push(next.value);
  }
}

/** Bytes that look like JSON more often than chance would have it. */
const jsonish = fc.array(fc.oneof(
  fc.constantFrom('{"id":"a","conversations":[]}', ",", "[", "]", "{", "}", '"', "\\", "\n", '"x"', "[]", "{}", ' {"messages" : 1} ', "é", "1", ":"),
  fc.string({ maxLength: 5 }),
), { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join("")));
const bytes = fc.oneof(jsonish, fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)));

/** A record as text that is hard to scan: brackets, quotes and escapes in strings, any nesting and spacing. */
const recordText = fc.tuple(fc.uuid(), fc.jsonValue({ maxDepth: 4 }), fc.string(), fc.constantFrom(0, 1, "\t")).map(([id, extra, text, indent]) =>
  JSON.stringify({ extra, id, conversations: [{ from: "human", value: `{"[\\${text}` }, { from: "gpt", value: `}]\n${text}."` }] }, null, indent),
).filter((text) => Buffer.byteLength(text) <= LIMITS.max_record_bytes);

describe("the record scanner", () => {
  it("ends on any bytes, with records in order that do not overlap", () => {
    fc.assert(
      fc.property(bytes, fc.constantFrom<RecordFormat>("array", "lines"), (input, format) => {
        let last = 0;
        for (const { start, end } of scan(input, format).records) {
          expect(start).toBeGreaterThanOrEqual(last);
          expect(end).toBeGreaterThan(start);
          expect(end).toBeLessThanOrEqual(input.length);
          last = end;
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("finds exactly the records of any array", () => {
    fc.assert(
      fc.property(fc.array(recordText, { maxLength: 8 }), fc.constantFrom(",", ", ", ",\n", "\n,\r\n\t"), (records, separator) => {
        const text = Buffer.from(` ${records.join(separator)} ]\n`);
        const found = scan(text, "array");
        expect(found.end).toEqual({});
        expect(found.records.map(({ start, end }) => text.toString("utf8", start, end))).toEqual(records);
        expect(found.records.every((record) => record.problem === undefined)).toBe(true);
      }),
    );
  });

  it("says of every cut through an array that it is cut", () => {
    fc.assert(
      fc.property(fc.array(recordText, { minLength: 1, maxLength: 4 }), fc.nat(), (records, at) => {
        const text = Buffer.from(`${records.join(",")}]`);
        expect(scan(text.subarray(0, at % text.length), "array").end.truncated_at).toBeDefined();
      }),
    );
  });

  it("keeps every sample on both sides of a damaged one", () => {
    const simple = fc.array(recordText.map((text) => JSON.stringify(JSON.parse(text))), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(simple, simple, fc.nat(), fc.nat(), fc.constantFrom("", '"', "{", "}", "[", "]", "\n", "\\"), (before, after, record, at, put) => {
        const whole = before[record % before.length]!;
        const place = at % whole.length;
        const damaged = whole.slice(0, place) + put + whole.slice(place + 1);
        // A line break is what tells a reader that a string was not closed.
        const text = Buffer.from(`${[...before, damaged, ...after].join(",\n")}]`);
        const { records } = scan(text, "array");
        const found = new Set(records.map(({ start, end }) => text.toString("utf8", start, end)));
        for (const kept of [...before, ...after]) expect(found.has(kept), kept).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe("a split", () => {
  it("read alone is what it is in sequence, whatever the bytes", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "input.json");
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("[", '{"id":0}\n', " "), bytes, fc.integer({ min: 1, max: 4 }), async (head, input, split_samples) => {
        writeFileSync(path, Buffer.concat([Buffer.from(head), input]));
        const open = () => openLlavaJson(llavaJsonConfig.parse({ kind: "llava_json", annotations: path, image_root: folder, split_samples, max_record_bytes: 1_024 }));
        let splits;
        try {
          splits = await splitsOf(await open());
        } catch (error) {
          expect(String(error)).toMatch(/neither a JSON array nor JSON lines/);
          return;
        }
        expect(await splitsOf(await open())).toEqual(splits);
        for (const split of splits.reverse()) {
          try {
            const { samples, rejects } = await readSplit(await open(), split);
            expect(samples.length + rejects.length).toBe(split.num_records);
          } catch (error) {
            expect(error).toBeInstanceOf(StageError);
            expect(String(error)).toMatch(/truncated/);
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it("does not depend on how the others were cut", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "input.json");
    await fc.assert(
      fc.asyncProperty(fc.array(recordText, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 5 }), async (records, split_samples) => {
        writeFileSync(path, `[${records.join(",")}]`);
        const open = (size: number) => openLlavaJson(llavaJsonConfig.parse({ kind: "llava_json", annotations: path, image_root: folder, split_samples: size }));
        const whole = await readAll(await open(1_000));
        const cut = await readAll(await open(split_samples));
        expect(cut.samples).toEqual(whole.samples);
        expect(cut.rejects).toEqual(whole.rejects);
      }),
      { numRuns: 50 },
    );
  });
});
