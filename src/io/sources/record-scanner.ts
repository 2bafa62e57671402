/**
 * Finds where records begin and end in a JSON array of objects or in JSON lines, without parsing them: strings,
 * escapes and nesting are followed byte by byte. Damage costs the record that it is in and no other
 * (docs/adr/0003-record-scanner.md).
 */
import { ByteWindow } from "./byte-window.ts";

export interface ScanLimits {
  readonly max_record_bytes: number;
  /** Levels of nesting in a record. */
  readonly max_depth: number;
}

/** One record's bytes, [start, end) in the file; with `problem` where they can't be a record. */
export interface ScannedRecord {
  readonly start: number;
  readonly end: number;
  readonly problem?: string;
}

/** The scanner wants `window.more()` before it is resumed. */
export const MORE = "more";

/** What the scanner gives at the end: where the input stops inside something that it began. */
export interface ScanEnd {
  /** undefined: the input is whole. */
  readonly truncated_at?: number;
}

export type Scan = Generator<ScannedRecord | typeof MORE, ScanEnd, void>;

export type RecordFormat = "array" | "lines";

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, OPEN_LIST = 0x5b, CLOSE_LIST = 0x5d, OPEN_OBJECT = 0x7b, CLOSE_OBJECT = 0x7d, NEWLINE = 0x0a;
/** ASCII codes of an opening bracket and its closing one differ by 2. */
const OPEN_TO_CLOSE = 2;

const isSpace = (byte: number): boolean => byte === 0x20 || byte === NEWLINE || byte === 0x0d || byte === 0x09;

/** Records of the window from its start on: behind the array's `[`, or from the first line. */
export function scanRecords(window: ByteWindow, format: RecordFormat, limits: ScanLimits): Scan {
  return format === "array" ? scanArray(window, limits) : scanLines(window, limits);
}

function* scanArray(window: ByteWindow, limits: ScanLimits): Scan {
  let position = window.keep_from;
  /** The `]` last seen, a run of them as one, with nothing but spaces behind it so far. */
  let closed: { readonly start: number; end: number } | undefined;
  for (;;) {
    position = yield* skipBetween(window, position, (byte) => isSpace(byte) || byte === COMMA);
    if (position >= window.end) return closed === undefined ? { truncated_at: position } : {};
    const byte = window.byte(position);
    if (byte === CLOSE_LIST) {
      closed = { start: closed?.start ?? position, end: ++position };
      continue;
    }
    if (closed) yield { ...closed, problem: "the array ends here, yet more follows" };
    closed = undefined;
    const record = yield* scanElement(window, position, byte, limits);
    if (!record) return { truncated_at: position };
    yield record;
    position = record.end;
  }
}

/** The element that begins at `start`, whole or damaged; undefined where the input ends inside it. */
function* scanElement(window: ByteWindow, start: number, byte: number, limits: ScanLimits): Generator<typeof MORE, ScannedRecord | undefined, void> {
  if (byte !== OPEN_OBJECT && byte !== OPEN_LIST) {
    const isStray = (other: number) => other !== COMMA && other !== OPEN_OBJECT && other !== CLOSE_LIST;
    return { start, end: yield* skipWithin(window, start, start + limits.max_record_bytes, isStray), problem: "not an object" };
  }
  const found = yield* scanValue(window, start, limits);
  if (found.end !== undefined) return { start, end: found.end };
  const next = yield* findNextRecord(window, start + 1, limits);
  const ends_here = next >= window.end && window.at_end;
  if (ends_here && found.problem === undefined) return undefined;
  return { start, end: ends_here ? beforeClosing(window, start, next) : next, problem: found.problem ?? "it does not end" };
}

/** Without the array's closing bracket, where damage reaches to the end of the input. */
function beforeClosing(window: ByteWindow, start: number, end: number): number {
  const last = trimEnd(window, start, end) - 1;
  return last > start && window.byte(last) === CLOSE_LIST ? last : end;
}

function* scanLines(window: ByteWindow, limits: ScanLimits): Scan {
  let position = window.keep_from;
  for (;;) {
    position = yield* skipBetween(window, position, isSpace);
    if (position >= window.end) return {};
    const line_end = yield* skipWithin(window, position, position + limits.max_record_bytes + 1, (byte) => byte !== NEWLINE);
    if (line_end - position > limits.max_record_bytes) {
      const start = position;
      position = yield* skipBetween(window, position, (byte) => byte !== NEWLINE);
      yield { start, end: position, problem: tooLong(limits) };
      continue;
    }
    const end = trimEnd(window, position, line_end);
    const found = boundsOf(window, position, limits, end);
    const ends_inside = found.end === undefined && found.problem === undefined;
    // A last line without its newline that does not end either is where the file was cut.
    if (ends_inside && line_end === window.end && window.at_end) return { truncated_at: position };
    const problem = found.problem ?? (ends_inside ? "it does not end on its line" : found.end !== end ? "more follows behind its end" : undefined);
    yield problem === undefined ? { start: position, end } : { start: position, end, problem };
    position = line_end;
  }
}

