import type { ExportFormat } from "./format.ts";
import { hfParquet } from "./hf-parquet.ts";
import { jsonl } from "./jsonl.ts";
import { llamafactory } from "./llamafactory.ts";
import { llavaJson } from "./llava-json.ts";
import { swiftJsonl } from "./swift-jsonl.ts";

/** Every format of `pipeline export --to`, one line each. */
export const FORMATS = {
  "llava-json": llavaJson,
  llamafactory,
  "swift-jsonl": swiftJsonl,
  "hf-parquet": hfParquet,
  jsonl,
} as const satisfies Record<string, ExportFormat>;

export type FormatName = keyof typeof FORMATS;

export const FORMAT_NAMES = Object.keys(FORMATS) as readonly FormatName[];
