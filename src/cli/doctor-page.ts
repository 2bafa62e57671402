import type { Float64, Int32, List, RecordBatch } from "apache-arrow";
import type { ExaminedPlan, ScorerReport } from "../config/build-plan.ts";
import type { Plan } from "../core/plan.ts";
import { columnData, isNull, numericListValue, utf8ListValue, utf8Values } from "../core/record-batch.ts";
import type { GoldenComparison } from "../doctor/compare-golden.ts";
import { describeTokens } from "../doctor/describe-tokens.ts";
import type { Trial } from "../engine/try-samples.ts";
import { type Colors, printable } from "./colors.ts";
import { formatDuration, formatNats, formatShort } from "./format-numbers.ts";
import { cardText } from "./plan-page.ts";
import { shortPath } from "./summary.ts";

/** Tokens that a sample's line shows. */
const TOKENS_SHOWN = 5;
const SAMPLES_SHOWN = 8;

/** What `pipeline doctor` prints. */
export function renderDoctor({ plan, model: loaded, card, scorerReport }: ExaminedPlan, trial: Trial, colors: Colors): string {
  const model = plan.describeModel();
  const report = scorerReport();
  const { num_workers, num_threads } = plan.resources;
  const line = (label: string, text: string): string => `${label.padEnd(11)}${text}`;
  const lines = [
    line("model", `${shortPath(String(model["path"]))} (${String(model["model_type"])}, ${String(model["dtype"])}, template ${String(model["template"])}, up to ${String(model["max_length"])} tokens)`),
  ];
  if (report !== undefined) {
    const head = report.head.kind === "answer_rows" ? "answer rows only" : `full logits${report.head.reason ? `: ${report.head.reason}` : ""}`;
    lines.push(line("provider", `${report.execution_provider}, ${num_workers} process(es) of ${num_threads} thread(s); head: ${head}`));
    if (card !== undefined) lines.push(line("card", cardText(card)));
    lines.push(...report.placement.map((placed) => line("placed", placementText(placed))));
    for (const graph of report.graphs) {
      lines.push(line("graph", colors.bold(graph.name)), `           in   ${withoutPast(graph.inputs)}`, `           out  ${graph.outputs.join(", ")}`);
    }
  }
  for (const { message } of plan.warnings) lines.push(line("warning", colors.yellow(printable(message))));
  lines.push(...speedLines(plan, trial).map((text, index) => line(index === 0 ? "speed" : "", text)));
  lines.push("", ...tokenLines(trial.prepared, loaded, colors));
  lines.push("", ...sampleLines(trial.scores, colors), ...rejectLines(trial.rejects, colors));
  return `${lines.join("\n")}\n`;
}

/** The comparison with a golden file, a line a variant. */
export function renderGolden({ num_samples, num_left_out, variants, mismatches }: GoldenComparison, tolerance: number, colors: Colors): string {
  const leftOut = num_left_out === 0 ? "" : `, ${num_left_out} that need other settings left out`;
  const tokens = mismatches.length === 0 ? "tokens equal" : colors.yellow(`${mismatches.length} with other tokens`);
  const lines = variants.map(({ variant, num_tokens, worst, mean, at }) => {
    if (at === undefined) return `${variant.padEnd(11)}no token to compare`;
    const verdict = worst <= tolerance ? `within ${tolerance}` : colors.yellow(`over ${tolerance}`);
    const place = `${printable(at.sample_id)}, answer token ${at.token} ${printable(JSON.stringify(at.text.trim()))}`;
    return `${variant.padEnd(11)}worst |difference| ${worst.toExponential(1)} nats (${place}), mean ${mean.toExponential(1)} over ${num_tokens} tokens: ${verdict}`;
  });
  return `\n${["golden".padEnd(11) + `${num_samples} samples${leftOut}; ${tokens}`, ...lines, ...mismatches.map((text) => colors.yellow(printable(text)))].join("\n")}\n`;
}

