/** Analyses that score again: other images, other settings. */
import { type Agreement, agreementOf } from "../analysis/agreement.ts";
import { linePlotSvg } from "../analysis/plots.ts";
import { swappedImages } from "../analysis/swapped-source.ts";
import { compareImages } from "../analysis/variants.ts";
import { PlanError } from "../core/errors.ts";
import type { ScoresFolder } from "../report/scores-folder.ts";
import type { Analysis } from "./analyze.ts";
import { type AnalysisContext, analysisPath, configOf, scoresOf } from "./analyze-runs.ts";
import { correlation, decimal, percent, variantAnalysis } from "./analyze-scores.ts";
import type { Colors } from "./colors.ts";
import { formatNats } from "./format-numbers.ts";
import { type Cell, textTable } from "./text-table.ts";

/** Of a configuration that names a tau, and no share. */
const DEFAULT_PERCENT = 70;

/** The run itself and one with each kind of other images; highest VIG expected first. */
export async function swapImages(context: AnalysisContext, which: "random" | "similar" | "both", seed: number): Promise<Analysis> {
  const kinds = which === "both" ? (["similar", "random"] as const) : ([which] as const);
  const config = await configOf(context);
  const folders: ScoresFolder[] = [];
  try {
    folders.push(await scoresOf(context, config, config.output.path));
    for (const kind of kinds) folders.push(await scoresOf(context, config, analysisPath(config, `swap-${kind}-seed${seed}`), swappedImages(kind, seed)));
    const comparison = await compareImages(folders, ["matching", ...kinds], new AbortController().signal);
    return variantAnalysis({ paths: folders.map(({ path }) => path), seed }, comparison);
  } finally {
    for (const folder of folders) await folder.close();
  }
}

interface SweepRow {
  readonly value: string;
  readonly path: string;
  readonly agreement: Agreement;
}

/** The run itself, and one with each value, held against it. */
export async function sweep(context: AnalysisContext, text: string, percents: readonly number[] | undefined): Promise<Analysis> {
  const { key, values } = parseSweep(text);
  const config = await configOf(context);
  // Every mistake before the first run.
  const configs = [];
  for (const value of values) configs.push(await configOf(context, [`${key}=${value}`]));
  const chosen = percents ?? [config.stages.quantile_threshold.top_percent ?? DEFAULT_PERCENT].flat();
  const base = await scoresOf(context, config, config.output.path);
  const rows: SweepRow[] = [];
  try {
    for (const [i, value] of values.entries()) {
      const other = await scoresOf(context, configs[i]!, analysisPath(config, `sweep-${key}=${value}`));
      try {
        rows.push({ value, path: other.path, agreement: await agreementOf(base, other, chosen, new AbortController().signal) });
      } finally {
        await other.close();
      }
    }
  } finally {
    await base.close();
  }
  return { json: { key, base: base.path, rows }, lines: (colors) => sweepLines(key, rows, colors), plot: () => sweepPlot(key, rows) };
}

function parseSweep(text: string): { readonly key: string; readonly values: readonly string[] } {
  const equals = text.indexOf("=");
  const values = text.slice(equals + 1).split(",").map((value) => value.trim());
  if (equals <= 0 || values.includes("") || new Set(values).size < values.length) throw new PlanError(`--sweep ${text} is not a setting with its values`, { remedy: "for example --sweep blur.sigma_px=2,4,8,16" });
  return { key: text.slice(0, equals), values };
}

/** One line a value and share; the first line is the run that the others are held against. */
function sweepLines(key: string, rows: readonly SweepRow[], colors: Colors): string[] {
  const percents = rows[0]!.agreement.selections.map(({ top_percent }) => top_percent);
  const lines: string[] = [];
  for (const [i, top_percent] of percents.entries()) {
    const first = rows[0]!.agreement;
    const mean = (value: number | null): string => (value === null ? "-" : formatNats(value));
    const base: Cell[] = ["as configured", mean(first.mean_vig_a), formatNats(first.selections[i]!.tau_a), percent(first.selections[i]!.active_share_a), "", "", "", ""];
    const others = rows.map(({ value, agreement }): Cell[] => {
      const { tau_b, active_share_b, samples, tokens } = agreement.selections[i]!;
      return [value, mean(agreement.mean_vig_b), formatNats(tau_b), percent(active_share_b), correlation(agreement.samples), correlation(agreement.tokens), decimal(samples.jaccard), decimal(tokens?.jaccard ?? null)];
    });
    if (i > 0) lines.push("");
    lines.push(...textTable([`${key}, top ${top_percent} %`, "mean VIG", "tau", "active", "corr. samples", "corr. tokens", "kept: overlap", "active: overlap"], [base, ...others], colors));
  }
  lines.push("", colors.dim("Nats. corr.: Spearman's rank correlation with the run as configured; overlap: what both select / what either selects."));
  return lines;
}

/** Of the first share. */
function sweepPlot(key: string, rows: readonly SweepRow[]): string {
  const ordinal = rows.some(({ value }) => !Number.isFinite(Number(value)));
  const line = (name: string, of: (agreement: Agreement) => number | null) => ({
    name,
    points: rows.flatMap(({ value, agreement }) => {
      const y = of(agreement);
      return y === null ? [] : [{ x: ordinal ? value : Number(value), y }];
    }),
  });
  const top = rows[0]!.agreement.selections[0]!.top_percent;
  return linePlotSvg({
    title: `${key}: agreement with the run as configured, top ${top} %`,
    x: key,
    y: "0 to 1",
    ordinal,
    lines: [
      line("rank corr., samples", ({ samples }) => samples.rank_correlation),
      line("rank corr., tokens", ({ tokens }) => tokens.rank_correlation),
      line("overlap, kept", ({ selections }) => selections[0]!.samples.jaccard),
      line("overlap, active", ({ selections }) => selections[0]!.tokens?.jaccard ?? null),
      line("active share", ({ selections }) => selections[0]!.active_share_b),
    ],
  });
}
