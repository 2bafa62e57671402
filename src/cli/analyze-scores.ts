/** Analyses of scores that are there: tables, JSON and pictures. */
import { type Agreement, agreementOf, type RankAgreement } from "../analysis/agreement.ts";
import { type Overview, overviewOf, type VigRow } from "../analysis/overview.ts";
import { linePlotSvg } from "../analysis/plots.ts";
import { type SwapComparison, type VariantComparison, variantsIn } from "../analysis/variants.ts";
import type { Estimate } from "../metrics/estimate.ts";
import { ScoresFolder } from "../report/scores-folder.ts";
import type { WordRow } from "../report/word-table.ts";
import type { Analysis } from "./analyze.ts";
import { type Colors, printable } from "./colors.ts";
import { formatCount, formatNats, formatShare } from "./format-numbers.ts";
import { type Cell, textTable } from "./text-table.ts";

const WORDS_SHOWN = 12;
/** Of QUANTILES, what a table shows; JSON has all. */
const SHOWN_QUANTILES = [5, 25, 50, 75, 95];

export async function overview(path: string, signal: AbortSignal): Promise<Analysis> {
  return withFolders([path], async ([folder]) => {
    const found = await overviewOf(folder!, signal);
    return { json: { path: folder!.path, ...found }, lines: (colors) => overviewLines(found, colors), ...(found.all.num_samples > 0 ? { plot: () => sourcesPlot(found) } : {}) };
  });
}

export async function against(pathA: string, pathB: string, percents: readonly number[], signal: AbortSignal): Promise<Analysis> {
  return withFolders([pathA, pathB], async ([a, b]) => {
    const agreement = await agreementOf(a!, b!, percents, signal);
    return { json: { a: a!.path, b: b!.path, ...agreement }, lines: (colors) => agreementLines(agreement, colors) };
  });
}

export async function variants(path: string, names: readonly string[], signal: AbortSignal): Promise<Analysis> {
  return withFolders([path], async ([folder]) => variantAnalysis({ path: folder!.path }, await variantsIn(folder!, names, signal)));
}

export function variantAnalysis(about: object, comparison: VariantComparison | SwapComparison): Analysis {
  return { json: { ...about, ...comparison }, lines: (colors) => variantLines(comparison, colors), plot: () => variantsPlot(comparison) };
}

/** Closes them however `use` ends. */
export async function withFolders<T>(paths: readonly string[], use: (folders: readonly ScoresFolder[]) => Promise<T>): Promise<T> {
  const folders: ScoresFolder[] = [];
  try {
    for (const path of paths) folders.push(await ScoresFolder.open(path));
    return await use(folders);
  } finally {
    for (const folder of folders) await folder.close();
  }
}

// ---- overview ----

function overviewLines({ all, sources, quantiles, token_quantiles, words }: Overview, colors: Colors): string[] {
  const shown = SHOWN_QUANTILES.map((percent) => quantiles.indexOf(percent));
  const row = (name: string, one: Omit<VigRow, "source">): Cell[] => [
    name,
    formatCount(one.num_samples),
    estimate(one.mean_vig),
    ...shown.map((place) => (one.quantiles.length === 0 ? "-" : formatNats(one.quantiles[place]!))),
    formatShare(one.num_hurt, one.num_samples),
    formatShare(one.num_clearly_hurt, one.num_samples),
  ];
  const head = ["source", "samples", "mean VIG [95%]", ...SHOWN_QUANTILES.map((percent) => `${percent} %`), "hurts", "< -0.01"];
  const rows = sources.map((source) => row(source.source === null ? "(all others)" : printable(source.source) || "(none)", source));
  const lines = textTable(head, [...rows, row("all", all)], colors);
  if (all.num_text_only > 0) lines.push(colors.dim(`${formatCount(all.num_text_only)} text-only samples have no VIG`));
  lines.push("", colors.dim("Nats. hurts: samples with a VIG below 0, whose image makes the answer less likely."));
  lines.push("", ...textTable(["tokens", "count", ...SHOWN_QUANTILES.map((percent) => `${percent} %`), "hurts"], [["all", formatCount(all.num_tokens), ...shown.map((place) => (token_quantiles.length === 0 ? "-" : formatNats(token_quantiles[place]!))), formatShare(all.num_tokens_hurt, all.num_tokens)]], colors));
  if (words.parts_of_speech.length > 0) {
    lines.push("", ...textTable(["part of speech", "words", "mean VIG [95%]"], words.parts_of_speech.map((part) => [part.name, formatCount(part.count), estimate({ value: part.mean_vig, low: part.low, high: part.high })]), colors));
  }
  for (const [title, list] of [["highest words", words.highest], ["lowest words", words.lowest]] as const) {
    if (list.length > 0) lines.push("", ...textTable([title, "count", "mean VIG", ""], list.slice(0, WORDS_SHOWN).map(wordRow), colors));
  }
  if (words.stride > 1) lines.push("", colors.dim(`Words: of every ${words.stride}th sample.`));
  return lines;
}

function wordRow({ word, count, mean_vig, part_of_speech }: WordRow): Cell[] {
  return [printable(word), formatCount(count), formatNats(mean_vig), part_of_speech ?? ""];
}

