/** Rows of equal keys as an aligned Markdown table: numbers right, text left. */
export function table(rows: readonly Readonly<Record<string, string | number>>[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) => columns.map((column) => String(row[column] ?? "")));
  const width = columns.map((column, i) => Math.max(column.length, ...cells.map((cell) => cell[i]!.length)));
  const isNumber = columns.map((column) => rows.every((row) => typeof row[column] === "number" || /^[-\d.,]+( |$|%)/.test(String(row[column]))));
  const line = (cell: readonly string[]) => `| ${cell.map((text, i) => (isNumber[i] ? text.padStart(width[i]!) : text.padEnd(width[i]!))).join(" | ")} |`;
  const rule = `|${width.map((w, i) => (isNumber[i] ? `${"-".repeat(w + 1)}:` : `${"-".repeat(w + 2)}`)).join("|")}|`;
  return [line(columns), rule, ...cells.map(line)].join("\n");
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
