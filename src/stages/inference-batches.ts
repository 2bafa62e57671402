import { packBatches, type PackedBatches } from "../kernels/pack-batches.ts";
import type { PairedInferenceConfig } from "./paired-inference.ts";

/** What starting a forward pass costs beside its positions, in positions: about what 128 tokens cost, twice. */
const OVERHEAD_POSITIONS = 256;

/** Cuts a split's sequences, given their lengths in positions, into batches under the stage's budget. */
export function packInferenceBatches(lengths: ArrayLike<number>, config: PairedInferenceConfig): PackedBatches {
  return packBatches(lengths, { maxBatchPositions: config.max_batch_tokens, overheadPositions: OVERHEAD_POSITIONS });
}
