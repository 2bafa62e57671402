/** Distributions of VIG, and what each share that could be kept means. */
import * as Plot from "@observablehq/plot";
import { chart, FULL_WIDTHS, type Marks, scaleAttribute, type SvgElement, THIRD_WIDTHS } from "./charts.ts";
import type { CurvePoint, SourceCurve } from "./curve.ts";
import type { Distribution } from "./distribution.ts";
import { count, nats } from "./format.ts";
import type { Html } from "./html.ts";

interface Bar {
  readonly x1: number;
  readonly x2: number;
  readonly n: number;
  readonly fill: string;
}

function barsOf({ start, width, counts }: Pick<Distribution, "start" | "width" | "counts">): Bar[] {
  return counts.flatMap((n, i) => {
    const [x1, x2] = [start + i * width, start + (i + 1) * width].map((x) => Number(x.toPrecision(9)));
    return n === 0 ? [] : [{ x1: x1!, x2: x2!, n, fill: x2! <= 0 ? "var(--negative)" : "var(--positive)" }];
  });
}

const rangeOf = ({ start, width, counts }: Pick<Distribution, "start" | "width" | "counts">): [number, number] => [start, start + width * counts.length];

/** A line at tau that the page's script moves. */
function addTau(svg: SvgElement, x: { readonly domain: readonly number[]; readonly range: readonly number[] }, top: number, bottom: number): void {
  svg.setAttribute("data-x", scaleAttribute(x));
  svg.insertAdjacentHTML(
    "beforeend",
    `<g class="tau"><line y1="${top}" y2="${bottom}"></line><text class="tau-text" y="${top - 6}">τ</text></g>`,
  );
}

/** 1500 -> "1.5k", for axes. */
const shortCount = (value: number): string => (value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : String(value));

const HEIGHT = 300;
const MARGIN = { marginTop: 26, marginBottom: 38, marginLeft: 48, marginRight: 14 };

/** Samples by VIG; what is kept at the slider's place stands out. */
export function sampleDistribution(distribution: Distribution): Html {
  const bars = barsOf(distribution);
  const options = { x1: "x1", x2: "x2", y: "n", fill: "fill", insetLeft: 0.5, insetRight: 0.5 } as const;
  return chart({
    label: "Histogram of samples by VIG. The table below holds its numbers.",
    widths: FULL_WIDTHS,
    height: HEIGHT,
    ...MARGIN,
    x: { domain: rangeOf(distribution), label: "sample VIG (nats)", labelArrow: "none", ticks: 8 },
    y: { label: "samples", labelArrow: "none", grid: true, ticks: 5, tickFormat: shortCount },
    marks: [
      Plot.rectY(bars, { ...options, className: "all", title: (bar: Bar) => `VIG ${nats(bar.x1)} to ${nats(bar.x2)}: ${count(bar.n)} samples` }),
      Plot.rectY(bars, { ...options, className: "kept" }),
      Plot.ruleX([0], { className: "zero" }),
      Plot.ruleY([0], { className: "base" }),
    ] as Marks,
    finish(svg, { x }) {
      const id = `kept-${x.range[1]!.toFixed(0)}`;
      svg.querySelector("g.kept")?.setAttribute("clip-path", `url(#${id})`);
      svg.querySelector("g.kept")?.setAttribute("pointer-events", "none");
      svg.insertAdjacentHTML("afterbegin", `<defs><clipPath id="${id}"><rect class="clip" x="0" y="0" width="4000" height="${HEIGHT}"></rect></clipPath></defs>`);
      addTau(svg, x, MARGIN.marginTop, HEIGHT - MARGIN.marginBottom);
    },
  });
}

const SMALL = { height: 220, marginTop: 26, marginBottom: 36, marginLeft: 48, marginRight: 12 };

