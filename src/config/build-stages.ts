/** The stages of a configuration, and the schemas that flow through them. */
import type { Schema } from "apache-arrow";
import { imagesSchema, NLL_COLUMNS, PREPARED_COLUMNS, SAMPLE_COLUMNS, scoresSchema, selectionSchema } from "../core/columns.ts";
import { InternalError, PlanError } from "../core/errors.ts";
import type { Resources } from "../core/plan.ts";
import type { MaskStage, ThresholdStage } from "../core/selection.ts";
import type { BatchSchema, MapStage } from "../core/stage.ts";
import type { Model, ScoreStatistics, Scorer } from "../model/contract.ts";
import { blur } from "../stages/blur.ts";
import { decode } from "../stages/decode.ts";
import { mask } from "../stages/mask.ts";
import { pairedInference } from "../stages/paired-inference.ts";
import { quantileThreshold } from "../stages/quantile-threshold.ts";
import { tokenDelta } from "../stages/token-delta.ts";
import { tokenize } from "../stages/tokenize.ts";
import type { StageConfigs } from "./pipeline-config.ts";
import type { LoadedModule } from "./stage-modules.ts";

export interface StageParts {
  /** Stages of the user's own. */
  readonly modules?: readonly LoadedModule[];
  readonly model: Model;
  readonly devices: readonly string[];
  readonly resources: Resources;
  readonly onStatistics?: (statistics: ScoreStatistics) => void;
  readonly onScorer?: (scorer: Scorer) => void;
}

export interface BuiltStages {
  /** tokenize (implicit), decode, blur, paired_inference, token_delta; modules among them. */
  readonly map: readonly MapStage[];
  readonly threshold: ThresholdStage;
  readonly mask: MaskStage;
}

export function buildStages(configs: StageConfigs, { modules = [], model, devices, resources, onStatistics, onScorer }: StageParts): BuiltStages {
  const { num_workers, num_threads } = resources;
  return {
    map: withModules(modules, [
      tokenize(model, configs.decode),
      decode(configs.decode, { model, keepSource: configs.blur.at === "source" }),
      blur(configs.blur, { model, num_threads: num_workers * num_threads }),
      pairedInference(configs.paired_inference, {
        model,
        scorer: { num_workers, num_threads, devices },
        ...(onStatistics ? { onStatistics } : {}),
        ...(onScorer ? { onScorer } : {}),
      }),
      tokenDelta(configs.token_delta),
    ]),
    threshold: quantileThreshold(configs.quantile_threshold),
    mask: mask(configs.mask),
  };
}

function withModules(modules: readonly LoadedModule[], stages: readonly MapStage[]): readonly MapStage[] {
  const before = (kind: string) => modules.filter((module) => module.before === kind).map(({ stage }) => stage);
  return [...stages.flatMap((stage) => [...before(stage.kind), stage]), ...before("quantile_threshold")];
}

export interface SchemaStep {
  readonly kind: string;
  readonly schema: BatchSchema;
}

/** The schema behind every stage. Throws PlanError where one does not get what it needs. */
export function flowSchemas(stages: BuiltStages, samples: Schema): { readonly steps: readonly SchemaStep[]; readonly scores: BatchSchema; readonly selection: Schema } {
  refuseReservedNames(samples);
  let schema: BatchSchema = { samples, images: imagesSchema };
  const steps = stages.map.map((stage): SchemaStep => {
    schema = stage.outputSchema(schema);
    return { kind: stage.kind, schema };
  });
  const passedThrough = schema.samples.fields.slice(scoresSchema.fields.length);
  checkScores(schema.samples);
  return { steps, scores: schema, selection: stages.mask.outputSchema(schema.samples, passedThrough) };
}

/** Names of columns that the stages make; a passed-through column can't have one of them. */
const RESERVED_NAMES = new Set([...PREPARED_COLUMNS, ...NLL_COLUMNS, ...scoresSchema.fields, ...selectionSchema.fields].map((field) => field.name));
const SAMPLE_NAMES = new Set(SAMPLE_COLUMNS.map((field) => field.name));

function refuseReservedNames(samples: Schema): void {
  const clash = samples.fields.find(({ name }) => !SAMPLE_NAMES.has(name) && RESERVED_NAMES.has(name));
  if (clash) throw new PlanError(`the input column ${clash.name} has the name of a column that the stages make`, { remedy: "rename it, or leave it out of the passed-through columns" });
}

function checkScores(found: Schema): void {
  const wrong = scoresSchema.fields.find((field, index) => found.fields[index]?.name !== field.name || String(found.fields[index]?.type) !== String(field.type));
  if (wrong) throw new InternalError(`the stages do not make the column ${String(wrong.name)} of scores`);
}

/** Stands for the model where only schemas are asked for: no file of it has been read. */
export function unreadModel(path: string): Model {
  const refuse = (): never => {
    throw new InternalError("the model has not been read");
  };
  const description = { path, model_type: "", dtype: "", digests: {}, max_length: 0, template: "" };
  return { description, warnings: [], needs_image_sizes: false, prepare: refuse, views: refuse, openScorer: refuse };
}
