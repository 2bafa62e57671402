/**
 * Stages from a user's own files: `- module: { path: ./my-stage.ts, options: { ... } }`. Parsing a configuration runs
 * no code; planning it (validate included) imports the module, which is running it (docs/security.md).
 */
import { readFile } from "node:fs/promises";
import nodeModule from "node:module";
import { pathToFileURL } from "node:url";
import { createHash } from "node:crypto";
import { z } from "zod";
import { ConfigError, type Diagnostic } from "../core/errors.ts";
import type { MapStage } from "../core/stage.ts";
import { canonicalJson } from "./canonical-json.ts";
import { checkedStage } from "./checked-stage.ts";
import { type ConfigPath, diagnosticAt, type Position } from "./source-map.ts";
import { isStageKind, type StageKind } from "./stage-kinds.ts";

const EXTENSIONS = /\.(?:ts|mts|js|mjs)$/;

export const moduleConfig = z
  .strictObject({
    path: z
      .string()
      .regex(EXTENSIONS, "a stage's module is a file that ends in .ts, .mts, .js or .mjs")
      .describe("The module's file. Relative to this file. Its code runs whenever the configuration is planned, also by `pipeline validate`."),
    options: z.record(z.string(), z.unknown()).prefault({}).describe("Checked by the `config` that the module exports, and handed to its `stage`."),
  })
  .describe("A stage of your own, from a module that exports `config` and `stage` (docs/library.md). May stand anywhere before quantile_threshold, any number of times.");

/** A module that a configuration names; nothing of it has been read. */
export interface StageModule {
  /** Absolute. */
  readonly path: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** The kind of the next stage that is not a module: the module's stage runs right before it. */
  readonly before: StageKind;
  /** Where a part of the module's block was written; `[]` is the block itself. */
  readonly place: (part: ConfigPath, side?: "key" | "value") => Position;
}

/** A module's stage, ready for the plan. */
export interface LoadedModule {
  readonly before: StageKind;
  readonly stage: MapStage;
  /** sha256 (hex) of the module's file: part of the plan hash. What the module imports is not covered. */
  readonly digest: string;
}

/** Imports the modules, one after the other, in their order. Throws ConfigError with everything that is wrong. */
export async function loadStageModules(modules: readonly StageModule[]): Promise<readonly LoadedModule[]> {
  const loaded: LoadedModule[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const module of modules) {
    try {
      const found = await loadStageModule(module);
      const clash = loaded.some(({ stage }) => stage.kind === found.stage.kind) || found.stage.kind === "tokenize" || isStageKind(found.stage.kind);
      if (clash) throw wrong(module, ["path"], `the kind ${found.stage.kind} is another stage's`, "give the stage a kind of its own");
      loaded.push(found);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      diagnostics.push(...error.diagnostics);
    }
  }
  if (diagnostics.length > 0) throw new ConfigError(diagnostics);
  return loaded;
}

async function loadStageModule(module: StageModule): Promise<LoadedModule> {
  const bytes = await readFile(module.path).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === "ENOENT" ? "there is no such file" : error.code === "EISDIR" ? "this is a folder" : error.message;
    throw wrong(module, ["path"], `${module.path}: ${reason}`, "give the path of the stage's module, relative to this configuration");
  });
  const exported = await importModule(module);
  const { config, stage: makeStage } = exported;
  const names = Object.keys(exported).join(", ") || "nothing";
  if (!isSchema(config)) throw wrong(module, ["path"], `${module.path} exports no config`, `export const config = z.strictObject({ ... }); it exports: ${names}`);
  if (typeof makeStage !== "function") throw wrong(module, ["path"], `${module.path} exports no function stage`, `export function stage(options) that returns a MapStage; it exports: ${names}`);
  const options = parseOptions(module, config);
  const made = attempt(module, () => (makeStage as (options: unknown) => unknown)(options));
  const problem = describeProblem(made);
  if (problem !== undefined) throw wrong(module, ["path"], `what stage(options) of ${module.path} returns is no MapStage: ${problem}`, "see docs/library.md for the contract");
  const stage = checkedStage({ ...bound(made as MapStage), config: options }, module.path);
  return { before: module.before, stage, digest: createHash("sha256").update(bytes).digest("hex") };
}

async function importModule(module: StageModule): Promise<Readonly<Record<string, unknown>>> {
  await prepareImports(module.path);
  try {
    return (await import(`${pathToFileURL(module.path).href}${AS_MODULE}`)) as Record<string, unknown>;
  } catch (error) {
    throw wrong(module, ["path"], `${module.path} can't be loaded: ${firstLine(error)}`, "mend the module or the path");
  }
}

