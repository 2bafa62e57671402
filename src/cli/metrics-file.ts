/** The outcome of a run for Prometheus's node exporter (textfile collector), written by rename. */
import { readFile, rename, writeFile } from "node:fs/promises";
import type { RunSummary } from "../core/plan.ts";

export interface RunOutcome {
  readonly name: string;
  readonly exit_code: number;
  readonly duration_ms: number;
  /** Seconds since 1970. */
  readonly finished_at: number;
  /** Absent where the run failed. */
  readonly summary?: RunSummary;
}

const LAST_SUCCESS = "vig_pipeline_last_success_timestamp_seconds";

/** Writes the file; the time of the last success survives later failures. Throws what the file system throws. */
export async function writeMetricsFile(file: string, outcome: RunOutcome): Promise<void> {
  const before = await readFile(file, "utf8").catch(() => "");
  const earlier = Number(new RegExp(`^${LAST_SUCCESS}\\{[^}]*\\} (\\S+)$`, "m").exec(before)?.[1] ?? Number.NaN);
  const lastSuccess = outcome.exit_code === 0 ? outcome.finished_at : Number.isFinite(earlier) ? earlier : undefined;
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, renderMetrics(outcome, lastSuccess));
  await rename(temporary, file);
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly values: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
}

export function renderMetrics(outcome: RunOutcome, lastSuccess: number | undefined): string {
  const { summary, name } = outcome;
  const metrics: Metric[] = [
    { name: "vig_pipeline_last_run_timestamp_seconds", help: "When the last run ended.", values: [[{}, outcome.finished_at]] },
    { name: LAST_SUCCESS, help: "When the last successful run ended.", values: lastSuccess === undefined ? [] : [[{}, lastSuccess]] },
    { name: "vig_pipeline_last_exit_code", help: "Exit code of the last run.", values: [[{}, outcome.exit_code]] },
    { name: "vig_pipeline_duration_seconds", help: "How long the last run took.", values: [[{}, outcome.duration_ms / 1000]] },
    ...(summary === undefined ? [] : summaryMetrics(summary)),
  ];
  return metrics
    .filter((metric) => metric.values.length > 0)
    .map((metric) => `# HELP ${metric.name} ${metric.help}\n# TYPE ${metric.name} gauge\n${metric.values.map(([labels, value]) => `${metric.name}${renderLabels({ name, ...labels })} ${renderValue(value)}\n`).join("")}`)
    .join("");
}

function summaryMetrics({ counts, selections }: RunSummary): Metric[] {
  const outcomes = [["scored", counts.num_scored], ["text_only", counts.num_text_only], ["rejected", counts.num_rejected]] as const;
  return [
    { name: "vig_pipeline_samples", help: "Samples of the last run by outcome.", values: outcomes.map(([outcome, count]) => [{ outcome }, count] as const) },
    { name: "vig_pipeline_rejects", help: "Rejected samples by code.", values: Object.entries(counts.rejects_by_code).map(([code, count]) => [{ code }, count] as const) },
    { name: "vig_pipeline_answer_tokens", help: "Answer tokens of samples that were not rejected.", values: [[{}, counts.num_tokens]] },
    { name: "vig_pipeline_tau_nats", help: "Threshold of each selection.", values: selections.map(({ target, tau }) => [{ selection: target.dataset }, tau] as const) },
    { name: "vig_pipeline_kept_samples", help: "Samples of each selection.", values: selections.map(({ target, counts: kept }) => [{ selection: target.dataset }, kept.num_kept_vig + kept.num_text_only] as const) },
    { name: "vig_pipeline_active_tokens", help: "Tokens that keep their loss.", values: selections.map(({ target, counts: kept }) => [{ selection: target.dataset }, kept.num_active] as const) },
  ];
}

function renderValue(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? String(value) : value > 0 ? "+Inf" : "-Inf";
}

function renderLabels(labels: Readonly<Record<string, string>>): string {
  const escape = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
  return `{${Object.entries(labels).map(([key, value]) => `${key}="${escape(value)}"`).join(",")}}`;
}
