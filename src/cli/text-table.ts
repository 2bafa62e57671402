import type { Colors } from "./colors.ts";

export type Cell = string | number;

/** A table of text: the first column to the left, the others to the right; the head is dim. */
export function textTable(head: readonly string[], rows: readonly (readonly Cell[])[], colors: Colors): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => String(row[column] ?? "").length)));
  const line = (cells: readonly Cell[]): string => cells.map((cell, column) => (column === 0 ? String(cell).padEnd(widths[0]!) : String(cell).padStart(widths[column]!))).join("  ").trimEnd();
  return [colors.dim(line(head)), ...rows.map(line)];
}
