/** A checked configuration to a plan: stages, schemas, hashes. `checkPlan` touches nothing; `buildPlan` reads the model's folder. */
import path from "node:path";
import type { Schema } from "apache-arrow";
import { samplesSchema } from "../core/columns.ts";
import type { InferenceStatistics, Plan } from "../core/plan.ts";
import type { SourceChange } from "../core/source.ts";
import { openOutputFolder } from "../io/output/output-folder.ts";
import { openShardFolder } from "../io/output/shard-folder.ts";
import { openSource, sourceIdentity } from "../io/sources/open-source.ts";
import type { ModelDescription, ScorerReport, ScoreStatistics } from "../model/contract.ts";
import { deviceClass } from "../model/device.ts";
import { type LoadedModel, loadModel } from "../model/load-model.ts";
import { describeBlur } from "../stages/blur.ts";
import { packInferenceBatches } from "../stages/inference-batches.ts";
import { topPercentTarget } from "../stages/quantile-threshold.ts";
import { type BuiltStages, buildStages, flowSchemas, type SchemaStep, unreadModel } from "./build-stages.ts";
import { canonicalDigest } from "./canonical-json.ts";
import { type CardShare, shareCard } from "./card-share.ts";
import { libraryVersions } from "./library-versions.ts";
import { weightsOf } from "./memory-estimate.ts";
import type { PipelineConfig } from "./pipeline-config.ts";
import { recordingSource } from "./recorded-source.ts";
import { resolveResources } from "./resources.ts";
import { type LoadedModule, loadStageModules } from "./stage-modules.ts";

export type { ScorerReport } from "../model/contract.ts";

export interface CheckedPlan {
  /** Kinds of all stages in their order, the implicit one included. */
  readonly stages: readonly string[];
  readonly steps: readonly SchemaStep[];
  readonly selection: Schema;
}

/** The plan as far as it can be known without opening model or data; modules are loaded. Throws PlanError, ConfigError. */
export async function checkPlan(config: PipelineConfig): Promise<CheckedPlan> {
  const devices = devicesOf(config);
  const modules = await loadStageModules(config.modules);
  const stages = buildStages(config.stages, { modules, model: unreadModel(config.model.path), devices, resources: resolveResources(config.resources, devices) });
  const { steps, selection } = flowSchemas(stages, samplesSchema);
  return { stages: [...stages.map, stages.threshold, stages.mask].map((stage) => stage.kind), steps, selection };
}

export interface BuildPlanOptions {
  /** Selections to make in place of the configured ones, in percent: `pipeline select --top`. */
  readonly topPercents?: readonly number[];
  /** What is read in place of the source as it is: other images, for an analysis. */
  readonly sourceChange?: SourceChange;
}

/** Loads modules, reads and checks the model's folder and the input's schema; starts nothing. Throws PlanError, ConfigError. */
export async function buildPlan(config: PipelineConfig, options: BuildPlanOptions = {}): Promise<Plan> {
  return (await examinePlan(config, options)).plan;
}

/** A plan with what it was made from, for those who print it. */
export interface ExaminedPlan {
  readonly plan: Plan;
  readonly model: LoadedModel;
  readonly steps: readonly SchemaStep[];
  readonly selection: Schema;
  /** On CUDA: how a card is shared where the configuration does not say. */
  readonly card?: CardShare;
  /** What the loaded model said of itself; undefined before a stage has been opened. */
  readonly scorerReport: () => ScorerReport | undefined;
}

export async function examinePlan(config: PipelineConfig, { topPercents, sourceChange }: BuildPlanOptions = {}): Promise<ExaminedPlan> {
  const devices = devicesOf(config);
  const modules = await loadStageModules(config.modules);
  const [model, opened] = await Promise.all([loadModel(config.model), openSource(config.source, path.sep)]);
  const source = sourceChange ? sourceChange.apply(opened) : opened;
  const card = devices.every((device) => deviceClass(device) === "cuda") ? await shareCard(model, config.stages.paired_inference.max_batch_tokens) : undefined;
  const resources = resolveResources(config.resources, devices, card ? { processes_per_device: card.num_processes } : { weights_bytes: await weightsOf(model) });
  const inference = new InferenceRecord(model.description);
  const stages = buildStages(config.stages, {
    modules,
    model,
    devices,
    resources,
    onStatistics: (statistics) => inference.add(statistics),
    onScorer: ({ report }) => inference.opened(report, resources.num_workers),
  });
  const { scores: schema, steps, selection } = flowSchemas(stages, source.schema);
  const canonical = canonicalPlan(config, { model: model.description, stages, modules, scores: schema.samples, sourceChange });
  const scores_hash = canonicalDigest(canonical.scores);
  const versions = libraryVersions();
  const { path: outputPath, compression } = config.output;
  const output = { path: outputPath, compression, scores_schema: schema.samples, scores_hash, scores_plan: canonical.scores };
  const plan: Plan = {
    name: config.name,
    source: recordingSource(source, config.source),
    stages: stages.map,
    schema,
    threshold: stages.threshold,
    mask: stages.mask,
    targets: topPercents?.map(topPercentTarget) ?? null,
    packBatches: (lengths) => packInferenceBatches(lengths, config.stages.paired_inference),
    resources,
    max_reject_fraction: config.max_reject_fraction,
    output: {
      path: outputPath,
      compression,
      open: (options) => openOutputFolder({ ...options, ...output }),
      openShard: (shard, options) => openShardFolder(shard, { ...options, ...output }),
    },
    scores_hash,
    plan_hash: canonicalDigest(canonical),
    canonical,
    describeModel: () => inference.describeModel(),
    blur: { ...describeBlur(config.stages.blur), ...viewSize(model) },
    inferenceStatistics: () => inference.statistics,
    versions,
    warnings: model.warnings.map((message) => ({ code: "model", message })),
  };
  return { plan, model, steps, selection, ...(card ? { card } : {}), scorerReport: () => inference.report };
}