const OWN_NAME = "vig-pipeline";
/** Asks the hook below to take a file for an ES module whatever the package.json above it says, or where there is none. */
const AS_MODULE = "?stage";
let ownNameResolves = false;
let typescriptLoads = !import.meta.url.endsWith(".js");

/** Makes `import ... from "vig-pipeline"` in a module this running copy, wherever the module lies, and TypeScript loadable. */
async function prepareImports(path: string): Promise<void> {
  if (/ts$/.test(path) && !typescriptLoads) {
    typescriptLoads = true;
    (await import("tsx/esm/api")).register();
  }
  if (ownNameResolves) return;
  ownNameResolves = true;
  const own = new URL(import.meta.url.endsWith(".js") ? "../index.js" : "../index.ts", import.meta.url).href;
  // Hooks in this thread run before those in another, so where Node has them they are used, as tsx does.
  const names = [own, OWN_NAME, AS_MODULE] as const;
  const { registerHooks } = nodeModule as { readonly registerHooks?: (hooks: { readonly resolve: (name: string, context: unknown, next: Next) => unknown }) => void };
  if (registerHooks) {
    registerHooks({ resolve: (name, context, next) => resolveImport(name, context, next, ...names) });
    return;
  }
  const text = `${resolveImport.toString()}\nexport const resolve = (name, context, next) => resolveImport(name, context, next, ...${JSON.stringify(names)});`;
  nodeModule.register(`data:text/javascript,${encodeURIComponent(text)}`);
}

type Next = (name: string, context: unknown) => unknown;

/** A hook of Node's module loader. Its text is handed to another thread, so it uses nothing but its arguments. */
function resolveImport(name: string, context: unknown, next: Next, own: string, ownName: string, asModule: string): unknown {
  const url = name === ownName ? own : name.startsWith("file:") && name.endsWith(asModule) ? name : undefined;
  return url === undefined ? next(name, context) : { url, format: "module", shortCircuit: true };
}

/** As much of zod as is used, so that a module may bring its own version. */
interface OptionsSchema {
  safeParse(value: unknown):
    | { readonly success: true; readonly data: unknown }
    | { readonly success: false; readonly error: { readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string; readonly keys?: readonly string[] }[] } };
}

function isSchema(value: unknown): value is OptionsSchema {
  return typeof value === "object" && value !== null && typeof (value as Partial<OptionsSchema>).safeParse === "function";
}

function parseOptions(module: StageModule, config: OptionsSchema): Readonly<Record<string, unknown>> {
  const result = attempt(module, () => config.safeParse(module.options));
  if (!result.success) {
    throw new ConfigError(
      result.error.issues.map(({ path, message, keys }) => {
        const part = [...path, ...(keys?.slice(0, 1) ?? [])].map((key) => (typeof key === "number" ? key : String(key)));
        return diagnosticAt(module.place(["options", ...part], keys ? "key" : "value"), `${["options", ...part].join(".")}: ${message}`, `${module.path} says what it takes`);
      }),
    );
  }
  const { data } = result;
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw wrong(module, ["path"], `config of ${module.path} gives no object`, "export const config = z.strictObject({ ... })");
  // They become part of the plan hash.
  attempt(module, () => canonicalJson(data));
  return data as Record<string, unknown>;
}

function attempt<T>(module: StageModule, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw wrong(module, ["options"], `${module.path} refuses its options: ${firstLine(error)}`, `${module.path} says what it takes`);
  }
}

/** Methods of a class instance, too, survive being spread. */
function bound(stage: MapStage): MapStage {
  const { kind, version, concurrency, config } = stage;
  return { kind, version, concurrency, config, outputSchema: (input) => stage.outputSchema(input), open: (signal) => stage.open(signal) };
}

function describeProblem(made: unknown): string | undefined {
  if (typeof made !== "object" || made === null) return `it is ${made === null ? "null" : typeof made}`;
  const { kind, version, concurrency, outputSchema, open } = made as Partial<MapStage>;
  if (typeof kind !== "string" || !/^[a-z][a-z0-9_]{0,49}$/.test(kind)) return "kind must be a name in lower case with underscores";
  if (!Number.isInteger(version) || version! < 1) return "version must be a whole number of at least 1";
  if (!Number.isInteger(concurrency) || concurrency! < 1) return "concurrency must be a whole number of at least 1";
  if (typeof outputSchema !== "function") return "outputSchema must be a function";
  if (typeof open !== "function") return "open must be a function";
  return undefined;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}

function wrong(module: StageModule, part: ConfigPath, message: string, remedy: string): ConfigError {
  return new ConfigError([diagnosticAt(module.place(part), message, remedy)]);
}
