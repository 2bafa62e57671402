import type { Float64, Int32, List, RecordBatch } from "apache-arrow";
import { StageError } from "../core/errors.ts";
import { columnData, isNull } from "../core/record-batch.ts";

const remedy = "the scores were not made by this tool, or are damaged: score again with --fresh";

/** Row by row what the mask decides from, over a batch of scores. */
export class ScoredRows {
  readonly numRows: number;
  readonly #vig;
  readonly #tokenVig;
  readonly #tokenVigValues: Float32Array;
  readonly #numTokens: Int32Array;

  /** `withTokenVig`: the batch has that column. Throws StageError where lists are not as long as num_tokens says. */
  constructor(scores: RecordBatch, withTokenVig: boolean) {
    this.numRows = scores.numRows;
    this.#vig = columnData<Float64>(scores, "vig");
    this.#numTokens = columnData<Int32>(scores, "num_tokens").values;
    this.#tokenVig = withTokenVig ? columnData<List>(scores, "token_vig") : undefined;
    this.#tokenVigValues = this.#tokenVig ? (this.#tokenVig.children[0]!.values as Float32Array) : new Float32Array(0);
    if (this.#tokenVig) this.#checkLengths();
  }

  /** No image, hence no VIG. */
  isTextOnly(row: number): boolean {
    return isNull(this.#vig, row);
  }

  vig(row: number): number {
    return this.#vig.values[row]!;
  }

  numTokens(row: number): number {
    return this.#numTokens[row]!;
  }

  /** All rows' token VIGs one behind the other; row r has tokenStart(r) .. tokenStart(r) + numTokens(r), unless it is text-only. */
  get tokenVigValues(): Float32Array {
    return this.#tokenVigValues;
  }

  tokenStart(row: number): number {
    return this.#tokenVig ? this.#tokenVig.valueOffsets[row]! : 0;
  }

  #checkLengths(): void {
    const offsets = this.#tokenVig!.valueOffsets;
    for (let row = 0; row < this.numRows; row++) {
      if (this.isTextOnly(row)) continue;
      const length = offsets[row + 1]! - offsets[row]!;
      if (length !== this.numTokens(row)) throw new StageError(`scores: token_vig has ${length} values where num_tokens is ${this.numTokens(row)}`, { remedy });
    }
  }
}