/** The first sample as the model reads it. */
function tokenLines(prepared: RecordBatch, model: ExaminedPlan["model"], colors: Colors): string[] {
  if (prepared.numRows === 0) return [];
  const count = (name: string) => columnData<Int32>(prepared, name).values[0]!;
  const list = (name: string) => numericListValue<Int32Array>(columnData<List>(prepared, name), 0)!;
  const lines = describeTokens(model, {
    input_ids: list("input_ids"),
    answer_positions: list("answer_positions"),
    token_text: utf8ListValue(columnData<List>(prepared, "token_text"), 0),
    num_truncated: count("num_truncated"),
    num_unknown: count("num_unknown"),
  });
  return [colors.dim(`tokens of ${printable(utf8Values(prepared, "sample_id")[0]!)}: position, id, text; > is supervised`), ...lines.map(printable)];
}

/** Inputs with the past of all layers as one. */
function withoutPast(inputs: readonly string[]): string {
  const past = inputs.filter((input) => input.startsWith("past_key_values."));
  const others = inputs.filter((input) => !past.includes(input));
  return [...others, ...(past.length > 2 ? [`${past[0]!} and ${past.length - 1} more of the past`] : past)].join(", ");
}

function placementText({ graph, device, num_on_device, num_on_host, host_operators }: ScorerReport["placement"][number]): string {
  const floats = host_operators.length === 0 ? "" : `, of floats ${host_operators.join(", ")}`;
  return `${graph}: ${num_on_device} nodes on ${device}, ${num_on_host} on the host${floats}`;
}

function speedLines(plan: Plan, { scores, load_ms, warm_ms, stage_ms }: Trial): string[] {
  const numTokens = columnData<Int32>(scores, "num_tokens").values.subarray(0, scores.numRows).reduce((sum, value) => sum + value, 0);
  const perSecond = (count: number): string => formatShort((1000 * count) / warm_ms);
  const { num_positions, num_padding, session_ms, host_ms } = plan.inferenceStatistics();
  const padding = num_positions === 0 ? "" : `, ${((100 * num_padding) / num_positions).toFixed(0)} % padding`;
  return [
    `${perSecond(scores.numRows)} samples/s, ${perSecond(numTokens)} answer tokens/s on one batch after the other; loaded in ${formatDuration(load_ms)}`,
    `stages, twice through: ${Object.entries(stage_ms).map(([stage, ms]) => `${stage} ${formatDuration(ms)}`).join(", ")}; inside session.run ${formatDuration(session_ms)}, beside it in its process ${formatDuration(host_ms)}${padding}`,
  ];
}

function sampleLines(scores: RecordBatch, colors: Colors): string[] {
  const ids = utf8Values(scores, "sample_id");
  const vig = columnData<Float64>(scores, "vig");
  const [nllImage, nllBlur] = ["nll_image", "nll_blur"].map((name) => columnData<Float64>(scores, name).values);
  const shown = ids.slice(0, SAMPLES_SHOWN).map((id, row) => {
    const name = id.length > 24 ? `${id.slice(0, 23)}…` : id.padEnd(24);
    if (isNull(vig, row)) return `${printable(name)}  text-only`;
    return `${printable(name)} ${formatNats(vig.values[row]!).padStart(8)} ${formatNats(nllImage![row]!).padStart(9)} ${formatNats(nllBlur![row]!).padStart(9)}  ${strongestTokens(scores, row)}`;
  });
  const rest = ids.length > SAMPLES_SHOWN ? [colors.dim(`and ${ids.length - SAMPLES_SHOWN} more`)] : [];
  return [colors.dim(`${"sample".padEnd(24)} ${"vig".padStart(8)} ${"nll_image".padStart(9)} ${"nll_blur".padStart(9)}  answer tokens with the highest VIG`), ...shown, ...rest];
}

function strongestTokens(scores: RecordBatch, row: number): string {
  const texts = utf8ListValue(columnData<List>(scores, "token_text"), row);
  const vigs = numericListValue<Float32Array>(columnData<List>(scores, "token_vig"), row)!;
  const order = Array.from(vigs.keys()).sort((a, b) => vigs[b]! - vigs[a]!);
  return order.slice(0, TOKENS_SHOWN).map((t) => `${printable(JSON.stringify(texts[t]!.trim()))} ${vigs[t]!.toFixed(2)}`).join(", ");
}

function rejectLines(rejects: RecordBatch, colors: Colors): string[] {
  const [ids, codes, messages] = ["sample_id", "code", "message"].map((name) => utf8Values(rejects, name));
  return ids!.map((id, row) => `${colors.yellow("rejected")} ${printable(id)}: ${codes![row]!}: ${printable(messages![row]!)}`);
}
