import type { DecoderRow } from "./decoder-batch.ts";
import type { Family } from "./families/family.ts";

/** Positions of a batch of `checkRows`. */
export const CHECK_LENGTH = 12;

/** Rows of low ids, which every vocabulary has; the second is shorter, so that padding is part of the check. */
export function checkRows(family: Family): DecoderRow[] {
  return [CHECK_LENGTH, CHECK_LENGTH - 4].map((length, row) => {
    const input_ids = Int32Array.from({ length }, (_, i) => {
      const id = 3 + ((7 * i + 5 * row) % 29);
      return id === family.image_token_id ? 3 : id;
    });
    return { input_ids, answer_positions: Int32Array.of(2, 3, length - 1), images: [] };
  });
}
