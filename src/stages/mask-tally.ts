import type { MaskCounts } from "../core/selection.ts";
import type { ScoredRows } from "./scored-rows.ts";

/** What a mask has seen and kept so far. */
export class MaskTally {
  readonly #tau: number;
  #numVig = 0;
  #numTextOnly = 0;
  #numKeptVig = 0;
  #numTies = 0;
  #numVigTokens = 0;
  #numTextOnlyTokens = 0;
  #numVigActive = 0;

  constructor(tau: number) {
    this.#tau = tau;
  }

  /** Tokens of all rows of a batch: the most that its masks can need. */
  countTokens(rows: ScoredRows): number {
    let numTokens = 0;
    for (let row = 0; row < rows.numRows; row++) numTokens += rows.numTokens(row);
    return numTokens;
  }

  addTextOnly(numTokens: number): void {
    this.#numTextOnly++;
    this.#numTextOnlyTokens += numTokens;
  }

  addVig(vig: number, numTokens: number, kept: boolean, numActive: number): void {
    this.#numVig++;
    this.#numVigTokens += numTokens;
    this.#numVigActive += numActive;
    if (kept) this.#numKeptVig++;
    if (vig === this.#tau) this.#numTies++;
  }

  counts(near_zero: MaskCounts["near_zero"]): MaskCounts {
    return {
      num_vig: this.#numVig,
      num_text_only: this.#numTextOnly,
      num_kept_vig: this.#numKeptVig,
      num_ties: this.#numTies,
      num_tokens: this.#numVigTokens + this.#numTextOnlyTokens,
      num_vig_tokens: this.#numVigTokens,
      num_active: this.#numVigActive + this.#numTextOnlyTokens,
      num_vig_active: this.#numVigActive,
      near_zero,
    };
  }
}
