/** How many inference processes share a card: while one prepares inputs the others have it. */
import type { Model } from "../model/contract.ts";
import { smallestCardBytes } from "../model/card-memory.ts";
import { estimateCardProcess } from "./memory-estimate.ts";

export interface CardShare {
  /** Of the smallest card; undefined where nvidia-smi does not say. */
  readonly card_bytes?: number;
  /** One process: weights and working memory. */
  readonly process_bytes: number;
  readonly num_processes: number;
}

/** On an H100 the second process of a 7B model is worth 3 percent, a third nothing (docs/gpu.md). */
const MAX_PROCESSES = 2;
/** Of a card's memory: the rest is the driver's and a display's. */
const USABLE_FRACTION = 0.95;

/**
 * By the card's whole memory, not what is free: the same card gives the same number every time. It moves no stored
 * number (batches are cut by max_batch_tokens alone).
 */
export async function shareCard(model: Model, maxBatchTokens: number, readCardBytes = smallestCardBytes): Promise<CardShare> {
  const [process_bytes, card_bytes] = await Promise.all([estimateCardProcess(model, maxBatchTokens), readCardBytes()]);
  if (card_bytes === undefined) return { process_bytes, num_processes: 1 };
  const num_fit = Math.floor((USABLE_FRACTION * card_bytes) / process_bytes);
  return { card_bytes, process_bytes, num_processes: Math.min(MAX_PROCESSES, Math.max(1, num_fit)) };
}
