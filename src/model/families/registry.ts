import { PlanError } from "../../core/errors.ts";
import type { FamilyEntry } from "./family.ts";
import { gemma3, paligemma } from "./gemma.ts";
import { idefics3 } from "./idefics3.ts";
import { llavaOnevision } from "./llava-onevision.ts";
import { llavaQwen2 } from "./llava-qwen2.ts";
import { llava } from "./llava.ts";
import { qwen2Vl } from "./qwen2-vl.ts";

export const FAMILIES: readonly FamilyEntry[] = [llava, llavaOnevision, llavaQwen2, idefics3, qwen2Vl, paligemma, gemma3];

/** The family that serves a model_type. Throws PlanError naming the supported ones. */
export function familyOf(model_type: string): FamilyEntry {
  const found = FAMILIES.find((family) => family.model_types.includes(model_type));
  if (found) return found;
  const supported = FAMILIES.flatMap((family) => family.model_types).sort();
  throw new PlanError(`model_type "${model_type}" is not supported; supported are ${supported.join(", ")}`, {
    remedy: "use a model of a supported family",
  });
}
