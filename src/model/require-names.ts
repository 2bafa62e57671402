import { PlanError } from "../core/errors.ts";
import type { GraphValue } from "./graph-file.ts";

/** A graph as its file or its session describes it. */
export interface NamedGraph {
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
}

/** Throws PlanError that names what the graph lacks and what it has. */
export function requireNames(name: string, { inputs, outputs }: NamedGraph, wanted: { readonly inputs?: readonly string[]; readonly outputs?: readonly string[] }): void {
  const lacking = (kind: string, names: readonly string[], values: readonly GraphValue[]) =>
    names.filter((one) => !values.some((value) => value.name === one)).map((one) => `${kind} ${one}`);
  const missing = [...lacking("input", wanted.inputs ?? [], inputs), ...lacking("output", wanted.outputs ?? [], outputs)];
  if (missing.length === 0) return;
  const found = `inputs ${inputs.map((value) => value.name).join(", ")}; outputs ${outputs.map((value) => value.name).join(", ")}`;
  throw new PlanError(`the graph ${name} lacks ${missing.join(" and ")}; it has ${found}`, {
    remedy: "export the model in the transformers.js / onnx-community layout",
  });
}
