import type { Int32, List, RecordBatch, Schema } from "apache-arrow";
import { rejectsSchema } from "../core/columns.ts";
import { columnData, concatRows, int32Column, makeRecordBatch, numericListValue, takeRows, utf8Column, utf8ListValue, utf8Values } from "../core/record-batch.ts";
import type { PlacedReject, Reject, RejectCode } from "../core/rejects.ts";
import type { Split, SplitContent } from "../core/source.ts";
import type { SplitScope } from "../core/stage.ts";
import { ImageDigests } from "./image-digests.ts";

/** One split on its way through the stages: what went in, what has come out, in which order it has to be stored. */
export class SplitWork {
  readonly split: Split;
  readonly scope: SplitScope;
  readonly imageDigests: ImageDigests;
  readonly startedAt = performance.now();
  readonly #imageUses = new Map<string, number>();
  readonly #rejects: PlacedReject[] = [];
  readonly #outputs: RecordBatch[] = [];
  numTruncatedTokens = 0;
  numUnknownTokens = 0;
  #rowOf = new Map<string, number>();
  #batchesLeft = 0;

  constructor(split: Split, sequence: number, readImage: SplitScope["readImage"]) {
    this.split = split;
    this.imageDigests = new ImageDigests(readImage);
    this.scope = { sequence, readImage: this.imageDigests.readImage, imageUses: this.#imageUses };
  }

  /** Records what the source could not read as samples. */
  addSourceRejects(rejects: SplitContent["rejects"]): void {
    for (const reject of rejects) this.#rejects.push({ ...reject, split: this.split.index, stage: "source" });
  }

  addRejects(stage: string, rejects: readonly Reject[]): void {
    for (const reject of rejects) this.#rejects.push({ ...reject, split: this.split.index, stage });
  }

  /** Tells which samples will come out, in input order, and in how many batches. */
  expect(samples: RecordBatch, numBatches: number): void {
    this.#rowOf = new Map(utf8Values(samples, "sample_id").map((id, row) => [id, row]));
    const images = columnData<List>(samples, "images");
    for (let row = 0; row < samples.numRows; row++) {
      for (const key of new Set(utf8ListValue(images, row))) this.#imageUses.set(key, (this.#imageUses.get(key) ?? 0) + 1);
    }
    this.numTruncatedTokens = sum(samples, "num_truncated");
    this.numUnknownTokens = sum(samples, "num_unknown");
    this.#batchesLeft = numBatches;
  }

  /** Takes a batch that has left the last stage. True once all have. */
  add(samples: RecordBatch): boolean {
    this.#outputs.push(samples);
    return --this.#batchesLeft === 0;
  }

  /** Every sample that was not rejected, in input order. */
  scores(schema: Schema): RecordBatch {
    const all = concatRows(schema, this.#outputs);
    const inputRow = utf8Values(all, "sample_id").map((id) => this.#rowOf.get(id)!);
    const order = inputRow.map((_, row) => row).sort((a, b) => inputRow[a]! - inputRow[b]!);
    return all.numRows === 0 ? all : takeRows(all, order);
  }

  rejects(): RecordBatch {
    const column = (read: (reject: PlacedReject) => string) => utf8Column(this.#rejects.map(read));
    return makeRecordBatch(rejectsSchema, {
      sample_id: column((reject) => reject.sample_id),
      split: int32Column(Int32Array.from(this.#rejects, (reject) => reject.split)),
      stage: column((reject) => reject.stage),
      code: column((reject) => reject.code),
      message: column((reject) => reject.message),
    });
  }

  rejectsByCode(): Partial<Record<RejectCode, number>> {
    const counts: Partial<Record<RejectCode, number>> = {};
    for (const { code } of this.#rejects) counts[code] = (counts[code] ?? 0) + 1;
    return counts;
  }
}

function sum(samples: RecordBatch, name: string): number {
  return columnData<Int32>(samples, name).values.subarray(0, samples.numRows).reduce((total: number, value: number) => total + value, 0);
}

/** Lengths of the samples' sequences in positions, for the batch planner; 0 for text-only samples. */
export function sequenceLengths(samples: RecordBatch): Int32Array {
  const ids = columnData<List>(samples, "input_ids");
  const images = columnData<List>(samples, "images");
  return Int32Array.from({ length: samples.numRows }, (_, row) => {
    const numImages = images.valueOffsets[row + 1]! - images.valueOffsets[row]!;
    return numImages === 0 ? 0 : numericListValue<Int32Array>(ids, row)!.length;
  });
}
