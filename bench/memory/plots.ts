/** The bench's two pictures, drawn by Observable Plot without a browser. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

export interface Series {
  readonly label: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export function linePlot(series: readonly Series[], axes: { readonly title: string; readonly x: Plot.ScaleOptions; readonly y: Plot.ScaleOptions }): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>") as unknown as { document: never };
  const points = series.flatMap(({ label, points }) => points.map(([x, y]) => ({ label, x, y })));
  const ends = series.map(({ label, points }) => ({ label, x: points.at(-1)![0], y: points.at(-1)![1] }));
  const plot = Plot.plot({
    document,
    width: 720,
    height: 320,
    marginLeft: 56,
    marginRight: 150,
    x: axes.x,
    y: { grid: true, zero: true, ...axes.y },
    color: { range: ["#0b6e99", "#c4621d", "#3f7f3f"], domain: series.map(({ label }) => label) },
    marks: [
      Plot.ruleY([0]),
      Plot.line(points, { x: "x", y: "y", z: "label", stroke: "label", strokeWidth: 1.5 }),
      Plot.text(ends, { x: "x", y: "y", text: "label", fill: "label", textAnchor: "start", dx: 6 }),
    ],
  }) as unknown as { readonly outerHTML: string; setAttribute(name: string, value: string): void };
  plot.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", axes.title);
  return `${plot.outerHTML.replace(/\d+\.\d{3,}/g, (number) => String(Number(Number(number).toFixed(2))))}\n`;
}