function trimEnd(window: ByteWindow, start: number, end: number): number {
  while (end > start && isSpace(window.byte(end - 1))) end--;
  return end;
}

const tooLong = ({ max_record_bytes }: ScanLimits): string => `longer than max_record_bytes (${max_record_bytes})`;

/** The first position whose byte `skipped` refuses, or the end. What is skipped need not stay in memory. */
function* skipBetween(window: ByteWindow, position: number, skipped: (byte: number) => boolean): Generator<typeof MORE, number, void> {
  for (;;) {
    while (position < window.end && skipped(window.byte(position))) position++;
    window.keep_from = position;
    if (position < window.end || window.at_end) return position;
    yield MORE;
  }
}

/** The same within a record, at most up to `limit`. */
function* skipWithin(window: ByteWindow, position: number, limit: number, skipped: (byte: number) => boolean): Generator<typeof MORE, number, void> {
  for (;;) {
    while (position < window.end && position < limit && skipped(window.byte(position))) position++;
    if (position < window.end || position === limit || window.at_end) return position;
    yield MORE;
  }
}

interface Bounds {
  /** Behind the closing bracket. Neither end nor problem: the input ends first. */
  readonly end?: number;
  readonly problem?: string;
  /** Bytes looked at. */
  readonly num_bytes: number;
}

/** Bounds of the object or list that begins at `start`. */
function* scanValue(window: ByteWindow, start: number, limits: ScanLimits): Generator<typeof MORE, Bounds, void> {
  for (;;) {
    const found = boundsOf(window, start, limits);
    if (found.end !== undefined || found.problem !== undefined || window.at_end) return found;
    yield MORE; // and from the start again: the window grows by doubling, so this costs a factor at most
  }
}

const stack = new Uint8Array(1_024);

/** The same within the window as it is, or within [start, limit). */
function boundsOf(window: ByteWindow, start: number, { max_record_bytes, max_depth }: ScanLimits, limit = window.end): Bounds {
  const bytes = window.bytes(start, Math.min(limit, start + max_record_bytes));
  const { length } = bytes;
  let depth = 0;
  for (let i = 0; i < length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE && depth > 0) {
      const end = stringEnd(bytes, i + 1);
      if (end < 0) return { problem: "a line break or control character inside a string", num_bytes: i };
      i = end;
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      if (depth === max_depth || depth === stack.length) return { problem: `nested deeper than ${depth} levels`, num_bytes: i };
      stack[depth++] = byte + OPEN_TO_CLOSE;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
      if (depth === 0 || stack[--depth] !== byte) return { problem: "brackets do not match", num_bytes: i };
      if (depth === 0) return { end: start + i + 1, num_bytes: i };
    } else if (depth === 0) return { problem: "not an object", num_bytes: i };
  }
  return limit - start >= max_record_bytes ? { problem: tooLong({ max_record_bytes, max_depth }), num_bytes: length } : { num_bytes: length };
}

/** Why the bytes, all of them, can't be one object or list; undefined: they may be. */
export function recordProblem(bytes: Uint8Array, limits: ScanLimits): string | undefined {
  const window = ByteWindow.of(bytes);
  let start = 0;
  while (start < bytes.length && isSpace(bytes[start]!)) start++;
  const end = trimEnd(window, start, bytes.length);
  const found = boundsOf(window, start, limits, end);
  return found.problem ?? (found.end === end ? undefined : found.end === undefined ? "it does not end" : "more follows behind its end");
}

/** Index of the closing quote; the length where the bytes end first; -1 at a byte that no string may hold. */
function stringEnd(bytes: Buffer, from: number): number {
  for (let i = from; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) return i;
    if (byte === BACKSLASH) i++;
    else if (byte < 0x20) return -1;
  }
  return bytes.length;
}

/** Bytes looked at behind one damaged record, in records of the largest size, before the search gives up. */
const SEARCH_RECORDS = 16;

/**
 * Where the next whole record begins behind damage: at the first `{` from which a sample can be read. Inner objects
 * (turns) can be read as well but are no samples, so they are passed over. At most one record's largest size ahead.
 */
function* findNextRecord(window: ByteWindow, from: number, limits: ScanLimits): Generator<typeof MORE, number, void> {
  const limit = from + limits.max_record_bytes;
  let budget = limits.max_record_bytes * SEARCH_RECORDS;
  for (let candidate = from; ; candidate++) {
    candidate = yield* skipWithin(window, candidate, limit, (byte) => byte !== OPEN_OBJECT);
    if (candidate >= limit || candidate >= window.end || budget < 0) return candidate;
    const found = yield* scanValue(window, candidate, limits);
    if (found.end !== undefined && isSample(window, candidate, found.end)) return candidate;
    budget -= found.num_bytes;
  }
}

function isSample(window: ByteWindow, start: number, end: number): boolean {
  try {
    const value = JSON.parse(window.bytes(start, end).toString("utf8")) as unknown;
    return typeof value === "object" && value !== null && ("conversations" in value || "messages" in value);
  } catch {
    return false;
  }
}
