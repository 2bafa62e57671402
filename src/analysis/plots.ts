/** Pictures of analyses: SVG files that stand for themselves. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

export interface Line {
  readonly name: string;
  readonly points: readonly { readonly x: number | string; readonly y: number }[];
}

export interface LinePlot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
  /** Even steps of x as they come, in place of a scale of numbers. */
  readonly ordinal?: boolean;
}

const COLORS = ["#2563a8", "#c2571a", "#2f7d4f", "#7a4fa3", "#8a6d1d", "#b03060", "#4a6572", "#555555"];
const WIDTH = 760;
const HEIGHT = 400;
const MARGIN = { marginLeft: 60, marginRight: 150, marginTop: 56, marginBottom: 44 };
/** Between the names of two lines. */
const NAME_PX = 15;

/** Lines over a common x, each named at its right end. The same input gives the same bytes. */
export function linePlotSvg({ title, x, y, lines, ordinal = false }: LinePlot): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>") as unknown as { document: never };
  const points = lines.flatMap(({ name, points: own }, place) => own.map((point) => ({ ...point, name, color: COLORS[place % COLORS.length]! })));
  const ends = spread(lines.flatMap(({ points: own, name }, place) => own.slice(-1).map((point) => ({ ...point, name, color: COLORS[place % COLORS.length]! }))), points);
  const domain = [...new Set(points.map((point) => point.x))];
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height: HEIGHT,
    ...MARGIN,
    x: { label: x, labelAnchor: "center", labelArrow: "none", ...(ordinal ? { type: "point", domain } : {}) },
    y: { label: null, grid: true, nice: true, zero: true },
    marks: [
      Plot.ruleY([0], { stroke: "#999" }),
      Plot.line(points, { x: "x", y: "y", z: "name", stroke: "color", strokeWidth: 2 }),
      Plot.dot(points, { x: "x", y: "y", fill: "color", r: 3 }),
      Plot.text(ends, { x: "x", y: "label", text: "name", fill: "color", textAnchor: "start", dx: 8 }),
    ] as Plot.Markish[],
  }) as unknown as { readonly outerHTML: string; setAttribute(name: string, value: string): void; insertAdjacentHTML(where: "afterbegin", text: string): void; querySelectorAll(selector: string): Iterable<{ remove(): void }> };
  for (const style of [...svg.querySelectorAll("style")]) style.remove();
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("font-family", "system-ui, sans-serif");
  svg.setAttribute("font-size", "12");
  const heading = (at: number, text: string, weight: number): string => `<text x="${MARGIN.marginLeft}" y="${at}" text-anchor="start" font-weight="${weight}">${escapeXml(text)}</text>`;
  svg.insertAdjacentHTML("afterbegin", `<title>${escapeXml(title)}</title><rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"></rect>` + heading(20, title, 600) + heading(40, y, 400));
  return `${svg.outerHTML}\n`;
}

/** Adds where each name is written: beside its line's end, and apart from the one below. */
function spread<Point extends { readonly y: number }>(ends: readonly Point[], points: readonly { readonly y: number }[]): (Point & { readonly label: number })[] {
  const values = [0, ...points.map((point) => point.y)];
  const step = (NAME_PX * (Math.max(...values) - Math.min(...values))) / (HEIGHT - MARGIN.marginTop - MARGIN.marginBottom);
  let below = -Infinity;
  return [...ends].sort((a, b) => a.y - b.y).map((end) => ({ ...end, label: (below = Math.max(end.y, below + step)) }));
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
