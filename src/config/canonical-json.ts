import { createHash } from "node:crypto";
import { InternalError } from "../core/errors.ts";

/**
 * JSON in one form only: keys sorted by code units, no spaces, absent and undefined alike, -0 as 0. Equal data gives
 * equal text. Throws InternalError for what JSON can't hold (NaN, Infinity, functions).
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object") {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(",")}}`;
  }
  throw new InternalError(`a plan can't hold a ${typeof value}${typeof value === "number" ? ` (${value})` : ""}`);
}

/** sha256 (hex) over the canonical JSON. */
export function canonicalDigest(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
