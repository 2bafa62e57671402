import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PlanError } from "../../core/errors.ts";
import { naming } from "../file-error.ts";
import { namesIn, writeAndSync } from "./durable-file.ts";

/** What the scores in a folder were made by: everything that changes one of them, and its hash. */
export interface ScoresPlan {
  readonly scores_hash: string;
  readonly plan: Readonly<Record<string, unknown>>;
}

const FILE = "plan.json";
/** In the work folder: what integrations/spark/run.py keeps. */
export const SPARK = "spark";
/** Differences that a message lists. */
const MAX_DIFFERENCES = 12;

export function writeScoresPlan(work: string, plan: ScoresPlan): Promise<void> {
  return writeAndSync(join(work, FILE), `${JSON.stringify(plan, null, 2)}\n`);
}

/** undefined where no scores have been begun in this folder. */
export function readScoresPlan(work: string): Promise<ScoresPlan | undefined> {
  const path = join(work, FILE);
  return naming("read", path, async () => {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      return JSON.parse(text) as ScoresPlan;
    } catch (error) {
      throw new PlanError(`${path} is damaged, so it is unknown what the scores in this folder were made by`, { cause: error, remedy: "start over with --fresh" });
    }
  });
}

/** Throws PlanError where the folder's scores were made by another plan, or by nobody knows what. */
export async function agreeOnPlan(path: string, work: string, wanted: ScoresPlan, { writes }: { readonly writes: boolean }): Promise<void> {
  const stored = await readScoresPlan(work);
  if (stored) return assertSamePlan(path, stored, wanted);
  if ((await namesIn(work)).includes(SPARK)) {
    throw new PlanError(`${path} is written by Spark, whose rows no journal describes`, {
      remedy:
        "for other thresholds run integrations/spark/run.py again, for example with --set 'stages.quantile_threshold.top_percent=[30,50]', which scores nothing again; " +
        "for a local run choose another folder (--set output.path=...)",
    });
  }
  if ((await namesIn(path)).includes("scores")) {
    throw new PlanError(`${join(path, "scores")} exists, but nothing in ${work} says what made it`, {
      remedy: "choose another output path, or start over with --fresh, which removes it",
    });
  }
  if (writes) await writeScoresPlan(work, wanted);
}

/** Throws PlanError naming every difference where the plans' hashes differ. */
export function assertSamePlan(
  folder: string,
  stored: ScoresPlan,
  wanted: ScoresPlan,
  remedy = "choose another output path, take the change back, or start over with --fresh",
): void {
  if (stored.scores_hash === wanted.scores_hash) return;
  const all = differences(stored.plan, wanted.plan, "");
  const listed = all.slice(0, MAX_DIFFERENCES).map((line) => `\n    ${line}`);
  const rest = all.length > MAX_DIFFERENCES ? `\n    and ${all.length - MAX_DIFFERENCES} more` : "";
  throw new PlanError(`the scores in ${folder} were made by another plan:${listed.join("") || " its hash differs"}${rest}`, { remedy });
}

/** "path: was OLD, now NEW" for each leaf that differs; arrays are compared element by element. */
export function differences(before: unknown, now: unknown, path: string): string[] {
  if (isTree(before) && isTree(now) && Array.isArray(before) === Array.isArray(now)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort();
    return keys.flatMap((key) => differences(before[key], now[key], join_path(path, key, Array.isArray(now))));
  }
  const [old_text, new_text] = [show(before), show(now)];
  if (old_text === new_text) return [];
  return [`${path || "plan"}: was ${old_text}, now ${new_text}`];
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function join_path(path: string, key: string, in_array: boolean): string {
  if (in_array) return `${path}[${key}]`;
  return path === "" ? key : `${path}.${key}`;
}

function show(value: unknown): string {
  const text = value === undefined ? "absent" : JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}
