/** Charts as SVG text, drawn by Observable Plot without a browser. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { Html, trusted } from "./html.ts";

/** What the page's script needs to find a value's place in a chart. */
interface Scale {
  readonly domain: readonly number[];
  readonly range: readonly number[];
}

export type Marks = Plot.Markish[];
export interface ChartOptions extends Plot.PlotOptions {
  /** Said to who can't see it. */
  readonly label: string;
  /** Drawn for phones as well as for wide screens; the page shows the one that fits. */
  readonly widths: readonly { readonly width: number; readonly class: string }[];
  /** Adds what the page's script moves: called with the chart's root and its scales. */
  readonly finish?: (svg: SvgElement, scales: { readonly x: Scale; readonly y: Scale }) => void;
}

export interface SvgElement {
  readonly outerHTML: string;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  insertAdjacentHTML(where: "beforeend" | "afterbegin", text: string): void;
  querySelector(selector: string): SvgElement | null;
  querySelectorAll(selector: string): Iterable<SvgElement>;
  remove(): void;
}

/** Wide, and for screens below 640 px. */
export const FULL_WIDTHS = [
  { width: 1060, class: "wide" },
  { width: 380, class: "narrow" },
] as const;

/** A third of the page when wide, all of it on a phone: one drawing serves both. */
export const THIRD_WIDTHS = [{ width: 360, class: "third" }] as const;

/** The chart once for each width. */
export function chart({ label, widths, finish, ...options }: ChartOptions): Html {
  return trusted(widths.map(({ width, class: name }) => draw(label, name, { ...options, width }, finish)).join(""));
}

function draw(label: string, name: string, options: Plot.PlotOptions, finish: ChartOptions["finish"]): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>") as unknown as { document: never };
  const plot = Plot.plot({ ...options, document });
  const svg = plot as unknown as SvgElement;
  const scale = (axis: "x" | "y"): Scale => {
    const { domain, range } = plot.scale(axis) ?? { domain: [], range: [] };
    return { domain: [...(domain ?? [])] as number[], range: [...(range ?? [])] as number[] };
  };
  finish?.(svg, { x: scale("x"), y: scale("y") });
  // The page's own sheet styles charts: its security policy allows no other.
  for (const style of [...svg.querySelectorAll("style")]) style.remove();
  svg.removeAttribute("style");
  for (const decorated of svg.querySelectorAll("[style]")) decorated.removeAttribute("style");
  svg.removeAttribute("font-family");
  svg.removeAttribute("height");
  svg.removeAttribute("width");
  svg.setAttribute("class", `chart ${name}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  // Groups' labels name kinds of marks, which is noise in a chart that is one picture.
  for (const group of svg.querySelectorAll("g[aria-label]")) group.removeAttribute("aria-label");
  return shorten(svg.outerHTML);
}

/** Coordinates to two decimals: a hundredth of a pixel. */
function shorten(svg: string): string {
  return svg.replace(/(["\s,(MLHVCZ-])(\d+\.\d{3,})(?=["\s,)MLHVCZ-])/g, (_, before: string, number: string) => before + String(Number(Number(number).toFixed(2))));
}

/** The scale as an attribute for the page's script: "domain domain range range". */
export function scaleAttribute({ domain, range }: Scale): string {
  return [...domain, ...range].map((value) => Number(value.toPrecision(9))).join(" ");
}
