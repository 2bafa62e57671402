import { type Field, type RecordBatch, Schema } from "apache-arrow";
import { selectionSchema } from "../core/columns.ts";
import type { RowDecision } from "../core/output.ts";
import type { MaskCounts, Masker } from "../core/selection.ts";
import { fillLossMask, keepsSample, type ThresholdGranularity } from "../kernels/loss-mask.ts";
import { MaskTally } from "./mask-tally.ts";
import { NearZeroCount, nearZeroWarning } from "./near-zero.ts";
import { ScoredRows } from "./scored-rows.ts";
import { CARRIED_COLUMNS, KeptRows, takeSelection } from "./selection-rows.ts";

/** Keeps samples, tokens or both at one tau. Needs no pass before `select`. */
export class ThresholdMasker implements Masker {
  readonly columns = null;
  readonly decideColumns: readonly string[];
  readonly selectColumns: readonly string[];
  readonly #granularity: ThresholdGranularity;
  readonly #tau: number;
  readonly #schema: Schema;
  readonly #nearZero: NearZeroCount;
  readonly #readsTokenVig: boolean;
  readonly #tally: MaskTally;

  constructor(granularity: ThresholdGranularity, tau: number, passedThrough: readonly Field[]) {
    this.#granularity = granularity;
    this.#tau = tau;
    this.#schema = new Schema([...selectionSchema.fields, ...passedThrough]);
    this.#nearZero = new NearZeroCount(granularity, tau);
    this.#readsTokenVig = granularity !== "sample" || this.#nearZero.needsTokenVig;
    this.#tally = new MaskTally(tau);
    this.decideColumns = ["vig", "num_tokens", ...(this.#readsTokenVig ? ["token_vig"] : [])];
    this.selectColumns = [...new Set([...CARRIED_COLUMNS, ...this.decideColumns]), ...passedThrough.map((field) => field.name)];
  }

  observe(): void {}

  endPass(): void {}

  select(scores: RecordBatch): RecordBatch {
    return takeSelection(scores, this.decide(scores), this.#schema);
  }

  decide(scores: RecordBatch): RowDecision {
    const rows = new ScoredRows(scores, this.#readsTokenVig);
    const kept = new KeptRows(rows.numRows, this.#tally.countTokens(rows));
    for (let row = 0; row < rows.numRows; row++) {
      const numTokens = rows.numTokens(row);
      if (rows.isTextOnly(row)) {
        kept.mask.fill(1, kept.maskEnd, kept.maskEnd + numTokens);
        kept.keep(row, numTokens, numTokens, true);
        this.#tally.addTextOnly(numTokens);
        continue;
      }
      this.#nearZero.add(rows, row);
      const keep = keepsSample(this.#granularity, rows.vig(row), this.#tau);
      let numActive = 0;
      if (keep) {
        const start = rows.tokenStart(row);
        numActive = fillLossMask(this.#granularity, rows.tokenVigValues, start, start + numTokens, this.#tau, kept.mask, kept.maskEnd);
        kept.keep(row, numTokens, numActive, false);
      }
      this.#tally.addVig(rows.vig(row), numTokens, keep, numActive);
    }
    return kept.toDecision();
  }

  counts(): MaskCounts {
    return this.#tally.counts(this.#nearZero.shares());
  }

  warnings() {
    return nearZeroWarning(this.#tau, this.counts());
  }
}