/** "0.923 [0.871, 0.975]" */
export function estimate({ value, low, high }: Estimate): string {
  if (value === null) return "-";
  return low === null || high === null ? formatNats(value) : `${formatNats(value)} [${formatNats(low)}, ${formatNats(high)}]`;
}

function sourcesPlot({ quantiles, sources, all }: Overview): string {
  const line = (name: string, values: readonly number[]) => ({ name, points: values.map((y, i) => ({ x: quantiles[i]!, y })) });
  const lines = sources.filter((one) => one.quantiles.length > 0).map((one) => line(one.source === null ? "(all others)" : one.source || "(none)", one.quantiles));
  return linePlotSvg({ title: "Quantiles of sample VIG by source", x: "percent of the source's samples at or below", y: "sample VIG (nats)", lines: lines.length > 1 ? lines : [line("all", all.quantiles)] });
}

// ---- agreement ----

function agreementLines(agreement: Agreement, colors: Colors): string[] {
  const { num_joined, num_only_a, num_only_b, num_text_only, num_other_tokens, mean_vig_a, mean_vig_b, samples, tokens, selections } = agreement;
  const mean = (value: number | null): string => (value === null ? "-" : formatNats(value));
  const lines = [
    `${formatCount(num_joined)} samples in both, ${formatCount(num_only_a)} only in the first, ${formatCount(num_only_b)} only in the other; ${formatCount(num_text_only)} of them text-only`,
    `mean VIG ${mean(mean_vig_a)} and ${mean(mean_vig_b)} nats`,
    `rank correlation of sample VIG ${correlation(samples)}, of token VIG ${correlation(tokens)}`,
  ];
  if (num_other_tokens > 0) lines.push(colors.yellow(`${formatCount(num_other_tokens)} samples have other tokens in the two runs (another tokenizer?): nothing is said of their tokens`));
  const rows = selections.map(({ top_percent, tau_a, tau_b, samples: kept, tokens: active, active_share_a, active_share_b }): Cell[] => [
    `top ${top_percent} %`,
    formatNats(tau_a),
    formatNats(tau_b),
    decimal(kept.jaccard),
    decimal(kept.jaccard_by_chance),
    active === null ? "-" : `${percent(active_share_a)} / ${percent(active_share_b)}`,
    decimal(active?.jaccard ?? null),
    decimal(active?.jaccard_by_chance ?? null),
  ]);
  lines.push("", ...textTable(["selection", "tau", "tau other", "kept: overlap", "by chance", "active", "active: overlap", "by chance"], rows, colors));
  lines.push("", colors.dim("overlap: samples (tokens) that both select / that either selects. by chance: for random sets of these sizes."));
  return lines;
}

export function correlation({ rank_correlation, num_pairs, num_used }: RankAgreement): string {
  const sampled = num_used < num_pairs ? ` (of ${formatCount(num_used)} drawn at random)` : "";
  return `${decimal(rank_correlation)}${sampled}`;
}

export function decimal(value: number | null): string {
  return value === null ? "-" : value.toFixed(3);
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

// ---- variants ----

function variantLines(comparison: VariantComparison | SwapComparison, colors: Colors): string[] {
  const { quantiles, variants: rows, num_groups, in_order, pairs_in_order, num_left_out } = comparison;
  const shown = SHOWN_QUANTILES.map((one) => quantiles.indexOf(one));
  const table = rows.map(({ variant, num_samples, mean_vig, share_negative, quantiles: values }): Cell[] => [
    printable(variant),
    formatCount(num_samples),
    estimate(mean_vig),
    ...shown.map((place) => (values.length === 0 ? "-" : formatNats(values[place]!))),
    percent(share_negative.value ?? 0),
  ]);
  const lines = textTable(["image", "samples", "mean VIG [95%]", ...SHOWN_QUANTILES.map((one) => `${one} %`), "hurts"], table, colors);
  const inOrder = ({ value, low, high }: Estimate): string => (value === null ? "-" : `${percent(value)} [${(100 * low!).toFixed(1)}, ${(100 * high!).toFixed(1)}]`);
  lines.push("", `in the order ${rows.map(({ variant }) => printable(variant)).join(" > ")}: ${inOrder(in_order)} of ${formatCount(num_groups)}`);
  if (pairs_in_order.length > 1) for (const pair of pairs_in_order) lines.push(`  ${printable(pair.higher)} > ${printable(pair.lower)}: ${inOrder(pair.in_order)}`);
  if (num_left_out > 0) {
    const why = "num_without_partner" in comparison ? `text-only, rejected in a run, or (${formatCount(comparison.num_without_partner)}) without another image` : "text-only, or without all images";
    lines.push(colors.dim(`${formatCount(num_left_out)} samples left out: ${why}`));
  }
  return lines;
}

function variantsPlot({ quantiles, variants: rows }: VariantComparison): string {
  const lines = rows.map(({ variant, quantiles: values }) => ({ name: variant, points: values.map((y, i) => ({ x: quantiles[i]!, y })) }));
  return linePlotSvg({ title: "Quantiles of sample VIG by image", x: "percent of the samples at or below", y: "sample VIG (nats)", lines });
}
