import {
  Binary,
  Bool,
  type DataType,
  Field,
  Float32,
  Float64,
  Int32,
  List,
  makeBuilder,
  makeData,
  RecordBatch,
  RecordBatchReader,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Utf8,
} from "apache-arrow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatRows, takeRows } from "../../src/core/record-batch.ts";

const item = (type: DataType) => new List(new Field("item", type, true));
const message = new Struct([new Field("role", new Utf8(), true), new Field("content", new Utf8(), true)]);

const schema = new Schema([
  new Field("int", new Int32(), true),
  new Field("double", new Float64(), true),
  new Field("flag", new Bool(), true),
  new Field("text", new Utf8(), true),
  new Field("bytes", new Binary(), true),
  new Field("floats", item(new Float32()), true),
  new Field("flags", item(new Bool()), true),
  new Field("texts", item(new Utf8()), true),
  new Field("messages", item(message), true),
]);

type Row = Readonly<Record<string, unknown>>;

const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null, freq: 5 });
const text = fc.string({ unit: "grapheme", maxLength: 6 });
const listOf = <T>(value: fc.Arbitrary<T>) => orNull(fc.array(orNull(value), { maxLength: 40 }));

const row: fc.Arbitrary<Row> = fc.record({
  int: orNull(fc.integer()),
  double: orNull(fc.double({ noNaN: true })),
  flag: orNull(fc.boolean()),
  text: orNull(text),
  bytes: orNull(fc.uint8Array({ maxLength: 5 })),
  floats: listOf(fc.float({ noNaN: true })),
  flags: listOf(fc.boolean()),
  texts: listOf(text),
  messages: listOf(fc.record({ role: text, content: orNull(text) })),
});
const rows = fc.array(row, { maxLength: 30 });

/** Built by Arrow's own builders, value by value. */
function batchOf(values: readonly Row[]): RecordBatch {
  const children = schema.fields.map((field) => {
    const builder = makeBuilder({ type: field.type as DataType, nullValues: [null] });
    for (const value of values) builder.append(value[field.name]);
    return builder.finish().flush();
  });
  return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length: values.length, nullCount: 0, children }));
}

/** Read by Arrow's own accessors, as plain values. */
function rowsOf(batch: RecordBatch): Row[] {
  const plain = (value: unknown): unknown => {
    if (value === null || typeof value !== "object") return value;
    if (value instanceof Uint8Array) return Uint8Array.from(value);
    if (Symbol.iterator in value && "length" in value) return Array.from(value as ArrayLike<unknown>, plain);
    return Object.fromEntries(Object.entries((value as { toJSON(): object }).toJSON()).map(([key, v]) => [key, plain(v)]));
  };
  return Array.from({ length: batch.numRows }, (_, i) =>
    Object.fromEntries(schema.fields.map((field, column) => [field.name, plain(batch.getChildAt(column)!.get(i))])),
  );
}

/** Through the IPC format and back: what a consumer would see of the buffers. */
function throughIpc(batch: RecordBatch): RecordBatch {
  const bytes = RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true);
  return [...RecordBatchReader.from(bytes)][0] ?? new RecordBatch(schema);
}

const sliced = fc.tuple(rows, fc.nat(), fc.nat()).map(([values, a, b]) => {
  const start = values.length === 0 ? 0 : a % values.length;
  const end = start + (b % (values.length - start + 1));
  return { values: values.slice(start, end), batch: batchOf(values).slice(start, end) };
});

describe("takeRows", () => {
  it("gives the named rows in the named order, of whole and of sliced batches, and leaves the input alone", () => {
    const cases = sliced.chain(({ values, batch }) =>
      fc.tuple(fc.constant({ values, batch }), values.length === 0 ? fc.constant([]) : fc.array(fc.nat({ max: values.length - 1 }), { maxLength: 40 })),
    );
    fc.assert(
      fc.property(cases, ([{ values, batch }, indices]) => {
        const taken = takeRows(batch, indices);
        const expected = indices.map((i) => values[i]!);
        expect(rowsOf(taken)).toEqual(expected);
        expect(rowsOf(throughIpc(taken))).toEqual(expected);
        expect(rowsOf(batch)).toEqual(values);
      }),
      { numRuns: 200 },
    );
  });

  it("keeps ascending subsets, as a selection does", () => {
    fc.assert(
      fc.property(sliced, fc.infiniteStream(fc.boolean()), ({ values, batch }, kept) => {
        const keep = values.map(() => kept.next().value as boolean);
        const indices = values.flatMap((_, i) => (keep[i] ? [i] : []));
        expect(rowsOf(takeRows(batch, Int32Array.from(indices)))).toEqual(values.filter((_, i) => keep[i]));
      }),
    );
  });

  it("copies runs long enough for the block copy", () => {
    const values = Array.from({ length: 200 }, (_, i): Row => ({ int: i, double: i / 3, flag: i % 3 === 0, text: `t${i}`, bytes: Uint8Array.of(i), floats: [i, null], flags: [true, false], texts: null, messages: [] }));
    const indices = values.map((_, i) => i).filter((i) => i % 50 !== 7);
    expect(rowsOf(takeRows(batchOf(values), indices))).toEqual(indices.map((i) => values[i]));
  });
});

describe("concatRows", () => {
  it("gives all rows one behind the other, of whole and of sliced batches", () => {
    fc.assert(
      fc.property(fc.array(sliced, { maxLength: 4 }), (parts) => {
        const joined = concatRows(schema, parts.map(({ batch }) => batch));
        const expected = parts.flatMap(({ values }) => values);
        expect(rowsOf(joined)).toEqual(expected);
        expect(rowsOf(throughIpc(joined))).toEqual(expected);
        for (const { values, batch } of parts) expect(rowsOf(batch)).toEqual(values);
      }),
    );
  });
});
