/** The stage list as a whole: known kinds, one each, in their order, none missing, no two alternatives together. */
import type { Diagnostic } from "../core/errors.ts";
import { closest } from "./did-you-mean.ts";
import { isObject } from "./json-schema.ts";
import { diagnosticAt, type SourceMap } from "./source-map.ts";
import { isStageKind, MODULE, STAGE_ALTERNATIVES, STAGE_KINDS, type StageKind } from "./stage-kinds.ts";

export interface StageListCheck {
  readonly diagnostics: readonly Diagnostic[];
  /** Positions in the list whose value is worth validating: one known kind with a block of keys. */
  readonly wellFormed: ReadonlySet<number>;
}

const ORDER = `the order is ${STAGE_KINDS.join(", ")}`;

export function checkStages(stages: readonly unknown[], sourceMap: SourceMap): StageListCheck {
  const diagnostics: Diagnostic[] = [];
  const wellFormed = new Set<number>();
  const firstAt = new Map<StageKind, number>();
  /** Kinds that are there in a wrong form, or that a misspelt one meant: to call them missing would mislead. */
  const meant = new Set<StageKind>();
  let furthest = -1;

  for (const [index, stage] of stages.entries()) {
    if (isModule(stage)) {
      wellFormed.add(index);
      if (furthest >= STAGE_KINDS.indexOf("quantile_threshold")) diagnostics.push(diagnosticAt(sourceMap.keyAt(["stages", index, MODULE]), "a module's stage must stand before quantile_threshold", "move it up: behind the threshold there is nothing but the mask"));
      continue;
    }
    const kind = readKind(stage, index, sourceMap, diagnostics, meant);
    if (kind === undefined) continue;
    const place = sourceMap.keyAt(["stages", index, kind]);
    const earlier = firstAt.get(kind);
    if (earlier !== undefined) {
      const { line } = sourceMap.keyAt(["stages", earlier, kind]);
      diagnostics.push(diagnosticAt(place, `the stage ${kind} stands twice; the first is on line ${line}`, "remove one of the two"));
    } else {
      firstAt.set(kind, index);
      const position = STAGE_KINDS.indexOf(kind);
      if (position < furthest) diagnostics.push(diagnosticAt(place, `the stage ${kind} must stand before ${STAGE_KINDS[furthest]!}`, ORDER));
      furthest = Math.max(furthest, position);
    }
    const config = (stage as Record<string, unknown>)[kind];
    const isAlone = Object.keys(stage as object).length === 1;
    if (!isObject(config) || Array.isArray(config)) {
      if (!isAlone) continue;
      const found = config === null ? "nothing" : JSON.stringify(config);
      diagnostics.push(diagnosticAt(place, `the stage ${kind} needs a block of keys, but has ${found}`, `write "- ${kind}: {}" for its defaults`));
      continue;
    }
    if (isAlone) wellFormed.add(index);
    diagnostics.push(...checkAlternatives(kind, config, index, sourceMap));
  }

  for (const kind of STAGE_KINDS) {
    if (firstAt.has(kind) || meant.has(kind)) continue;
    const before = STAGE_KINDS[STAGE_KINDS.indexOf(kind) - 1];
    const where = before === undefined ? "as the first stage" : `after ${before}`;
    diagnostics.push(diagnosticAt(sourceMap.keyAt(["stages"]), `the stage ${kind} is missing`, `add "- ${kind}: ${exampleOf(kind)}" ${where}`));
  }
  return { diagnostics, wellFormed };
}

/** A stage of the user's own: any number of them. */
function isModule(stage: unknown): boolean {
  return isObject(stage) && !Array.isArray(stage) && Object.keys(stage).length === 1 && Object.hasOwn(stage, MODULE);
}

function exampleOf(kind: StageKind): string {
  return kind === "quantile_threshold" ? "{ top_percent: 70 }" : "{}";
}

function readKind(stage: unknown, index: number, sourceMap: SourceMap, diagnostics: Diagnostic[], meant: Set<StageKind>): StageKind | undefined {
  const place = sourceMap.valueAt(["stages", index]);
  if (typeof stage === "string" && isStageKind(stage)) {
    meant.add(stage);
    diagnostics.push(diagnosticAt(place, `the stage ${stage} needs a block of keys`, `write "- ${stage}: {}" for its defaults`));
    return undefined;
  }
  const keys = isObject(stage) && !Array.isArray(stage) ? Object.keys(stage) : [];
  if (keys.length === 0) {
    diagnostics.push(diagnosticAt(place, "a stage is one kind with its block of keys", `for example "- blur: { sigma_fraction: 0.28 }"`));
    return undefined;
  }
  for (const kind of keys.filter((key) => !isStageKind(key))) {
    const guess = closest(kind, [...STAGE_KINDS, MODULE]);
    if (guess !== undefined && isStageKind(guess)) meant.add(guess);
    const at = sourceMap.keyAt(["stages", index, kind]);
    // A second key is mostly one that slid out of its block.
    const message = keys.length === 1 ? `${kind} is no kind of stage` : `${kind} stands beside a stage, not in its block`;
    const remedy = keys.length > 1 ? (kind === MODULE ? `begin a new item: "- ${MODULE}: ..."` : "indent it below the stage") : guess ? `did you mean ${guess}?` : `known kinds: ${STAGE_KINDS.join(", ")}; a stage of your own is a module (docs/library.md)`;
    diagnostics.push(diagnosticAt(at, message, remedy));
  }
  const known = keys.filter(isStageKind);
  for (const kind of known.slice(1)) {
    meant.add(kind);
    diagnostics.push(diagnosticAt(sourceMap.keyAt(["stages", index, kind]), `${kind} shares a list item with ${known[0]!}`, `begin a new item: "- ${kind}: ..."`));
  }
  return known[0];
}

function checkAlternatives(kind: StageKind, config: Record<string | number, unknown>, index: number, sourceMap: SourceMap): Diagnostic[] {
  const alternatives = STAGE_ALTERNATIVES[kind];
  if (alternatives === undefined) return [];
  const given = alternatives.keys.filter((key) => config[key] !== undefined);
  if (given.length > 1) {
    const last = given.at(-1)!;
    return [diagnosticAt(sourceMap.keyAt(["stages", index, kind, last]), `${kind} has ${given.join(" and ")}, which exclude each other`, `keep one of ${alternatives.keys.join(", ")}`)];
  }
  if (given.length === 0 && alternatives.required) {
    return [diagnosticAt(sourceMap.keyAt(["stages", index, kind]), `${kind} needs one of ${alternatives.keys.join(", ")}`, `for example "${kind}: ${exampleOf(kind)}"`)];
  }
  return [];
}
