import { packBatches, type PackedBatches } from "../kernels/pack-batches.ts";
import type { PairedInferenceConfig } from "./paired-inference.ts";

/**
 * What starting a forward pass costs beside its positions, in positions. Little: on the shipped data set a batch that fits
 * the cache gains more than its start costs (`npm run bench:packing`).
 */
const OVERHEAD_POSITIONS = 32;

/** Cuts a split's sequences, given their lengths in positions, into batches under the stage's budget. */
export function packInferenceBatches(lengths: ArrayLike<number>, config: PairedInferenceConfig): PackedBatches {
  return packBatches(lengths, { maxBatchPositions: config.max_batch_tokens, overheadPositions: OVERHEAD_POSITIONS });
}
