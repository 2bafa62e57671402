import { RecordBatchStreamWriter, type Schema } from "apache-arrow";
import { scoresSchema } from "../core/columns.ts";
import type { Plan } from "../core/plan.ts";
import { maskingSchema, PROTOCOL_VERSION, scoringSchema } from "./protocol.ts";

/** What a scheduler has to know before it starts workers. Opens neither model nor data. */
export async function describeWorker(plan: Plan): Promise<Record<string, unknown>> {
  const passedThrough = plan.schema.samples.fields.filter(({ name }) => !scoresSchema.names.includes(name));
  return {
    protocol: PROTOCOL_VERSION,
    name: plan.name,
    scores_hash: plan.scores_hash,
    plan_hash: plan.plan_hash,
    targets: await plan.threshold.targets(),
    mask: plan.mask.config,
    max_reject_fraction: plan.max_reject_fraction,
    output: { path: plan.output.path, compression: plan.output.compression },
    input: { ...(await plan.source.describe()) },
    model: plan.describeModel(),
    blur: plan.blur,
    resources: plan.resources,
    plan: plan.canonical,
    versions: plan.versions,
    warnings: plan.warnings,
    /** Arrow IPC streams without batches, in base64. */
    schemas: {
      scores: base64(plan.schema.samples),
      scoring: base64(scoringSchema(plan.schema.samples)),
      selection: base64(plan.mask.outputSchema(plan.schema.samples, passedThrough)),
      masking: base64(maskingSchema(plan.mask.outputSchema(plan.schema.samples, passedThrough))),
    },
  };
}

function base64(schema: Schema): string {
  const writer = new RecordBatchStreamWriter();
  writer.reset(undefined, schema);
  writer.finish();
  return Buffer.from(writer.toUint8Array(true)).toString("base64");
}
