import type { Field, Schema } from "apache-arrow";
import type { SchemaStep } from "../config/build-stages.ts";
import type { CardShare } from "../config/card-share.ts";
import type { MemoryEstimate } from "../config/memory-estimate.ts";
import { imagesSchema } from "../core/columns.ts";
import type { Plan } from "../core/plan.ts";
import type { BatchSchema } from "../core/stage.ts";
import type { Colors } from "./colors.ts";
import { formatBytes, formatCount } from "./format-numbers.ts";
import { shortPath } from "./summary.ts";

/** What `pipeline plan` prints. */
export interface PrintedPlan {
  readonly plan: Plan;
  readonly steps: readonly SchemaStep[];
  readonly selection: Schema;
  readonly memory: MemoryEstimate;
  readonly card?: CardShare;
  readonly input: { readonly num_splits: number; readonly num_records: number };
}

export function renderPlan({ plan, steps, selection, memory, card, input }: PrintedPlan, colors: Colors): string {
  const { num_lanes, num_workers, num_threads } = plan.resources;
  const model = plan.describeModel();
  const line = (label: string, text: string): string => `${label.padEnd(11)}${text}`;
  const before: BatchSchema = { samples: plan.source.schema, images: imagesSchema };
  return [
    line("input", `${plan.source.kind}: ${formatCount(input.num_records)} records in ${formatCount(input.num_splits)} splits`),
    line("model", `${shortPath(String(model["path"]))} (${String(model["model_type"])}, ${String(model["dtype"])}, template ${String(model["template"])}, up to ${String(model["max_length"])} tokens)`),
    line("blur", Object.entries(plan.blur).map(([key, value]) => `${key} ${String(value)}`).join("; ")),
    line("output", `${shortPath(plan.output.path)} (${plan.output.compression})`),
    line("resources", `${num_workers} inference process(es) of ${num_threads} thread(s), ${num_lanes} split(s) at once`),
    ...(card ? [line("card", cardText(card))] : []),
    line("memory", `about ${formatBytes(memory.total_bytes)}: main process ${formatBytes(memory.main_bytes)} (pixels ${formatBytes(memory.pixels_bytes)}), each inference process ${workerText(memory)}`),
    line("hashes", `scores ${plan.scores_hash.slice(0, 12)}, plan ${plan.plan_hash.slice(0, 12)}`),
    "",
    colors.bold("phase 1: scores (split by split; each is committed and never scored again)"),
    `  ${"source".padEnd(17)} ${columns(plan.source.schema.fields)}`,
    ...steps.flatMap((step, index) => renderStep(step, steps[index - 1]?.schema ?? before)),
    `  ${"-> scores/".padEnd(17)} ${columns(plan.schema.samples.fields)}`,
    "",
    colors.bold("phase 2: selection (all splits must be done; no inference)"),
    `  ${plan.threshold.kind.padEnd(17)} ${JSON.stringify(plan.threshold.config)}`,
    `  ${plan.mask.kind.padEnd(17)} ${JSON.stringify(plan.mask.config)}`,
    `  ${"-> selection/".padEnd(17)} ${columns(selection.fields)}`,
    "",
  ].join("\n");
}

function workerText({ worker_bytes, on_device, weights_bytes, activations_bytes }: MemoryEstimate): string {
  return `${formatBytes(worker_bytes)} (${on_device ? "its weights are on the device" : `weights ${formatBytes(weights_bytes)}, a batch ${formatBytes(activations_bytes)}`})`;
}

/** What the number of processes was chosen from. */
export function cardText({ card_bytes, process_bytes, num_processes }: CardShare): string {
  const each = `a process takes up to ${formatBytes(process_bytes)}`;
  return card_bytes === undefined ? `of unknown size (nvidia-smi does not say), ${each}: one by default` : `${formatBytes(card_bytes)}, ${each}: ${num_processes} by default`;
}

/** What a stage adds to and takes from the two tables. */
function renderStep({ kind, schema }: SchemaStep, before: BatchSchema): string[] {
  const changes = (["samples", "images"] as const).flatMap((name) => {
    // The images table begins at decode.
    const earlier = name === "images" && kind === "decode" ? [] : before[name].fields;
    const isNew = (field: Field): boolean => !earlier.some((old) => old.name === field.name);
    const added = schema[name].fields.filter(isNew);
    const removed = earlier.filter((old) => !schema[name].fields.some((field) => field.name === old.name));
    return [
      ...(added.length > 0 ? [`+ ${name}: ${columns(added)}`] : []),
      ...(removed.length > 0 ? [`- ${name}: ${removed.map((field) => field.name).join(", ")}`] : []),
    ];
  });
  return (changes.length > 0 ? changes : ["unchanged"]).map((change, index) => `  ${(index === 0 ? kind : "").padEnd(17)} ${change}`);
}

function columns(fields: readonly Field[]): string {
  return fields.map((field) => `${field.name} ${String(field.type)}${field.nullable ? "?" : ""}`).join(", ");
}

export function planAsData({ plan, steps, selection, memory, card, input }: PrintedPlan): Record<string, unknown> {
  const fields = (schema: Schema): unknown => schema.fields.map((field) => ({ name: field.name, type: String(field.type), nullable: field.nullable }));
  return {
    name: plan.name,
    scores_hash: plan.scores_hash,
    plan_hash: plan.plan_hash,
    input: { kind: plan.source.kind, ...input },
    model: plan.describeModel(),
    blur: plan.blur,
    output: { path: plan.output.path, compression: plan.output.compression },
    resources: plan.resources,
    memory,
    ...(card ? { card } : {}),
    phases: [
      { name: "scores", stages: steps.map(({ kind, schema }) => ({ kind, samples: fields(schema.samples), images: fields(schema.images) })) },
      { name: "selection", stages: [plan.threshold, plan.mask].map(({ kind, config }) => ({ kind, config })) },
    ],
    schemas: { scores: fields(plan.schema.samples), selection: fields(selection) },
    versions: plan.versions,
  };
}
