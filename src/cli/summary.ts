/** The end of a run, as a person reads it: what went in, what came out, what to look at, what to try next. */
import path from "node:path";
import { REJECT_CODES, type RejectCode } from "../core/rejects.ts";
import { type Shard, shardName } from "../core/shard.ts";
import type { InferenceStatistics, RunSummary, SelectionSummary, WordVig } from "../core/plan.ts";
import { type Colors, printable } from "./colors.ts";
import { formatCount, formatDuration, formatNats, formatShare } from "./format-numbers.ts";

export interface SummaryContext {
  readonly name: string;
  /** As the user wrote it, for the commands to try. */
  readonly configFile: string;
  readonly colors: Colors;
  readonly width: number;
  /** Whether report.html stands in the output folder. */
  readonly hasReport: boolean;
}

/** "selection@30" and a space. */
const LABEL_WIDTH = 13;
const WORDS_SHOWN = 8;

/** Ends with a newline. */
export function renderSummary(summary: RunSummary, context: SummaryContext): string {
  const { colors } = context;
  const output = shortPath(summary.output_path);
  const lines = [headline(summary, context, output), ""];
  lines.push(...samplesLines(summary));
  if (summary.inference !== undefined) lines.push(inferenceLine(summary.inference));
  for (const selection of summary.selections) lines.push(...selectionLines(selection, colors));
  lines.push(...rejectLines(summary, colors));
  if (summary.shard) return `${[...lines, "", colors.bold("try next"), `  npx pipeline merge ${quoted(context.configFile)}  ${colors.dim("once every shard is done")}`].join("\n")}\n`;
  lines.push(...wordLines(summary.words, context));
  lines.push(row("output", `${output}/  ${colors.dim(contents(summary))}`));
  if (context.hasReport) {
    lines.push(row("report", `${output}/report.html  ${colors.dim("open it in a browser to see which words looked at the image")}`));
  }
  lines.push("", colors.bold("try next"), ...nextCommands(summary, context, output).map((command) => `  ${command}`));
  return `${lines.join("\n")}\n`;
}

function headline(summary: RunSummary, { name, colors }: SummaryContext, output: string): string {
  if (summary.shard) return shardHeadline(summary, summary.shard, name, colors);
  if (summary.up_to_date) return `${colors.green("nothing to do")} ${name}: ${output} is complete and matches the configuration and the input`;
  if (!summary.success) return `${colors.red("too many rejects")} ${name}: scored and selected, but without _SUCCESS`;
  const reused = summary.num_splits_reused > 0 ? ` (${formatCount(summary.num_splits_reused)} of ${formatCount(summary.num_splits)} splits were scored before)` : "";
  return `${colors.green("done")} ${name} in ${formatDuration(summary.duration_ms)}${reused}`;
}

function shardHeadline({ up_to_date, num_splits, num_splits_reused, duration_ms }: RunSummary, shard: Shard, name: string, colors: Colors): string {
  const splits = `${formatCount(num_splits)} splits`;
  if (up_to_date) return `${colors.green("nothing to do")} shard ${shardName(shard)} of ${name}: its ${splits} are scored`;
  const reused = num_splits_reused > 0 ? `, ${formatCount(num_splits_reused)} of them before` : "";
  return `${colors.green("done")} shard ${shardName(shard)} of ${name} in ${formatDuration(duration_ms)}: its ${splits} are scored${reused}`;
}

function samplesLines({ counts }: RunSummary): string[] {
  const parts = [
    `${formatCount(counts.num_read)} read`,
    `${formatCount(counts.num_scored)} scored`,
    `${formatCount(counts.num_text_only)} text-only`,
    `${formatCount(counts.num_rejected)} rejected`,
  ];
  return [row("samples", parts.join(", "))];
}

/** Host and device apart: a device that waits shows as time beside the model or without work. */
function inferenceLine({ num_processes, session_ms, host_ms, idle_ms }: InferenceStatistics): string {
  const all = session_ms + host_ms + idle_ms;
  return row("inference", `${formatShare(session_ms, all)} inside the model (${formatDuration(session_ms)}), ${formatShare(host_ms, all)} preparing its inputs, ${formatShare(idle_ms, all)} without work; ${num_processes} process(es)`);
}

