import { StageError } from "../core/errors.ts";
import type { DecoderRow } from "./decoder-batch.ts";
import type { PlainTensor } from "./families/family.ts";
import type { GraphSession } from "./graph-session.ts";
import { logProb } from "./log-probs.ts";
import { LOG_PROBS_OUTPUT, ROWS_INPUT, TARGETS_INPUT } from "./scoring-head.ts";

/** What the cut head wants: every answer token's row and target, row after row. */
export function answerFeeds(rows: readonly DecoderRow[], length: number): Record<string, PlainTensor> {
  const count = rows.reduce((sum, { answer_positions }) => sum + answer_positions.length, 0);
  const [answerRows, targets] = [new Int32Array(count), new Int32Array(count)];
  let at = 0;
  rows.forEach(({ input_ids, answer_positions }, row) => {
    for (const position of answer_positions) {
      answerRows[at] = row * length + position - 1;
      targets[at++] = input_ids[position]!;
    }
  });
  return {
    [ROWS_INPUT]: { type: "int64", dims: [count], data: answerRows },
    [TARGETS_INPUT]: { type: "int64", dims: [count], data: targets },
  };
}

/** Log-probabilities of every row's answer tokens, row after row. */
export async function runCutDecoder(
  decoder: GraphSession,
  feeds: Record<string, PlainTensor>,
  rows: readonly DecoderRow[],
  length: number,
): Promise<Float32Array> {
  Object.assign(feeds, answerFeeds(rows, length));
  return (await decoder.run(feeds, [LOG_PROBS_OUTPUT]))[LOG_PROBS_OUTPUT]!.data;
}

/** The same from full logits, [rows, length, vocabulary]. */
export async function runFullDecoder(
  decoder: GraphSession,
  feeds: Record<string, PlainTensor>,
  rows: readonly DecoderRow[],
  length: number,
): Promise<Float32Array> {
  const { data, dims } = (await decoder.run(feeds, ["logits"]))["logits"]!;
  const vocabulary = dims.at(-1)!;
  if (dims.length !== 3 || dims[1] !== length) {
    throw new StageError(`the decoder gave logits [${dims.join(", ")}] for ${rows.length} rows of ${length} positions`, {
      remedy: "export the decoder with logits of every position",
    });
  }
  return Float32Array.from(
    rows.flatMap(({ input_ids, answer_positions }, row) =>
      Array.from(answer_positions, (position) => logProb(data, (row * length + position - 1) * vocabulary, vocabulary, input_ids[position]!)),
    ),
  );
}
