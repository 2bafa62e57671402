import type { Schema } from "apache-arrow";
import { scoresSchema } from "../core/columns.ts";
import { PlanError, StageError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import { columnData, utf8Column } from "../core/record-batch.ts";
import type { Job } from "./arrow-in.ts";
import type { ArrowOut } from "./arrow-out.ts";
import { KEYS, maskingSchema, withMetadata } from "./protocol.ts";
import { taggedRows } from "./tagged-rows.ts";

/**
 * Masks at one tau: for scores the selected rows, with columns that scores lack passed through, or (`emit` counts)
 * only what they add up to, for which vig, num_tokens and token_vig are enough. One row with the counts ends the job.
 * Throws PlanError for a tau that is none and for the random mask, which is drawn over the whole data.
 */
export async function maskJob(plan: Plan, { schema, batches }: Job, out: ArrowOut, reply: Readonly<Record<string, string>>): Promise<void> {
  const isCounting = schema.metadata.get(KEYS.emit) === "counts";
  const passedThrough = schema.fields.filter(({ name }) => !scoresSchema.names.includes(name));
  const tau = tauOf(schema);
  const masker = plan.mask.open({ target: { dataset: "selection", top_percent: null, tau }, tau, num_vig: null, k: null }, isCounting ? [] : passedThrough);
  if (masker.columns !== null) {
    throw new PlanError(`the mask ${JSON.stringify(plan.mask.config)} draws over the whole data, which no worker sees`, { remedy: "make it with `pipeline select` from scores of a local or a merged run" });
  }
  const needed = isCounting ? masker.decideColumns : masker.selectColumns;
  const lacking = needed.find((name) => !schema.fields.some((field) => field.name === name));
  if (lacking !== undefined) throw new StageError(`stdin: there is no column ${lacking}`, { remedy: "send the columns of scores/; docs/worker-protocol.md" });

  const sent = maskingSchema(isCounting ? undefined : plan.mask.outputSchema(schema, passedThrough));
  await out.begin(withMetadata(sent, reply));
  for await (const batch of batches) {
    if (batch.numRows === 0) continue;
    if (isCounting) {
      masker.decide(batch);
      continue;
    }
    const rows = masker.select(batch);
    if (rows.numRows === 0) continue;
    await out.write(taggedRows(sent, "selected", rows.numRows, Object.fromEntries(rows.schema.names.map((name) => [String(name), columnData(rows, String(name))]))));
  }
  await out.write(taggedRows(sent, "counts", 1, { record: utf8Column([JSON.stringify(masker.counts())]) }));
}

/** "inf": nothing passes. */
function tauOf(schema: Schema): number {
  const text = schema.metadata.get(KEYS.tau) ?? "";
  const tau = text === "inf" ? Infinity : Number(text);
  if (text.trim() === "" || Number.isNaN(tau)) throw new PlanError(`stdin: ${KEYS.tau} is ${JSON.stringify(text)}, not a number of nats`, { remedy: `give ${KEYS.tau} in the metadata of the stream's schema` });
  return tau;
}
