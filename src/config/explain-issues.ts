/** zod's findings as diagnostics: where it stands, what is wrong, what to write instead. */
import type { z } from "zod";
import type { Diagnostic } from "../core/errors.ts";
import { closest } from "./did-you-mean.ts";
import { isObject, type JsonSchema, schemaAt, valueAt } from "./json-schema.ts";
import { type ConfigPath, diagnosticAt, type SourceMap } from "./source-map.ts";

type Issue = z.core.$ZodIssue;

interface Found {
  readonly data: unknown;
  readonly schema: JsonSchema;
  readonly sourceMap: SourceMap;
  /** Places that have a diagnostic already. */
  readonly unreadable: readonly ConfigPath[];
}

export function explainIssues(issues: readonly Issue[], found: Found): Diagnostic[] {
  return issues
    .flatMap((issue) => flatten(issue, found.data))
    .filter((issue) => !found.unreadable.some((path) => isSamePath(path, issue.path)))
    .flatMap((issue) => explain(issue, found));
}

function isSamePath(a: ConfigPath, b: readonly PropertyKey[]): boolean {
  return a.length === b.length && a.every((part, i) => part === b[i]);
}

/** Unions replaced by the findings of the branch that was meant; paths counted from the root. */
function flatten(issue: Issue, data: unknown): Issue[] {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return [issue];
  const value = valueAt(data, issue.path as ConfigPath);
  if (value === undefined) return [issue];
  const keys = isObject(value) ? Object.keys(value) : [];
  const branches = issue.errors.filter((errors) => !errors.some((e) => e.path.length === 0 && e.code === "invalid_type"));
  const isMeant = (errors: readonly Issue[]): boolean =>
    !errors.some((e) => e.code === "unrecognized_keys" && e.path.length === 0 && e.keys.some((key) => keys.includes(key)));
  const chosen = branches.find(isMeant) ?? (branches.length === 1 ? branches[0] : undefined);
  if (chosen === undefined) return [issue];
  return chosen.flatMap((inner) => flatten({ ...inner, path: [...issue.path, ...inner.path] }, data));
}

function explain(issue: Issue, { data, schema, sourceMap, unreadable }: Found): Diagnostic[] {
  const path = issue.path as ConfigPath;
  const name = nameOf(path);
  const value = valueAt(data, path);
  const expected = schemaAt(schema, data, path);

  if (issue.code === "unrecognized_keys") {
    const known = Object.keys(expected?.properties ?? {});
    return issue.keys.filter((key) => !unreadable.some((p) => isSamePath(p, [...path, key]))).map((key) => {
      const guess = closest(key, known.filter((k) => !isObject(value) || !Object.hasOwn(value, k)));
      const remedy = guess ? `did you mean ${guess}?` : `known keys: ${known.join(", ") || "none"}`;
      return diagnosticAt(sourceMap.keyAt([...path, key]), `unknown key ${key}${name === "" ? "" : ` in ${name}`}`, remedy);
    });
  }
  if (value === undefined && issue.code !== "custom") {
    const key = String(path.at(-1) ?? "the configuration");
    const meaning = expected?.description;
    return [diagnosticAt(sourceMap.keyAt(path.slice(0, -1)), `${name} is missing`, `add "${key}: ${exampleOf(expected)}"${meaning ? `: ${lowerFirst(meaning)}` : ""}`)];
  }
  const { message, remedy } = describe(issue, value, expected);
  return [diagnosticAt(sourceMap.valueAt(path), `${name === "" ? "the configuration" : name} ${message}`, remedy)];
}

function describe(issue: Issue, value: unknown, expected: JsonSchema | undefined): { readonly message: string; readonly remedy?: string } {
  switch (issue.code) {
    case "invalid_type": {
      const isQuoted = typeof value === "string" && value.trim() !== "" && (issue.expected === "number" || issue.expected === "int") && Number.isFinite(Number(value));
      const remedy = isQuoted ? "remove the quotes" : value === null ? "write a value behind the colon" : undefined;
      return { message: `must be ${TYPE_NAMES[issue.expected] ?? issue.expected}, but is ${show(value)}`, ...(remedy ? { remedy } : {}) };
    }
    case "too_small":
      if (issue.origin === "string" || issue.origin === "array") return { message: "must not be empty" };
      return { message: `must be ${issue.inclusive ? "at least" : "more than"} ${issue.minimum}, but is ${show(value)}` };
    case "too_big":
      return { message: `must be ${issue.inclusive ? "at most" : "less than"} ${issue.maximum}, but is ${show(value)}` };
    case "invalid_value":
      return oneOf(issue.values, value);
    case "invalid_union": {
      const options = (issue as { readonly options?: readonly unknown[] }).options;
      if (options !== undefined) return oneOf(options, value);
      const types = [...new Set((expected?.anyOf ?? expected?.oneOf ?? []).map((branch) => TYPE_NAMES[branch.type ?? ""] ?? "a value"))];
      return { message: `must be ${types.join(" or ") || "of another kind"}, but is ${show(value)}` };
    }
    case "invalid_format":
      return { message: `can't be ${show(value)}`, remedy: issue.message };
    case "custom": {
      const remedy = (issue.params as { readonly remedy?: unknown } | undefined)?.remedy;
      return { message: `is wrong: ${issue.message}`, ...(typeof remedy === "string" ? { remedy } : {}) };
    }
    case "invalid_element":
    case "invalid_key":
    case "not_multiple_of":
    case "unrecognized_keys":
      return { message: `is wrong: ${issue.message}` };
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  integer: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a block of keys",
  record: "a block of keys",
};

function oneOf(values: readonly unknown[], value: unknown): { readonly message: string; readonly remedy?: string } {
  const names = values.map(String);
  const guess = typeof value === "string" ? closest(value, names) : undefined;
  const message = names.length === 1 ? `must be ${names[0]!}, but is ${show(value)}` : `must be one of ${names.join(", ")}, but is ${show(value)}`;
  if (guess === undefined) return { message };
  return { message, remedy: guess === value ? "remove the quotes" : `did you mean ${guess}?` };
}

/** As a user would name it: `blur.sigma_px`, `source.kind`, `stages[2]`. */
function nameOf(path: ConfigPath): string {
  const inStage = path[0] === "stages" && typeof path[1] === "number" && path.length > 2;
  return (inStage ? path.slice(2) : path).reduce<string>((name, part) => (typeof part === "number" ? `${name}[${part}]` : name === "" ? part : `${name}.${part}`), "");
}

function show(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function exampleOf(schema: JsonSchema | undefined): string {
  if (schema?.const !== undefined) return JSON.stringify(schema.const);
  if (schema?.default !== undefined) return JSON.stringify(schema.default);
  return schema?.type === "array" ? "[...]" : schema?.type === "object" ? "{...}" : "...";
}

function lowerFirst(text: string): string {
  return text.replace(/^[A-Z](?![A-Z])/, (letter) => letter.toLowerCase()).replace(/\.$/, "");
}