export function tokenDistribution(distribution: Distribution): Html {
  const bars = barsOf(distribution);
  const used = bars.length === 0 ? [-1, 1] : [Math.min(bars[0]!.x1, -distribution.width), Math.max(bars.at(-1)!.x2, distribution.width)];
  return chart({
    label: "Histogram of answer tokens by token VIG, with a square-root scale.",
    widths: THIRD_WIDTHS,
    ...SMALL,
    x: { domain: used, label: "token VIG (nats)", labelArrow: "none", ticks: 5 },
    y: { label: "answer tokens (√ scale)", labelArrow: "none", type: "sqrt", grid: true, ticks: 4, tickFormat: shortCount },
    marks: [
      Plot.rectY(bars, { x1: "x1", x2: "x2", y: "n", fill: "fill", insetLeft: 0.25, insetRight: 0.25, title: (bar: Bar) => `token VIG ${nats(bar.x1)} to ${nats(bar.x2)}: ${count(bar.n)} tokens` }),
      Plot.ruleX([0], { className: "zero" }),
      Plot.ruleY([0], { className: "base" }),
    ] as Marks,
    finish: (svg, { x }) => addTau(svg, x, SMALL.marginTop, SMALL.height - SMALL.marginBottom),
  });
}

/** A curve over p with a dot that the page's script moves. */
function overShare(label: string, yLabel: string, points: readonly { readonly p: number; readonly y: number }[], percent: boolean): Html {
  return chart({
    label,
    widths: THIRD_WIDTHS,
    ...SMALL,
    x: { domain: [0, 100], label: "p, share of samples kept (%)", labelArrow: "none", ticks: 5 },
    y: { label: yLabel, labelArrow: "none", grid: true, nice: true, zero: true, ticks: 5, ...(percent ? { domain: [0, 100] } : {}) },
    marks: [
      Plot.ruleY([0], { className: "zero" }),
      ...(percent ? [Plot.areaY(points, { x: "p", y: "y", className: "area" })] : []),
      Plot.line(points, { x: "p", y: "y", className: "line" }),
    ] as Marks,
    finish(svg, { x, y }) {
      svg.setAttribute("data-x", scaleAttribute(x));
      svg.setAttribute("data-y", scaleAttribute(y));
      svg.insertAdjacentHTML("beforeend", '<circle class="here" r="5"></circle>');
    },
  });
}

const shareOf = (point: CurvePoint, numVig: number): number => (100 * point.num_kept) / numVig;

export function tauCurve(points: readonly CurvePoint[], numVig: number): Html {
  const range = points.map((point) => ({ p: point.top_percent ?? shareOf(point, numVig), y: point.tau }));
  return overShare("Curve: the threshold tau for every share of samples kept.", "τ (nats)", range, false);
}

export function activeCurve(points: readonly CurvePoint[], numVig: number, numTokens: number): Html {
  const range = points.map((point) => ({ p: point.top_percent ?? shareOf(point, numVig), y: (100 * point.num_active) / Math.max(1, numTokens) }));
  return overShare("Curve: the share of answer tokens that stay active for every share of samples kept.", "active answer tokens (%)", range, true);
}

const RIDGE = { width: 260, height: 40 };

/** The shape of one source's distribution, on the axis of all. */
export function sourceShape(source: SourceCurve, all: Distribution): Html {
  const counts = pairs(source.density);
  const bars = barsOf({ start: all.start, width: 2 * all.width, counts });
  return chart({
    label: `Distribution of VIG, mean ${nats(source.mean_vig)} nats`,
    widths: [{ width: RIDGE.width, class: "ridge" }],
    height: RIDGE.height,
    margin: 0,
    marginBottom: 5,
    marginTop: 3,
    x: { domain: rangeOf(all), axis: null },
    y: { axis: null },
    marks: [
      Plot.rectY(bars, { x1: "x1", x2: "x2", y: "n", fill: "fill", className: "shape" }),
      Plot.ruleY([0], { className: "base" }),
      Plot.ruleX([0], { className: "zero" }),
      Plot.dot([{ x: Math.min(Math.max(source.mean_vig, rangeOf(all)[0]), rangeOf(all)[1]) }], { x: "x", y: 0, r: 4, className: "mean" }),
    ] as Marks,
    finish: (svg, { x }) => addTau(svg, x, 0, RIDGE.height - 5),
  });
}

/** The axis of the shapes above it. */
export function shapeAxis(all: Distribution): Html {
  return chart({
    label: "Axis: VIG in nats",
    widths: [{ width: RIDGE.width, class: "ridge" }],
    height: 22,
    margin: 0,
    marginBottom: 20,
    x: { domain: rangeOf(all), label: null, ticks: 4, tickSize: 3, insetLeft: 0 },
    marks: [Plot.ruleX([], {})] as Marks,
  });
}

function pairs(values: readonly number[]): number[] {
  return Array.from({ length: Math.ceil(values.length / 2) }, (_, i) => values[2 * i]! + (values[2 * i + 1] ?? 0));
}
