import type { RecordBatch } from "apache-arrow";
import { columnVector, utf8Values } from "../core/record-batch.ts";
import { RandomStream } from "../kernels/random-stream.ts";
import { SEED } from "./choose-samples.ts";

const EXAMPLES = 3;
const MAX_TEXT = 300;

export interface RejectExample {
  readonly sample_id: string;
  readonly stage: string;
  readonly message: string;
}

interface Reservoir {
  num_seen: number;
  readonly random: RandomStream;
  readonly examples: RejectExample[];
}

/** Counts rejects by split, and draws a few examples of each code: reservoir sampling, every reject equally likely. */
export class RejectExamples {
  /** Rejects of each split. */
  readonly bySplit = new Map<number, number>();
  readonly #byCode = new Map<string, Reservoir>();

  /** Columns of rejects/. */
  observe(batch: RecordBatch): void {
    const splits = columnVector(batch, "split");
    const [ids, stages, codes, messages] = ["sample_id", "stage", "code", "message"].map((name) => utf8Values(batch, name)) as [string[], string[], string[], string[]];
    for (let row = 0; row < batch.numRows; row++) {
      const split = Number(splits.get(row));
      this.bySplit.set(split, (this.bySplit.get(split) ?? 0) + 1);
      this.#offer(codes[row]!, { sample_id: cut(ids[row]!), stage: stages[row]!, message: cut(messages[row]!) });
    }
  }

  #offer(code: string, example: RejectExample): void {
    let reservoir = this.#byCode.get(code);
    if (!reservoir) this.#byCode.set(code, (reservoir = { num_seen: 0, random: new RandomStream(SEED, this.#byCode.size + 1), examples: [] }));
    const at = Math.floor(reservoir.random.uniform() * ++reservoir.num_seen);
    if (reservoir.examples.length < EXAMPLES) reservoir.examples.push(example);
    else if (at < EXAMPLES) reservoir.examples[at] = example;
  }

  of(code: string): readonly RejectExample[] {
    return this.#byCode.get(code)?.examples ?? [];
  }
}

const cut = (text: string): string => (text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 1)}…`);
