import { type RecordBatch, StructRow, Vector } from "apache-arrow";

/**
 * A cell of a record batch as plain data: lists as arrays, structs as objects, 64-bit integers as numbers where
 * they are exact and as text where not. Bytes stay views into the batch.
 */
export function plainValue(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Uint8Array || typeof value !== "object" || value === null) return value;
  if (value instanceof Vector) return Array.from(value as Iterable<unknown>, plainValue);
  if (value instanceof StructRow) return Object.fromEntries([...(value as Iterable<[string, unknown]>)].map(([name, child]) => [name, plainValue(child)]));
  return value;
}

/** One row as an object, column name -> plain value. */
export function plainRow(batch: RecordBatch, row: number): Record<string, unknown> {
  return Object.fromEntries(batch.schema.fields.map((field, i) => [field.name, plainValue(batch.getChildAt(i)!.get(row))]));
}
