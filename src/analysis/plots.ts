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
const HEIGHT = 380;

/** Lines over a common x, each named at its right end. The same input gives the same bytes. */
export function linePlotSvg({ title, x, y, lines, ordinal = false }: LinePlot): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>") as unknown as { document: never };
  const points = lines.flatMap(({ name, points: own }, place) => own.map((point) => ({ ...point, name, color: COLORS[place % COLORS.length]! })));
  const ends = lines.flatMap(({ points: own, name }, place) => own.slice(-1).map((point) => ({ ...point, name, color: COLORS[place % COLORS.length]! })));
  const domain = [...new Set(points.map((point) => point.x))];
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height: HEIGHT,
    marginLeft: 60,
    marginRight: 150,
    marginTop: 40,
    marginBottom: 42,
    x: { label: x, labelArrow: "none", ...(ordinal ? { type: "point", domain } : {}) },
    y: { label: y, labelArrow: "none", grid: true, nice: true, zero: true },
    marks: [
      Plot.ruleY([0], { stroke: "#999" }),
      Plot.line(points, { x: "x", y: "y", z: "name", stroke: "color", strokeWidth: 2 }),
      Plot.dot(points, { x: "x", y: "y", fill: "color", r: 3 }),
      Plot.text(ends, Plot.dodgeY({ x: "x", y: "y", text: "name", fill: "color", textAnchor: "start", dx: 8 } as Plot.TextOptions)),
    ] as Plot.Markish[],
  }) as unknown as { readonly outerHTML: string; setAttribute(name: string, value: string): void; insertAdjacentHTML(where: "afterbegin", text: string): void; querySelectorAll(selector: string): Iterable<{ remove(): void }> };
  for (const style of [...svg.querySelectorAll("style")]) style.remove();
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("font-family", "system-ui, sans-serif");
  svg.setAttribute("font-size", "12");
  svg.insertAdjacentHTML("afterbegin", `<title></title><rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"></rect><text x="60" y="18" font-weight="600">${escapeXml(title)}</text>`);
  return `${svg.outerHTML}\n`;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
