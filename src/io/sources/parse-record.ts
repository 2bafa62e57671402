import { isUtf8 } from "node:buffer";
import { malformed, type RecordFields, type RecordProblem } from "./sample-record.ts";

/** A whole-number id with more digits than a number holds. Quotes within strings are escaped, so that this is no part of one. */
const LONG_ID = /("(?:id|sample_id)"\s*:\s*)(-?\d{16,})(?=\s*[,}])/g;

/** The object that the bytes are. Nesting and length have been checked by a scanner. Rejects: malformed_record. */
export function parseRecord(bytes: Buffer): RecordFields | RecordProblem {
  if (!isUtf8(bytes)) return malformed("not UTF-8");
  try {
    const value = JSON.parse(bytes.toString("utf8").replaceAll(LONG_ID, '$1"$2"')) as unknown;
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as RecordFields) : malformed("not an object");
  } catch (error) {
    return malformed(`not JSON (${(error as Error).message.slice(0, 80)})`);
  }
}
