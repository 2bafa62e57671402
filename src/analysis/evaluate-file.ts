/** A metric over a file of a model's outputs. */
import { readFile } from "node:fs/promises";
import { PlanError } from "../core/errors.ts";
import { naming } from "../io/file-error.ts";
import { readJsonRows } from "../io/sources/json-rows.ts";
import type { MetricResult } from "../metrics/estimate.ts";
import { type MetricName, newTally } from "../metrics/metrics.ts";
import { ObjectTable } from "../metrics/object-table.ts";

export interface EvaluateOptions {
  readonly metric: MetricName;
  /** JSON lines or a JSON array. */
  readonly file: string;
  /** CHAIR's table of names: a path. */
  readonly synonyms?: string;
  /** Name in the metric -> name in the file, where they differ. */
  readonly columns?: ReadonlyMap<string, string>;
  readonly signal?: AbortSignal;
}

export interface WrongRow {
  /** From 1. */
  readonly line: number;
  readonly problem: string;
}

export interface Evaluation extends MetricResult {
  readonly metric: MetricName;
  readonly num_rows: number;
  /** Rows that are not in the result. */
  readonly num_wrong: number;
  /** The first of them. */
  readonly wrong: readonly WrongRow[];
}

const WRONG_SHOWN = 10;

/**
 * Rows are read one by one and not kept. Throws PlanError where a file is missing, empty or not usable, StageError where
 * a JSON array is damaged.
 */
export async function evaluateFile({ metric, file, synonyms, columns = new Map(), signal }: EvaluateOptions): Promise<Evaluation> {
  const tally = newTally(metric, metric === "chair" ? await readObjects(synonyms) : undefined);
  const wrong: WrongRow[] = [];
  let [num_rows, num_wrong] = [0, 0];
  for await (const { line, fields, ...damage } of readJsonRows(file, signal)) {
    num_rows++;
    const problem = fields ? tally.add(renamed(fields, columns)) : damage.problem;
    if (problem === undefined) continue;
    num_wrong++;
    if (wrong.length < WRONG_SHOWN) wrong.push({ line, problem });
  }
  if (num_rows === 0) throw new PlanError(`${file} has no rows`, { remedy: "name a file of JSON lines or with a JSON array, one object for each output" });
  if (num_rows === num_wrong) {
    throw new PlanError(`${file}:${wrong[0]!.line}: ${wrong[0]!.problem}; none of its ${num_rows} rows can be used`, {
      remedy: "see docs/evaluation.md for the metric's columns; --column NAME=THEIRS where yours have other names",
    });
  }
  return { metric, num_rows, num_wrong, wrong, ...tally.result() };
}

function renamed(row: Readonly<Record<string, unknown>>, columns: ReadonlyMap<string, string>): Readonly<Record<string, unknown>> {
  if (columns.size === 0) return row;
  return { ...row, ...Object.fromEntries([...columns].map(([name, theirs]) => [name, row[theirs]])) };
}

async function readObjects(path: string | undefined): Promise<ObjectTable> {
  if (path === undefined) throw new PlanError("chair needs a table of objects and their synonyms", { remedy: "--synonyms FILE: one object a line, its name first, then synonyms, commas between (docs/evaluation.md)" });
  const text = await naming("read", path, () => readFile(path, "utf8"));
  try {
    return ObjectTable.parse(text);
  } catch (cause) {
    throw new PlanError(`${path}: ${(cause as Error).message}`, { cause, remedy: "one object a line: its name, then its synonyms, commas between" });
  }
}
