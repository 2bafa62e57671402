/** What goes over a worker's pipes (docs/worker-protocol.md). Raise the version when an old parent would misunderstand. */
import { Field, Int32, Schema, Utf8 } from "apache-arrow";

export const PROTOCOL_VERSION = 1;

/** Keys of the schema's metadata, which is each stream's first message. */
export const KEYS = {
  protocol: "vig_pipeline.protocol",
  mode: "vig_pipeline.mode",
  tau: "vig_pipeline.tau",
  emit: "vig_pipeline.emit",
  scoresHash: "vig_pipeline.scores_hash",
} as const;

/** What a row that comes back is. */
export type RowKind = "score" | "reject" | "split" | "selected" | "counts" | "error";

const text = (name: string, nullable: boolean): Field => new Field(name, new Utf8(), nullable);

export const KIND = text("kind", false);
/** JSON: of a split its SplitRecord, of `counts` the mask's, of an error what, why and what to do. */
export const RECORD = text("record", true);
const SPLIT = new Field("split", new Int32(), true);
/** Place in the split, from 0. */
const ROW = new Field("row", new Int32(), true);

/** What a scoring job gives: scores' columns hold nulls in rows of other kinds. */
export function scoringSchema(scores: Schema): Schema {
  const nullable = scores.fields.map((field) => new Field(field.name, field.type, true));
  return new Schema([KIND, SPLIT, ROW, ...nullable, text("stage", true), text("code", true), text("message", true), RECORD]);
}

/** What a masking job gives. `selection`: the mask's schema; absent where only counts are wanted. */
export function maskingSchema(selection: Schema | undefined): Schema {
  return new Schema([KIND, ...(selection?.fields ?? []).map((field) => new Field(field.name, field.type, true)), RECORD]);
}

export const ERROR_SCHEMA = new Schema([KIND, RECORD]);

export function withMetadata(schema: Schema, metadata: Readonly<Record<string, string>>): Schema {
  return new Schema(schema.fields, new Map(Object.entries(metadata)));
}