function selectionLines({ target, tau, counts }: SelectionSummary, colors: Colors): string[] {
  const rule = target.top_percent === null ? "given" : `top ${target.top_percent} percent`;
  const title = target.dataset === "selection" ? "tau" : target.dataset;
  const share = `${formatShare(counts.num_vig_active, counts.num_vig_tokens)} of answer tokens active`;
  const textOnly = counts.num_text_only > 0 ? `, and ${formatCount(counts.num_text_only)} text-only samples whole` : "";
  const lines = [
    row(title, `${colors.bold(`${formatNats(tau)} nats`)} (${rule}): ${share}`),
    row("kept", `${formatCount(counts.num_kept_vig)} of ${formatCount(counts.num_vig)} samples with an image${textOnly}`),
    row("active", `${formatCount(counts.num_active)} of ${formatCount(counts.num_tokens)} answer tokens keep their loss`),
  ];
  if (counts.num_ties > 1) lines.push(row("", colors.dim(`${formatCount(counts.num_ties)} samples have exactly this VIG; ties are kept`)));
  return lines;
}

function rejectLines({ counts }: RunSummary, colors: Colors): string[] {
  const codes = Object.entries(counts.rejects_by_code) as [RejectCode, number][];
  return codes
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .map(([code, count], index) => row(index === 0 ? "rejects" : "", `${formatCount(count)} ${code}  ${colors.dim(REJECT_CODES[code])}`));
}

function wordLines({ highest, lowest }: RunSummary["words"], { colors, width }: SummaryContext): string[] {
  if (highest.length === 0) return [];
  const cell = (word: WordVig | undefined): string => {
    if (word === undefined) return "";
    const name = printable(word.word);
    return `${name.length > 14 ? `${name.slice(0, 13)}…` : name.padEnd(14)} ${formatNats(word.mean_vig).padStart(8)} ${colors.dim(`x${formatCount(word.count)}`.padEnd(8))}`;
  };
  const indent = " ".repeat(LABEL_WIDTH);
  const isWide = width >= 80;
  const title = (text: string): string => colors.dim(text.padEnd(isWide ? 34 : 0));
  const count = Math.min(WORDS_SHOWN, Math.max(highest.length, lowest.length));
  if (isWide) {
    const lines = Array.from({ length: count }, (_, i) => `${indent}${cell(highest[i])}  ${cell(lowest[i])}`.trimEnd());
    return [row("words", `${title("highest mean VIG (nats, count)")}${title("lowest")}`.trimEnd()), ...lines];
  }
  return [
    row("words", title("highest mean VIG (nats, count)")),
    ...highest.slice(0, count).map((word) => `${indent}${cell(word)}`),
    `${indent}${title("lowest")}`,
    ...lowest.slice(0, count).map((word) => `${indent}${cell(word)}`),
  ];
}

function contents(summary: RunSummary): string {
  const datasets = summary.selections.map(({ target }) => target.dataset);
  return ["scores", ...datasets, "rejects", "manifest.json", ...(summary.success ? ["_SUCCESS"] : [])].join(", ");
}

function nextCommands(summary: RunSummary, { configFile }: SummaryContext, output: string): string[] {
  const commands: string[] = [];
  if (!summary.success) {
    commands.push(`duckdb -c "SELECT code, count(*), any_value(message) FROM '${output}/rejects/*.parquet' GROUP BY code"`);
    commands.push(`npx pipeline run ${quoted(configFile)} --retry-rejects`);
    return commands;
  }
  commands.push(`duckdb -c "SELECT source, count(*) AS n, avg(vig) AS mean_vig FROM '${output}/scores/*.parquet' GROUP BY source ORDER BY mean_vig DESC"`);
  commands.push(`npx pipeline select ${quoted(configFile)} --top 30,50`);
  return commands;
}

function row(label: string, text: string): string {
  return `${label.padEnd(LABEL_WIDTH)}${text}`;
}

/** Relative to the working folder where that is shorter. */
export function shortPath(absolute: string): string {
  const relative = path.relative(process.cwd(), absolute) || ".";
  return relative.length < absolute.length ? relative : absolute;
}

/** As one word of a shell. */
function quoted(text: string): string {
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
