/** The parts of a manifest that a report shows. What an older or newer tool left out is simply not shown. */
import { z } from "zod";
import { PlanError } from "../core/errors.ts";

const counts = z.record(z.string(), z.number());
const record = z.record(z.string(), z.unknown());

const thresholdSchema = z.object({
  dataset: z.string(),
  top_percent: z.number().nullable(),
  tau: z.number().nullable(),
  counts: z.object({
    num_vig: z.number(),
    num_text_only: z.number(),
    num_kept_vig: z.number(),
    num_ties: z.number(),
    num_tokens: z.number(),
    num_vig_tokens: z.number(),
    num_active: z.number(),
    num_vig_active: z.number(),
  }),
});

const manifestSchema = z.object({
  name: z.string(),
  run_id: z.string(),
  started_at: z.string().optional(),
  finished_at: z.string().optional(),
  success: z.boolean(),
  plan_hash: z.string().default(""),
  input: record.default({}),
  model: record.default({}),
  blur: record.default({}),
  counts: z.object({
    num_read: z.number(),
    num_scored: z.number(),
    num_text_only: z.number(),
    num_rejected: z.number(),
    rejects_by_code: counts,
    num_tokens: z.number(),
  }),
  thresholds: z.array(thresholdSchema).min(1),
  warnings: z.array(z.object({ code: z.string(), message: z.string() })).default([]),
  duration_ms: z.number().default(0),
  duration_ms_by_phase: counts.default({}),
  stage_ms: counts.default({}),
  inference: z.object({ session_ms: z.number(), host_ms: z.number().optional(), idle_ms: z.number().optional(), num_positions: z.number(), num_padding: z.number() }).optional(),
  plan: z.object({ selection: z.object({ stages: z.array(z.object({ kind: z.string(), config: record })) }) }).optional(),
  versions: z.record(z.string(), z.string()).default({}),
});

export type RunManifest = z.infer<typeof manifestSchema>;
export type RunThreshold = z.infer<typeof thresholdSchema>;

/** Throws PlanError naming what is missing. */
export function parseManifest(text: string, path: string): RunManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new PlanError(`${path} is not JSON`, { cause, remedy: "restore it, or run again" });
  }
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new PlanError(`${path}: ${issue.path.join(".")}: ${issue.message}`, { remedy: "restore it, or run again" });
}

/** The selection that the page is about. */
export function mainThreshold({ thresholds }: RunManifest): RunThreshold {
  return thresholds.find(({ dataset }) => dataset === "selection") ?? thresholds[0]!;
}

export type Granularity = "sample" | "token" | "sample_and_token" | "random";

/** What the mask stage did. Unknown: what the method does. */
export function granularityOf(manifest: RunManifest): Granularity {
  const config = manifest.plan?.selection.stages.find((stage) => stage.kind === "mask")?.config;
  const found = config?.["granularity"];
  return found === "sample" || found === "token" || found === "random" ? found : "sample_and_token";
}
