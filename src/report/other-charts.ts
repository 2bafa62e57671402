/** Parts of speech, and the run over its time. */
import * as Plot from "@observablehq/plot";
import { chart, type Marks, THIRD_WIDTHS } from "./charts.ts";
import { count, nats } from "./format.ts";
import type { Html } from "./html.ts";
import type { RunTimeline } from "./run-timeline.ts";
import type { PartOfSpeechRow } from "./word-table.ts";

export function partsOfSpeechChart(rows: readonly PartOfSpeechRow[]): Html {
  const fill = (row: PartOfSpeechRow): string => (row.mean_vig < 0 ? "var(--negative)" : "var(--positive)");
  return chart({
    label: `Mean VIG by part of speech: ${rows.map((row) => `${row.name} ${nats(row.mean_vig)}`).join(", ")} nats`,
    widths: [{ width: 420, class: "parts" }],
    height: 44 + 28 * rows.length,
    marginLeft: 104,
    marginRight: 20,
    marginTop: 6,
    marginBottom: 36,
    x: { label: "mean VIG (nats)", labelArrow: "none", grid: true, ticks: 5, zero: true, nice: true },
    y: { domain: rows.map(({ name }) => name), label: null, tickSize: 0 },
    marks: [
      Plot.ruleX([0], { className: "zero" }),
      Plot.barX(rows, { x: "mean_vig", y: "name", fill, insetTop: 6, insetBottom: 6, rx: 2, className: "solid", title: (row: PartOfSpeechRow) => `${row.name}: ${nats(row.mean_vig)} nats over ${count(row.count)} words` }),
      Plot.ruleY(rows, { x1: "low", x2: "high", y: "name", className: "interval" }),
    ] as Marks,
  });
}

/** Samples a second between neighbouring points, while there are samples. */
export function speedChart(timeline: RunTimeline): Html {
  const last = timeline.points.findLastIndex((point, i, all) => point.num_samples > (all[i - 1]?.num_samples ?? 0));
  const points = timeline.points.slice(0, last + 1);
  const rates = points.slice(1).map((point, i) => ({
    s: point.ms / 1000,
    rate: (1000 * (point.num_samples - points[i]!.num_samples)) / Math.max(1, point.ms - points[i]!.ms),
  }));
  return overTime("Curve: samples scored a second over the run.", "samples a second", rates, "rate", smoothing(rates.length));
}

export function memoryChart({ points }: RunTimeline): Html {
  const values = points.map(({ ms, resident_bytes }) => ({ s: ms / 1000, mb: resident_bytes / 1e6 }));
  return overTime("Curve: resident memory over the run, the process and its workers.", "resident memory (MB)", values, "mb", 1);
}

/** Batches end in bursts: a mean over a twentieth of the run shows the speed behind them. */
const smoothing = (numPoints: number): number => Math.max(1, Math.round(numPoints / 20));

function overTime(label: string, yLabel: string, rows: readonly object[], y: string, window: number): Html {
  const smooth = window > 1 ? (options: Plot.AreaYOptions) => Plot.windowY({ k: window, anchor: "middle" }, options) : (options: Plot.AreaYOptions) => options;
  return chart({
    label,
    widths: THIRD_WIDTHS,
    height: 200,
    marginTop: 26,
    marginBottom: 36,
    marginLeft: 48,
    marginRight: 12,
    x: { label: "seconds since the start", labelArrow: "none", ticks: 5 },
    y: { label: yLabel, labelArrow: "none", grid: true, zero: true, nice: true, ticks: 5 },
    marks: [
      Plot.areaY(rows, smooth({ x: "s", y, className: "area" })),
      Plot.lineY(rows, smooth({ x: "s", y, className: "line" })),
      Plot.ruleY([0], { className: "base" }),
    ] as Marks,
  });
}
