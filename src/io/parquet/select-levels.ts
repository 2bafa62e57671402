/**
 * Parquet's hybrid of run-length encoding and bit packing, which holds repetition levels, definition levels and
 * dictionary indices (apache/parquet-format, Encodings.md, "RLE").
 */
import { InternalError } from "../../core/errors.ts";

export type Small = Uint8Array | Int32Array;

/** Bits that hold the numbers 0 to `max`. */
export function bitWidth(max: number): number {
  return 32 - Math.clz32(max);
}

/** Reads `count` numbers of `width` bits (0 to 24) from bytes[start..end) into the front of `into`. */
export function decodeHybrid(bytes: Uint8Array, start: number, end: number, width: number, count: number, into: Small): void {
  let at = start;
  for (let done = 0; done < count; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || at > end) throw new InternalError("Parquet levels end early");
      header |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (header & 1) {
      const numValues = Math.min((header >>> 1) * 8, count - done);
      unpack(bytes, at, width, numValues, into, done);
      at += (header >>> 1) * width;
      done += numValues;
    } else {
      let value = 0;
      for (let shift = 0; shift < width; shift += 8) value |= bytes[at++]! << shift;
      const numValues = Math.min(header >>> 1, count - done);
      into.fill(value, done, done + numValues);
      done += numValues;
    }
  }
}

/** The number that all `count` are, if they begin with one run that says so. */
export function repeatedLevel(bytes: Uint8Array, start: number, count: number, width: number): number | undefined {
  let header = 0;
  let at = start;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0;
    header |= (byte & 127) << shift;
    if (byte < 128) break;
  }
  return width <= 8 && (header & 1) === 0 && header >>> 1 >= count ? bytes[at] : undefined;
}

function unpack(bytes: Uint8Array, start: number, width: number, count: number, into: Small, offset: number): void {
  if (width === 1) {
    const whole = count & ~7;
    for (let i = 0; i < whole; i += 8) {
      const byte = bytes[start + (i >> 3)]!;
      const to = offset + i;
      into[to] = byte & 1;
      into[to + 1] = (byte >> 1) & 1;
      into[to + 2] = (byte >> 2) & 1;
      into[to + 3] = (byte >> 3) & 1;
      into[to + 4] = (byte >> 4) & 1;
      into[to + 5] = (byte >> 5) & 1;
      into[to + 6] = (byte >> 6) & 1;
      into[to + 7] = byte >> 7;
    }
    for (let i = whole; i < count; i++) into[offset + i] = (bytes[start + (i >> 3)]! >> (i & 7)) & 1;
    return;
  }
  const mask = (1 << width) - 1;
  const words = littleEndianWords(bytes, start, Math.ceil((count * width) / 8));
  let word = words[0]!;
  let bit = 0;
  for (let i = 0, next = 1; i < count; i++) {
    let value = word >>> bit;
    bit += width;
    if (bit >= 32) {
      bit -= 32;
      word = words[next++]!;
      // The number's upper bits, if it lies across the two words.
      if (bit > 0) value |= word << (width - bit);
    }
    into[offset + i] = value & mask;
  }
}

/** Aligned, with at least one word behind the last byte. */
function littleEndianWords(bytes: Uint8Array, start: number, length: number): Uint32Array {
  const words = new Uint32Array((length >> 2) + 2);
  new Uint8Array(words.buffer).set(bytes.subarray(start, start + length));
  return words;
}

/** The first `count` numbers as one bit-packed run, or one repeated run where all are equal. `width` is 0 to 24 bits. */
export function encodeHybrid(values: Small, count: number, width: number): Uint8Array {
  if (count === 0) return new Uint8Array(0);
  return isConstant(values, count) ? encodeRun(values[0]!, count, width) : encodePacked(values, count, width);
}

/** `count` times `value`. */
export function encodeRun(value: number, count: number, width: number): Uint8Array {
  const bytes = varint(count * 2);
  for (let shift = 0; shift < width; shift += 8) bytes.push((value >>> shift) & 255);
  return Uint8Array.from(bytes);
}

function encodePacked(values: Small, count: number, width: number): Uint8Array {
  const numGroups = (count + 7) >> 3;
  const header = varint(numGroups * 2 + 1);
  const packed = width === 1 ? packBits(values, count) : packWords(values, count, width);
  const bytes = new Uint8Array(header.length + numGroups * width);
  bytes.set(header);
  bytes.set(packed.subarray(0, numGroups * width), header.length);
  return bytes;
}

function packBits(values: Small, count: number): Uint8Array {
  const bytes = new Uint8Array((count + 7) >> 3);
  const whole = count & ~7;
  for (let i = 0; i < whole; i += 8) {
    bytes[i >> 3] =
      values[i]! | (values[i + 1]! << 1) | (values[i + 2]! << 2) | (values[i + 3]! << 3) | (values[i + 4]! << 4) | (values[i + 5]! << 5) | (values[i + 6]! << 6) | (values[i + 7]! << 7);
  }
  for (let i = whole; i < count; i++) bytes[i >> 3]! |= values[i]! << (i & 7);
  return bytes;
}

/** Filled up with zeros. */
function packWords(values: Small, count: number, width: number): Uint8Array {
  const words = new Uint32Array((((count + 7) >> 3) * width + 3) >> 2);
  let word = 0;
  let bit = 0;
  let at = 0;
  for (let i = 0; i < count; i++) {
    const value = values[i]!;
    word |= value << bit;
    bit += width;
    if (bit < 32) continue;
    words[at++] = word;
    bit -= 32;
    word = bit > 0 ? value >>> (width - bit) : 0;
  }
  if (bit > 0) words[at] = word;
  return new Uint8Array(words.buffer);
}

function isConstant(values: Small, count: number): boolean {
  for (let i = 1; i < count; i++) if (values[i] !== values[0]) return false;
  return true;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  bytes.push(value);
  return bytes;
}
