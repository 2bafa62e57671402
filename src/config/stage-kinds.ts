/** Every kind of stage that a configuration may name, in the order in which they must stand. One line a stage. */
import { blurConfig } from "../stages/blur.ts";
import { decodeConfig } from "../stages/decode.ts";
import { maskConfig } from "../stages/mask.ts";
import { pairedInferenceConfig } from "../stages/paired-inference.ts";
import { quantileThresholdConfig } from "../stages/quantile-threshold.ts";
import { tokenDeltaConfig } from "../stages/token-delta.ts";

export const STAGE_CONFIGS = {
  decode: decodeConfig,
  blur: blurConfig,
  paired_inference: pairedInferenceConfig,
  token_delta: tokenDeltaConfig,
  quantile_threshold: quantileThresholdConfig,
  mask: maskConfig,
} as const;

export type StageKind = keyof typeof STAGE_CONFIGS;

export const STAGE_KINDS = Object.keys(STAGE_CONFIGS) as readonly StageKind[];

/** The key of a list item that names a stage of the user's own. */
export const MODULE = "module";

/** Keys of which at most one may be given; where `required`, exactly one. */
export interface Alternatives {
  readonly keys: readonly string[];
  readonly required: boolean;
}

export const STAGE_ALTERNATIVES: Readonly<Partial<Record<StageKind, Alternatives>>> = {
  blur: { keys: ["sigma_fraction", "sigma_px"], required: false },
  quantile_threshold: { keys: ["top_percent", "tau", "tau_from"], required: true },
};

export function isStageKind(name: string): name is StageKind {
  return Object.hasOwn(STAGE_CONFIGS, name);
}
