import { Bool, type Data, Field, List, makeData, type RecordBatch, Schema, Utf8 } from "apache-arrow";
import { SAMPLE_COLUMNS, selectionSchema } from "../core/columns.ts";
import type { RowDecision } from "../core/output.ts";
import { columnData, int32Column, makeRecordBatch, projectColumns, takeRows } from "../core/record-batch.ts";

/** Columns that selections carry over from scores, besides passed-through ones. */
export const CARRIED_COLUMNS = [...SAMPLE_COLUMNS.map((field) => field.name), "vig", "token_id", "token_text"];

const ADDED_SCHEMA = new Schema(selectionSchema.fields.filter((field) => !CARRIED_COLUMNS.includes(field.name)));

/** Which rows of one batch are kept, and the loss masks of the kept rows one behind the other. */
export class KeptRows {
  /** 1: the token keeps its loss. */
  readonly mask: Uint8Array;
  readonly #rows: Int32Array;
  #count = 0;
  readonly #maskEnds: Int32Array;
  readonly #numActive: Int32Array;
  readonly #textOnly: Uint8Array;

  constructor(numRows: number, numTokens: number) {
    this.mask = new Uint8Array(numTokens);
    this.#rows = new Int32Array(numRows);
    this.#maskEnds = new Int32Array(numRows + 1);
    this.#numActive = new Int32Array(numRows);
    this.#textOnly = new Uint8Array(numRows);
  }

  /** Where the next kept row's mask begins. */
  get maskEnd(): number {
    return this.#maskEnds[this.#count]!;
  }

  /** Keeps the row; its mask has been written from maskEnd on. */
  keep(row: number, numTokens: number, numActive: number, textOnly: boolean): void {
    const at = this.#count++;
    this.#rows[at] = row;
    this.#maskEnds[at + 1] = this.#maskEnds[at]! + numTokens;
    this.#numActive[at] = numActive;
    this.#textOnly[at] = Number(textOnly);
  }

  toDecision(): RowDecision {
    const count = this.#count;
    const bits = packedBits(this.mask, this.maskEnd);
    const type = new List(new Field("item", bits.type, true));
    const added = makeRecordBatch(ADDED_SCHEMA, {
      loss_mask: makeData({ type, length: count, nullCount: 0, valueOffsets: this.#maskEnds.slice(0, count + 1), child: bits }),
      num_active: int32Column(this.#numActive.slice(0, count)),
      kept_as: this.#keptAs(count),
    });
    return { num_rows: this.#rows.length, rows: this.#rows.subarray(0, count), added };
  }

  #keptAs(count: number): Data<Utf8> {
    const names = [new TextEncoder().encode("vig"), new TextEncoder().encode("text_only")];
    const valueOffsets = new Int32Array(count + 1);
    for (let i = 0; i < count; i++) valueOffsets[i + 1] = valueOffsets[i]! + names[this.#textOnly[i]!]!.length;
    const data = new Uint8Array(valueOffsets[count]!);
    for (let i = 0; i < count; i++) data.set(names[this.#textOnly[i]!]!, valueOffsets[i]);
    return makeData({ type: new Utf8(), length: count, nullCount: 0, valueOffsets, data });
  }
}

/** The first `length` of 0s and 1s as a column of booleans; boolColumn takes anything true and is slower by an order. */
function packedBits(mask: Uint8Array, length: number): Data<Bool> {
  const data = new Uint8Array((length + 7) >> 3);
  const whole = length & ~7;
  for (let i = 0; i < whole; i += 8) {
    data[i >> 3] =
      mask[i]! | (mask[i + 1]! << 1) | (mask[i + 2]! << 2) | (mask[i + 3]! << 3) | (mask[i + 4]! << 4) | (mask[i + 5]! << 5) | (mask[i + 6]! << 6) | (mask[i + 7]! << 7);
  }
  for (let i = whole; i < length; i++) data[i >> 3]! |= mask[i]! << (i & 7);
  return makeData({ type: new Bool(), length, nullCount: 0, data });
}

/** The decision carried out. `schema` has selectionSchema's columns, passed-through ones behind them. */
export function takeSelection(scores: RecordBatch, { rows, added }: RowDecision, schema: Schema): RecordBatch {
  const carried = schema.fields.filter((field) => scores.schema.names.includes(field.name));
  const taken = takeRows(projectColumns(scores, new Schema(carried)), rows);
  const columns = [...carried.map(({ name }) => [name, columnData(taken, name)] as const), ...ADDED_SCHEMA.fields.map(({ name }) => [name, columnData(added, name)] as const)];
  return makeRecordBatch(schema, Object.fromEntries(columns));
}
