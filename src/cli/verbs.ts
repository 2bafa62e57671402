import { analyzeVerb } from "./analyze.ts";
import { completionVerb } from "./completion.ts";
import { doctorVerb } from "./doctor.ts";
import { evaluateVerb } from "./evaluate.ts";
import { exportVerb } from "./export.ts";
import { initVerb } from "./init.ts";
import { mergeVerb } from "./merge.ts";
import { planVerb } from "./plan.ts";
import { reportVerb } from "./report.ts";
import { runVerb } from "./run.ts";
import { schemaVerb } from "./schema.ts";
import { selectVerb } from "./select.ts";
import { splitsVerb } from "./splits.ts";
import { validateVerb } from "./validate.ts";
import type { Verb } from "./verb.ts";
import { workerVerb } from "./worker.ts";

/** Every command, in the order in which help shows them. */
export const VERBS: readonly Verb<never>[] = [
  runVerb,
  mergeVerb,
  validateVerb,
  planVerb,
  selectVerb,
  reportVerb,
  analyzeVerb,
  exportVerb,
  evaluateVerb,
  doctorVerb,
  initVerb,
  schemaVerb,
  splitsVerb,
  workerVerb,
  completionVerb,
];
