import type { Schema } from "apache-arrow";
import { PlanError } from "../core/errors.ts";

/** Throws PlanError naming the first column that the stage needs and the schema lacks. */
export function requireColumns(stage: string, schema: Schema, names: readonly string[]): void {
  const missing = names.find((name) => !schema.names.includes(name));
  if (missing === undefined) return;
  throw new PlanError(`stage ${stage} needs the column ${missing}, which no earlier stage makes`, {
    remedy: `put the stage that makes it before ${stage}; what arrives is: ${schema.names.join(", ") || "no column"}`,
  });
}
