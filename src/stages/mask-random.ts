import { type Field, type RecordBatch, Schema } from "apache-arrow";
import { selectionSchema } from "../core/columns.ts";
import { InternalError } from "../core/errors.ts";
import type { WarningCode } from "../core/progress.ts";
import type { RowDecision } from "../core/output.ts";
import type { MaskCounts, Masker } from "../core/selection.ts";
import { countActive, keepsSample } from "../kernels/loss-mask.ts";
import { SequentialSample } from "../kernels/sequential-sample.ts";
import { MaskTally } from "./mask-tally.ts";
import { NearZeroCount, nearZeroWarning } from "./near-zero.ts";
import { ScoredRows } from "./scored-rows.ts";
import { CARRIED_COLUMNS, KeptRows, takeSelection } from "./selection-rows.ts";

/** Streams of one seed: drawing samples and drawing tokens do not disturb each other. */
const SAMPLE_STREAM = 1;
const TOKEN_STREAM = 2;

/** `count`: what sample_and_token would keep. `measure`: tokens of the samples that are drawn. `ready`: select. */
type Step = "count" | "measure" | "ready";

/**
 * The random baseline: as many samples, and as many active tokens among theirs, as sample_and_token keeps at tau.
 * What is drawn depends on the seed and on the samples' positions alone. Two passes before `select`; the drawing of samples is
 * repeated in each rather than remembered. Memory: fixed.
 */
export class RandomMasker implements Masker {
  readonly decideColumns: readonly string[];
  readonly selectColumns: readonly string[];
  readonly #tau: number;
  readonly #seed: number;
  readonly #schema: Schema;
  readonly #nearZero: NearZeroCount;
  readonly #tally: MaskTally;
  #step: Step = "count";
  #numVig = 0;
  #numKept = 0;
  #numActive = 0;
  #numDrawnTokens = 0;
  #samples: SequentialSample | undefined;
  #tokens: SequentialSample | undefined;

  constructor(tau: number, seed: number, passedThrough: readonly Field[]) {
    this.#tau = tau;
    this.#seed = seed;
    this.#schema = new Schema([...selectionSchema.fields, ...passedThrough]);
    this.#nearZero = new NearZeroCount("sample_and_token", tau);
    this.#tally = new MaskTally(tau);
    this.decideColumns = ["vig", "num_tokens"];
    this.selectColumns = [...CARRIED_COLUMNS, "num_tokens", ...passedThrough.map((field) => field.name)];
  }

  get columns(): readonly string[] | null {
    if (this.#step === "count") return ["vig", "num_tokens", "token_vig"];
    return this.#step === "measure" ? ["vig", "num_tokens"] : null;
  }

  observe(scores: RecordBatch): void {
    const counting = this.#step === "count";
    const rows = new ScoredRows(scores, counting);
    for (let row = 0; row < rows.numRows; row++) {
      if (rows.isTextOnly(row)) continue;
      if (counting) this.#count(rows, row);
      else if (this.#samples!.next()) this.#numDrawnTokens += rows.numTokens(row);
    }
  }

  endPass(): void {
    if (this.#step === "measure") {
      // Short answers may have been drawn: then all their tokens are active, and a warning says so.
      this.#tokens = new SequentialSample(this.#numDrawnTokens, Math.min(this.#numActive, this.#numDrawnTokens), this.#seed, TOKEN_STREAM);
    }
    this.#samples = new SequentialSample(this.#numVig, this.#numKept, this.#seed, SAMPLE_STREAM);
    this.#step = this.#step === "count" ? "measure" : "ready";
  }

  select(scores: RecordBatch): RecordBatch {
    return takeSelection(scores, this.decide(scores), this.#schema);
  }

  decide(scores: RecordBatch): RowDecision {
    if (this.#step !== "ready") throw new InternalError("the random mask needs its passes first");
    const rows = new ScoredRows(scores, false);
    const kept = new KeptRows(rows.numRows, this.#tally.countTokens(rows));
    for (let row = 0; row < rows.numRows; row++) {
      const numTokens = rows.numTokens(row);
      if (rows.isTextOnly(row)) {
        kept.mask.fill(1, kept.maskEnd, kept.maskEnd + numTokens);
        kept.keep(row, numTokens, numTokens, true);
        this.#tally.addTextOnly(numTokens);
        continue;
      }
      const keep = this.#samples!.next();
      let numActive = 0;
      if (keep) {
        for (let t = kept.maskEnd; t < kept.maskEnd + numTokens; t++) numActive += kept.mask[t] = Number(this.#tokens!.next());
        kept.keep(row, numTokens, numActive, false);
      }
      this.#tally.addVig(rows.vig(row), numTokens, keep, numActive);
    }
    return kept.toDecision();
  }

  counts(): MaskCounts {
    return this.#tally.counts(this.#nearZero.shares());
  }

  warnings(): { code: WarningCode; message: string }[] {
    const warnings: { code: WarningCode; message: string }[] = [...nearZeroWarning(this.#tau, this.counts())];
    if (this.#numDrawnTokens < this.#numActive) {
      const message = `random: the samples drawn have ${this.#numDrawnTokens} tokens, fewer than the ${this.#numActive} active ones of sample_and_token; all are active`;
      warnings.push({ code: "configuration", message });
    }
    return warnings;
  }

  #count(rows: ScoredRows, row: number): void {
    this.#numVig++;
    this.#nearZero.add(rows, row);
    if (!keepsSample("sample_and_token", rows.vig(row), this.#tau)) return;
    const start = rows.tokenStart(row);
    this.#numKept++;
    this.#numActive += countActive(rows.tokenVigValues, start, start + rows.numTokens(row), this.#tau);
  }
}
