/**
 * Thrift's compact protocol, as Parquet's footers and page headers use it (apache/thrift,
 * doc/specs/thrift-compact-protocol.md), without a schema: a struct is a map from field numbers to values, so what
 * is not understood is carried over unchanged. Maps, which Parquet has none of, are refused.
 */
import { InternalError } from "../../core/errors.ts";

/** Types as the compact protocol numbers them; a boolean field's value is in its type. */
export const TYPE = { true: 1, false: 2, byte: 3, i16: 4, i32: 5, i64: 6, double: 7, binary: 8, list: 9, set: 10, struct: 12 } as const;

export type ThriftStruct = Map<number, ThriftField>;
export interface ThriftList {
  readonly type: number;
  readonly items: readonly ThriftValue[];
}
/** Integers are numbers up to 2^53; a double is its 8 bytes. */
export type ThriftValue = boolean | number | Uint8Array | ThriftList | ThriftStruct;
export interface ThriftField {
  readonly type: number;
  readonly value: ThriftValue;
}

export class ThriftReader {
  readonly #bytes: Uint8Array;
  /** Where the next value begins. */
  position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes;
    this.position = position;
  }

  struct(): ThriftStruct {
    const fields: ThriftStruct = new Map();
    for (let id = 0; ; ) {
      const header = this.#byte();
      if (header === 0) return fields;
      const type = header & 15;
      id = header >> 4 === 0 ? this.#zigzag() : id + (header >> 4);
      fields.set(id, { type, value: type === TYPE.true ? true : type === TYPE.false ? false : this.#value(type) });
    }
  }

  #value(type: number): ThriftValue {
    switch (type) {
      case TYPE.true:
      case TYPE.false:
        return this.#byte() === TYPE.true; // an item of a list; fields have theirs in the header
      case TYPE.byte:
        return (this.#byte() << 24) >> 24;
      case TYPE.i16:
      case TYPE.i32:
      case TYPE.i64:
        return this.#zigzag();
      case TYPE.double:
        return this.#take(8);
      case TYPE.binary:
        return this.#take(this.#varint());
      case TYPE.list:
      case TYPE.set:
        return this.#list();
      case TYPE.struct:
        return this.struct();
      default:
        throw new InternalError(`thrift: type ${type}`);
    }
  }

  #list(): ThriftList {
    const header = this.#byte();
    const length = header >> 4 === 15 ? this.#varint() : header >> 4;
    const type = header & 15;
    return { type, items: Array.from({ length }, () => this.#value(type)) };
  }

  #byte(): number {
    const byte = this.#bytes[this.position++];
    if (byte === undefined) throw new InternalError("thrift: the bytes end early");
    return byte;
  }

  #take(length: number): Uint8Array {
    if (this.position + length > this.#bytes.length) throw new InternalError("thrift: the bytes end early");
    return this.#bytes.slice(this.position, (this.position += length));
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * scale;
      if (byte < 128) break;
    }
    if (!Number.isSafeInteger(value)) throw new InternalError("thrift: an integer above 2^53");
    return value;
  }

  #zigzag(): number {
    const value = this.#varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

export class ThriftWriter {
  readonly #bytes: number[] = [];

  struct(fields: ThriftStruct): this {
    let last = 0;
    for (const [id, { type, value }] of [...fields].sort(([a], [b]) => a - b)) {
      const written = typeof value === "boolean" ? (value ? TYPE.true : TYPE.false) : type;
      if (id - last <= 15) this.#bytes.push(((id - last) << 4) | written);
      else {
        this.#bytes.push(written);
        this.#zigzag(id);
      }
      if (typeof value !== "boolean") this.#value(type, value);
      last = id;
    }
    this.#bytes.push(0);
    return this;
  }

  toBytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  #value(type: number, value: ThriftValue): void {
    if (value instanceof Map) this.struct(value);
    else if (value instanceof Uint8Array) {
      if (type === TYPE.binary) this.#varint(value.length);
      for (const byte of value) this.#bytes.push(byte);
    } else if (typeof value === "object") this.#list(value);
    else if (typeof value === "boolean") this.#bytes.push(value ? TYPE.true : TYPE.false);
    else if (type === TYPE.byte) this.#bytes.push(value & 255);
    else this.#zigzag(value);
  }

  #list({ type, items }: ThriftList): void {
    if (items.length < 15) this.#bytes.push((items.length << 4) | type);
    else {
      this.#bytes.push(0xf0 | type);
      this.#varint(items.length);
    }
    for (const item of items) this.#value(type, item);
  }

  #varint(value: number): void {
    while (value >= 128) {
      this.#bytes.push((value % 128) | 128);
      value = Math.floor(value / 128);
    }
    this.#bytes.push(value);
  }

  #zigzag(value: number): void {
    this.#varint(value >= 0 ? value * 2 : -value * 2 - 1);
  }
}

// ---- fields by number ----

export const i32 = (value: number): ThriftField => ({ type: TYPE.i32, value });
export const i64 = (value: number): ThriftField => ({ type: TYPE.i64, value });
export const flag = (value: boolean): ThriftField => ({ type: TYPE.true, value });
export const struct = (value: ThriftStruct): ThriftField => ({ type: TYPE.struct, value });
export const structs = (items: readonly ThriftStruct[]): ThriftField => ({ type: TYPE.list, value: { type: TYPE.struct, items } });

export function numberAt(fields: ThriftStruct, id: number): number {
  const value = fields.get(id)?.value;
  if (typeof value !== "number") throw new InternalError(`thrift: field ${id} is no number`);
  return value;
}

export function structAt(fields: ThriftStruct, id: number): ThriftStruct {
  const value = fields.get(id)?.value;
  if (!(value instanceof Map)) throw new InternalError(`thrift: field ${id} is no struct`);
  return value;
}

export function itemsAt(fields: ThriftStruct, id: number): readonly ThriftValue[] {
  const value = fields.get(id)?.value;
  if (typeof value !== "object" || !("items" in value)) throw new InternalError(`thrift: field ${id} is no list`);
  return value.items;
}

export function textAt(fields: ThriftStruct, id: number): string {
  const value = fields.get(id)?.value;
  if (!(value instanceof Uint8Array)) throw new InternalError(`thrift: field ${id} is no text`);
  return new TextDecoder().decode(value);
}
