/**
 * The configuration's shape: the one source of its types, its validation, `schemas/pipeline.schema.json` and
 * `docs/configuration.md`. Sources, model and stages bring their own parts.
 */
import { z } from "zod";
import { sourceConfig } from "../io/sources/open-source.ts";
import { modelConfig } from "../model/model-config.ts";
import { STAGE_CONFIGS, type StageKind } from "./stage-kinds.ts";
import { moduleConfig, type StageModule } from "./stage-modules.ts";

export const outputConfig = z
  .strictObject({
    path: z.string().min(1).describe("Folder for scores, selection, rejects and manifest; made where it is missing. Relative to this file."),
    compression: z.enum(["zstd", "snappy", "none"]).default("zstd").describe("Of the Parquet files. zstd is the smallest; snappy for readers that lack it."),
    report: z.boolean().default(true).describe("Write report.html, one self-contained page about the run, beside the data (docs/report.md). `pipeline report` writes it at any later time."),
  })
  .describe("Where the result goes.");

export const resourcesConfig = z
  .strictObject({
    num_workers: z.int().min(1).max(256).optional().describe("Inference processes; each holds the model. Default: one for each device, two where a CUDA card has room for both (docs/gpu.md); on the CPU one for every four cores, at least one; for a model under 100 MiB one for each core, up to 8."),
    num_threads: z.int().min(1).max(256).optional().describe("Threads of one inference process. Default: the cores divided among the workers."),
    num_lanes: z.int().min(1).max(256).optional().describe("Splits in work at once. Best a multiple of num_workers. Default: num_workers."),
  })
  .describe("What the run may use at once. Changes speed and memory, never a stored number; not part of the plan hash.");

/** `- kind: { ... }`: one key, the stage's kind. */
const stageItem = z.union([
  ...(Object.keys(STAGE_CONFIGS) as StageKind[]).map((kind) => z.strictObject({ [kind]: STAGE_CONFIGS[kind] })),
  z.strictObject({ module: moduleConfig }),
]);

export const pipelineConfig = z
  .strictObject({
    version: z.literal(1).describe("Version of this format."),
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, "a name has 1 to 100 letters, digits, dots, dashes and underscores, and begins with a letter or digit")
      .describe("Name of the job, in logs, metrics and the manifest."),
    source: sourceConfig.describe("What is read."),
    model: modelConfig.describe("The aligned vision language model that scores."),
    stages: z.array(stageItem).describe("The stages in their order: decode, blur, paired_inference, token_delta, quantile_threshold, mask."),
    output: outputConfig,
    max_reject_fraction: z.number().min(0).max(1).default(0.01).describe("Share of records that may be rejected; beyond it the run ends with exit code 3 and without _SUCCESS."),
    resources: resourcesConfig.prefault({}),
  })
  .describe("Configuration of vig-pipeline.");

export type StageConfigs = { readonly [Kind in StageKind]: z.output<(typeof STAGE_CONFIGS)[Kind]> };
export type SourceConfig = z.output<typeof sourceConfig>;
export type ResourcesConfig = z.output<typeof resourcesConfig>;

/** A configuration after validation: defaults filled in, paths absolute, stages by kind (their order is fixed). */
export interface PipelineConfig extends Omit<z.output<typeof pipelineConfig>, "stages"> {
  readonly stages: StageConfigs;
  /** Stages of the user's own, in their order among themselves. */
  readonly modules: readonly StageModule[];
}

/** The JSON Schema (2020-12) that editors check a configuration against. */
export function pipelineJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(pipelineConfig, { io: "input", unrepresentable: "any" });
}

/** schemas/pipeline.schema.json and what `pipeline schema` prints. */
export function renderJsonSchema(): string {
  const { $schema, ...schema } = pipelineJsonSchema();
  return `${JSON.stringify({ $schema, title: "vig-pipeline configuration", ...schema }, null, 2)}\n`;
}
