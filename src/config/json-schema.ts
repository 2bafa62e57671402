/** Finding one's way in the generated JSON Schema: what is allowed at a place of a configuration. */
import type { ConfigPath } from "./source-map.ts";

/** The parts of JSON Schema that zod generates for this project. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minItems?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

/** The schema of the value at `path` of `data`, alternatives chosen by what `data` holds; undefined for unknown places. */
export function schemaAt(schema: JsonSchema, data: unknown, path: ConfigPath): JsonSchema | undefined {
  let current: JsonSchema | undefined = choose(schema, data);
  let value = data;
  for (const part of path) {
    value = isObject(value) ? value[part] : undefined;
    const next: JsonSchema | undefined = typeof part === "number" ? current?.items : current?.properties?.[part];
    if (next === undefined) return undefined;
    current = choose(next, value);
  }
  return current;
}

/** Of alternatives, the one that the value's discriminator, sole key or type asks for. */
function choose(schema: JsonSchema, value: unknown): JsonSchema {
  const branches = schema.oneOf ?? schema.anyOf;
  if (branches === undefined) return schema;
  return branches.find((branch) => isMeant(branch, value)) ?? schema;
}

function isMeant(branch: JsonSchema, value: unknown): boolean {
  if (Array.isArray(value)) return branch.type === "array";
  if (!isObject(value)) return branch.type === typeof value;
  const properties = Object.entries(branch.properties ?? {});
  const discriminators = properties.filter(([, property]) => property.const !== undefined);
  if (discriminators.length > 0) return discriminators.every(([key, property]) => value[key] === property.const);
  return branch.type === "object" && (branch.required ?? []).every((key) => Object.hasOwn(value, key));
}

export function isObject(value: unknown): value is Record<string | number, unknown> {
  return typeof value === "object" && value !== null;
}

export function valueAt(data: unknown, path: ConfigPath): unknown {
  return path.reduce<unknown>((value, part) => (isObject(value) && Object.hasOwn(value, part) ? value[part] : undefined), data);
}
