import { PlanError } from "../../core/errors.ts";
import type { FamilyEntry } from "./family.ts";
import { llava } from "./llava.ts";

export const FAMILIES: readonly FamilyEntry[] = [llava];

/** The family that serves a model_type. Throws PlanError naming the supported ones. */
export function familyOf(model_type: string): FamilyEntry {
  const found = FAMILIES.find((family) => family.model_types.includes(model_type));
  if (found) return found;
  const supported = FAMILIES.flatMap((family) => family.model_types).sort();
  throw new PlanError(`model_type "${model_type}" is not supported; supported are ${supported.join(", ")}`, {
    remedy: "use a model of a supported family",
  });
}
