/** Rows of a JSON array or of JSON lines, one after the other, each with the line that it begins on. */
import { type FileHandle, open } from "node:fs/promises";
import { StageError } from "../../core/errors.ts";
import { asFileError } from "../file-error.ts";
import { ByteWindow } from "./byte-window.ts";
import { parseRecord } from "./parse-record.ts";
import { MORE, scanRecords, type ScannedRecord } from "./record-scanner.ts";
import { type RecordFields, RecordProblem } from "./sample-record.ts";

export interface JsonRow {
  /** From 1. */
  readonly line: number;
  /** The object; absent where there is none, and `problem` says why. */
  readonly fields?: RecordFields;
  readonly problem?: string;
}

const LIMITS = { max_record_bytes: 8 * 2 ** 20, max_depth: 64 };
const OPEN_LIST = 0x5b, NEWLINE = 0x0a;

/**
 * Whether it is an array or lines is seen from the content. A damaged line costs that line alone.
 * Memory bound: one row. Throws PlanError where the file can't be read, StageError where an array is damaged.
 */
export async function* readJsonRows(path: string, signal?: AbortSignal): AsyncGenerator<JsonRow, void, void> {
  const handle = await open(path).catch((error: unknown) => Promise.reject(asFileError(error, "read", path)));
  try {
    const { size } = await handle.stat();
    const { format, start, lines_before } = await findFormat(handle);
    const lines = new LineCounter(handle, lines_before);
    const window = new ByteWindow(lines, start, size);
    const scan = scanRecords(window, format, LIMITS);
    for (let next = scan.next(); ; next = scan.next()) {
      if (next.done) {
        if (next.value.truncated_at === undefined) return;
        const line = lines.lineOf(next.value.truncated_at);
        if (format === "array") throw damaged(path, line, "the file ends inside the array");
        return yield { line, problem: "the file ends inside it" };
      }
      if (next.value === MORE) {
        signal?.throwIfAborted();
        await window.more().catch((error: unknown) => Promise.reject(asFileError(error, "read", path)));
        continue;
      }
      const line = lines.lineOf(next.value.start);
      if (format === "array" && next.value.problem !== undefined) throw damaged(path, line, next.value.problem);
      yield { line, ...fieldsOf(next.value, window) };
    }
  } finally {
    await handle.close();
  }
}

function fieldsOf({ start, end, problem }: ScannedRecord, window: ByteWindow): Omit<JsonRow, "line"> {
  if (problem !== undefined) return { problem };
  const fields = parseRecord(window.bytes(start, end));
  return fields instanceof RecordProblem ? { problem: fields.message } : { fields };
}

function damaged(path: string, line: number, problem: string): StageError {
  return new StageError(`${path}:${line}: the JSON array is damaged: ${problem}`, { remedy: "correct it there; of JSON lines (one object a line) a damaged one costs itself alone" });
}

/** Whether the file is an array or lines, where its rows begin, and how many lines end before that. */
async function findFormat(handle: FileHandle): Promise<{ readonly format: "array" | "lines"; readonly start: number; readonly lines_before: number }> {
  const head = Buffer.alloc(4_096);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  const bom = head.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? 3 : 0;
  const spaces = /^\s*/.exec(head.toString("latin1", bom, bytesRead))![0];
  const first = bom + spaces.length;
  if (first >= bytesRead || head[first] !== OPEN_LIST) return { format: "lines", start: bom, lines_before: 0 };
  return { format: "array", start: first + 1, lines_before: spaces.split("\n").length - 1 };
}

/** A file that is read from start to end, and the lines that begin in what was read and not yet asked for. */
class LineCounter {
  readonly #handle: FileHandle;
  #newlines: number[] = [];
  #passed = 0;
  #line: number;

  constructor(handle: FileHandle, linesBefore: number) {
    this.#handle = handle;
    this.#line = 1 + linesBefore;
  }

  async read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }> {
    const { bytesRead } = await this.#handle.read(buffer, offset, length, position);
    for (let i = buffer.indexOf(NEWLINE, offset); i >= 0 && i < offset + bytesRead; i = buffer.indexOf(NEWLINE, i + 1)) this.#newlines.push(position + i - offset);
    return { bytesRead };
  }

  /** Positions must not go back. */
  lineOf(position: number): number {
    while (this.#passed < this.#newlines.length && this.#newlines[this.#passed]! < position) {
      this.#passed++;
      this.#line++;
    }
    if (this.#passed > 65_536) {
      this.#newlines = this.#newlines.slice(this.#passed);
      this.#passed = 0;
    }
    return this.#line;
  }
}
