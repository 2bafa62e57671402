/** A configuration file and the command line's overrides to a checked configuration, or every mistake at once. */
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { z } from "zod";
import { ConfigError, type Diagnostic } from "../core/errors.ts";
import { checkStages } from "./check-stages.ts";
import { explainIssues } from "./explain-issues.ts";
import type { Environment } from "./interpolation.ts";
import { isObject, type JsonSchema } from "./json-schema.ts";
import { applyOverrides, type OverrideNames } from "./overrides.ts";
import { parseYaml, YAML_LIMITS } from "./parse-yaml.ts";
import { type PipelineConfig, pipelineConfig, pipelineJsonSchema, type StageConfigs } from "./pipeline-config.ts";
import { resolvePaths } from "./resolve-paths.ts";
import type { ConfigPath, Position, SourceMap } from "./source-map.ts";
import { isStageKind, MODULE, STAGE_ALTERNATIVES, STAGE_KINDS, type StageKind } from "./stage-kinds.ts";
import type { moduleConfig, StageModule } from "./stage-modules.ts";

export interface LoadOptions {
  /** `path.to.key=value`, in the order given. */
  readonly overrides?: readonly string[];
  readonly environment?: Environment;
}

export interface LoadedConfig {
  /** Absolute. */
  readonly file: string;
  readonly config: PipelineConfig;
}

/** Reads and checks a file; nothing that it names is opened. Throws ConfigError. */
export async function loadConfig(file: string, options: LoadOptions = {}): Promise<LoadedConfig> {
  return { file: path.resolve(file), config: parseConfig(await readConfigFile(file), file, options) };
}

/** Throws ConfigError with every mistake. `file` names the text in diagnostics and anchors relative paths. */
export function parseConfig(text: string, file: string, { overrides = [], environment = process.env }: LoadOptions = {}): PipelineConfig {
  const { data, sourceMap, diagnostics, unreadable } = parseYaml(text, file, environment);
  if (data === undefined) throw new ConfigError(diagnostics);
  const schema = pipelineJsonSchema() as JsonSchema;
  const found: Diagnostic[] = [...diagnostics];
  found.push(...applyOverrides(data, sourceMap, overrides, overrideNames(schema), environment));

  const stages = isObject(data) && Array.isArray(data["stages"]) ? (data["stages"] as unknown[]) : undefined;
  const stageCheck = stages === undefined ? undefined : checkStages(stages, sourceMap);
  found.push(...(stageCheck?.diagnostics ?? []));

  const result = pipelineConfig.safeParse(data);
  if (!result.success) {
    const issues = result.error.issues.filter((issue) => !isCoveredByStageCheck(issue.path, issue.code, stageCheck?.wellFormed));
    found.push(...explainIssues(issues, { data, schema, sourceMap, unreadable }));
  }
  if (found.length > 0 || !result.success) throw new ConfigError(inReadingOrder(found, file));

  const items = result.data.stages.flatMap((stage) => Object.entries(stage));
  const byKind = Object.fromEntries(items.filter(([kind]) => kind !== MODULE));
  const modules = items.flatMap(([kind, block], index) => (kind === MODULE ? [stageModule(block as ModuleConfig, index, items, sourceMap)] : []));
  return resolvePaths({ ...result.data, stages: byKind as unknown as StageConfigs, modules }, path.dirname(path.resolve(file)));
}

type ModuleConfig = z.output<typeof moduleConfig>;

function stageModule({ path: file, options }: ModuleConfig, index: number, items: readonly (readonly [string, unknown])[], sourceMap: SourceMap): StageModule {
  const next = items.slice(index).find(([kind]) => kind !== MODULE)!;
  const place = (part: ConfigPath, side: "key" | "value" = "value"): Position => sourceMap[`${side}At`](["stages", index, MODULE, ...part]);
  return { path: file, options, before: next[0] as StageKind, place };
}

async function readConfigFile(file: string): Promise<string> {
  const wrong = (message: string, remedy: string): ConfigError => new ConfigError([{ file, line: 1, column: 1, message, remedy }]);
  try {
    const { size } = await stat(file);
    // UTF-8 takes at most four bytes a character; the exact limit is checked on the text.
    if (size > 4 * YAML_LIMITS.num_characters) throw wrong(`the file has ${size} bytes`, "a configuration is a short file: is this the right one?");
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (error instanceof TypeError) throw wrong("the file is not UTF-8 text", "save it as UTF-8");
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") throw wrong("there is no such file", "give the path of a configuration, for example pipelines/select.yaml");
    if (code === "EISDIR") throw wrong("this is a folder", "give the path of a configuration in it");
    throw wrong(`the file can't be read: ${(error as Error).message}`, "check its permissions");
  }
}

/** The stage list's own check words these better, or found a value that is not worth validating. */
function isCoveredByStageCheck(issuePath: readonly PropertyKey[], code: string, wellFormed: ReadonlySet<number> | undefined): boolean {
  if (wellFormed === undefined || issuePath[0] !== "stages" || typeof issuePath[1] !== "number") return false;
  if (!wellFormed.has(issuePath[1])) return true;
  const kind = issuePath[2];
  if (code !== "custom" || typeof kind !== "string" || !isStageKind(kind)) return false;
  const alternatives = STAGE_ALTERNATIVES[kind]?.keys ?? [];
  return issuePath.length === 3 || alternatives.includes(String(issuePath[3]));
}

function overrideNames(schema: JsonSchema): OverrideNames {
  return {
    rootKeys: Object.keys(schema.properties ?? {}),
    stageKinds: [...STAGE_KINDS, MODULE],
    alternatives: (kind, key) => {
      const keys = isStageKind(kind) ? (STAGE_ALTERNATIVES[kind]?.keys ?? []) : [];
      return keys.includes(key) ? keys.filter((other) => other !== key) : [];
    },
  };
}

/** The file from top to bottom, then overrides; one mistake once. */
function inReadingOrder(diagnostics: readonly Diagnostic[], file: string): Diagnostic[] {
  const unique = new Map(diagnostics.map((d) => [`${d.file}:${d.line}:${d.column}:${d.message}`, d]));
  return [...unique.values()].sort((a, b) => Number(a.file !== file) - Number(b.file !== file) || a.line - b.line || a.column - b.column);
}
