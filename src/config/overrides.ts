/**
 * `--set path.to.key=value`. Stages are named by kind (`stages.blur.sigma_px=8`, or `blur.sigma_px=8` for short)
 * or by position (`stages.1.blur.sigma_px=8`). The value is read as YAML; null takes the key out, so that its
 * default holds. Setting one of several alternatives takes the others out.
 */
import type { Diagnostic } from "../core/errors.ts";
import { closest } from "./did-you-mean.ts";
import type { Environment } from "./interpolation.ts";
import { parseYaml } from "./parse-yaml.ts";
import { type ConfigPath, diagnosticAt, type Position, type SourceMap } from "./source-map.ts";

export interface OverrideNames {
  /** Keys of the configuration's root. */
  readonly rootKeys: readonly string[];
  readonly stageKinds: readonly string[];
  /** Keys of a stage of which at most one may be given. */
  alternatives(stageKind: string, key: string): readonly string[];
}

type Container = Record<string, unknown> | unknown[];

/** Changes `data` and `sourceMap` in place, in the order given; returns what is wrong with the arguments. */
export function applyOverrides(
  data: unknown,
  sourceMap: SourceMap,
  overrides: readonly string[],
  names: OverrideNames,
  environment: Environment,
): Diagnostic[] {
  return overrides.flatMap((argument) => applyOverride(data, sourceMap, argument, names, environment));
}

function applyOverride(data: unknown, sourceMap: SourceMap, argument: string, names: OverrideNames, environment: Environment): Diagnostic[] {
  const file = `--set ${argument}`;
  const at = (column: number): Position => ({ file, line: 1, column });
  const equals = argument.indexOf("=");
  if (equals <= 0) return [diagnosticAt(at(1), "an override has the form path.to.key=value", "for example --set blur.sigma_px=8")];
  if (!isContainer(data)) return [];

  const written = argument.slice(0, equals).trim().split(".");
  const resolved = resolvePath(data, written, names);
  if ("message" in resolved) return [diagnosticAt(at(1), resolved.message, resolved.remedy)];
  const { path } = resolved;

  const text = argument.slice(equals + 1);
  const parsed = text.trim() === "" ? { data: null, diagnostics: [] } : parseYaml(text, file, environment);
  if (parsed.diagnostics.length > 0) return parsed.diagnostics.map((d) => ({ ...d, column: d.column + equals + 1 }));

  const parent = containerAt(data, path.slice(0, -1));
  if (parent === undefined) {
    return [diagnosticAt(at(1), `${written.slice(0, -1).join(".")} is not a block of keys, so nothing can be set in it`, "check the path against docs/configuration.md")];
  }
  const key = path.at(-1)!;
  sourceMap.forgetBelow(path);
  if (parsed.data === null && !Array.isArray(parent)) {
    delete parent[key];
    return [];
  }
  if (path[0] === "stages" && path.length === 4) {
    for (const other of names.alternatives(String(path[2]), String(key))) if (!Array.isArray(parent)) delete parent[other];
  }
  (parent as Record<string | number, unknown>)[key] = parsed.data;
  sourceMap.set(path, at(equals + 2), at(1));
  return [];
}

function resolvePath(
  data: Container,
  written: readonly string[],
  names: OverrideNames,
): { readonly path: ConfigPath } | { readonly message: string; readonly remedy: string } {
  const [first, ...rest] = written as [string, ...string[]];
  if (written.some((part) => part === "")) return { message: "a part of the path is empty", remedy: "write path.to.key=value" };
  const inStages = first === "stages" ? rest : !names.rootKeys.includes(first) && names.stageKinds.includes(first) ? written : undefined;
  if (inStages === undefined) return checkRoot(first, written, names);
  const [kind, ...below] = inStages;
  if (kind === undefined) return { path: ["stages"] };
  const stages = Array.isArray(data) ? undefined : data["stages"];
  const list: unknown[] = Array.isArray(stages) ? stages : [];
  if (/^\d+$/.test(kind)) {
    return Number(kind) < list.length
      ? { path: ["stages", Number(kind), ...below] }
      : { message: `there is no stage number ${kind}: stages count from 0`, remedy: "name the stage by its kind: stages.blur.sigma_px=8" };
  }
  const index = list.findIndex((stage) => isContainer(stage) && !Array.isArray(stage) && Object.hasOwn(stage, kind));
  if (index >= 0) return { path: ["stages", index, kind, ...below] };
  const guess = closest(kind, names.stageKinds);
  return names.stageKinds.includes(kind)
    ? { message: `the configuration has no stage ${kind}`, remedy: `add "- ${kind}: {}" to its stages` }
    : { message: `${kind} is no kind of stage`, remedy: guess ? `did you mean ${guess}?` : `known kinds: ${names.stageKinds.join(", ")}` };
}

function checkRoot(first: string, written: readonly string[], names: OverrideNames): { readonly path: ConfigPath } | { readonly message: string; readonly remedy: string } {
  if (names.rootKeys.includes(first)) return { path: written.map((part) => (/^\d+$/.test(part) ? Number(part) : part)) };
  const known = [...names.rootKeys, ...names.stageKinds];
  const guess = closest(first, known);
  return { message: `${first} is no key of the configuration and no kind of stage`, remedy: guess ? `did you mean ${guess}?` : `known: ${known.join(", ")}` };
}

/** The map or list at a path. Missing and null maps on the way are created; undefined where something else stands there. */
function containerAt(root: Container, path: ConfigPath): Container | undefined {
  let current: Container = root;
  for (const part of path) {
    let next: unknown = (current as Record<string | number, unknown>)[part];
    if (next === undefined || next === null) {
      if (Array.isArray(current)) return undefined;
      next = Object.create(null);
      current[part] = next;
    }
    if (!isContainer(next)) return undefined;
    current = next;
  }
  return current;
}

function isContainer(value: unknown): value is Container {
  return typeof value === "object" && value !== null;
}