/** How large a view of a common photograph is: what a sigma in pixels of the model's view is a part of. */
function viewSize(model: LoadedModel): Readonly<Record<string, number>> {
  const view = model.views({ width: 640, height: 480 })[0];
  return view ? { view_shorter_side_px: Math.min(view.size.width, view.size.height) } : {};
}

/** Collects what the scorer says while the run goes on. */
class InferenceRecord {
  report: ScorerReport | undefined;
  statistics: InferenceStatistics = { num_processes: 0, session_ms: 0, host_ms: 0, idle_ms: 0, num_positions: 0, num_padding: 0 };
  readonly #model: ModelDescription;

  constructor(model: ModelDescription) {
    this.#model = model;
  }

  opened(report: ScorerReport, num_processes: number): void {
    this.report = report;
    this.statistics = { ...this.statistics, num_processes };
  }

  add({ session_ms, host_ms, idle_ms, num_positions, num_padding }: ScoreStatistics): void {
    const sum = this.statistics;
    this.statistics = {
      num_processes: sum.num_processes,
      session_ms: sum.session_ms + session_ms,
      host_ms: sum.host_ms + host_ms,
      idle_ms: sum.idle_ms + idle_ms,
      num_positions: sum.num_positions + num_positions,
      num_padding: sum.num_padding + num_padding,
    };
  }

  describeModel(): Readonly<Record<string, unknown>> {
    const { execution_provider, head } = this.report ?? {};
    return { ...this.#model, ...(execution_provider === undefined ? {} : { execution_provider, head }) };
  }
}

export function devicesOf(config: PipelineConfig): readonly string[] {
  return typeof config.model.device === "string" ? [config.model.device] : config.model.device;
}

/** Raised when what the canonical plan holds changes its meaning. */
const CANONICAL_VERSION = 1;

interface CanonicalParts {
  readonly model: ModelDescription;
  readonly stages: BuiltStages;
  readonly modules: readonly LoadedModule[];
  readonly scores: Schema;
  readonly sourceChange: SourceChange | undefined;
}

/** Everything that changes a stored score, and what changes a selection. Places of files are no part of it, their content is. */
function canonicalPlan(config: PipelineConfig, { model, stages, modules, scores, sourceChange }: CanonicalParts): Plan["canonical"] {
  const digestOf = (kind: string) => modules.find(({ stage }) => stage.kind === kind)?.digest;
  const stageEntry = (stage: { readonly kind: string; readonly version: number; readonly config: unknown }) => ({
    kind: stage.kind,
    version: stage.version,
    // What blur does, not how it was written: an omitted sigma and its default are one plan.
    config: stage.kind === "blur" ? describeBlur(config.stages.blur) : stage.config,
    module: digestOf(stage.kind),
  });
  return {
    scores: {
      canonical_version: CANONICAL_VERSION,
      source: { ...sourceIdentity(config.source), ...sourceChange?.identity },
      model: {
        ...without(model, ["path"]),
        // What the description does not hold in its resolved form.
        ...without(config.model, ["path", "device", "dtype", "max_length", "template"]),
        // cpu, cuda and webgpu differ in the last bits; cuda:0 and cuda:1 do not.
        device_classes: [...new Set(devicesOf(config).map(deviceClass))].sort(),
      },
      stages: stages.map.map(stageEntry),
      schema: scores.fields.map((field) => `${field.name}: ${String(field.type)}${field.nullable ? " | null" : ""}`),
    },
    selection: { stages: [stages.threshold, stages.mask].map(stageEntry) },
  };
}

function without(record: object, keys: readonly string[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));
}
