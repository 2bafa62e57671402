import { StageError } from "../core/errors.ts";
import type { Family, PlacedImage, PlainTensor } from "./families/family.ts";
import type { GraphValue } from "./graph-file.ts";
import { ROWS_INPUT, TARGETS_INPUT } from "./scoring-head.ts";

/** One row of a decoder batch. */
export interface DecoderRow {
  readonly input_ids: Int32Array;
  readonly answer_positions: Int32Array;
  readonly images: readonly PlacedImage[];
}

/**
 * Every input of the decoder but inputs_embeds and the scoring head's, for rows padded on the right to `length`.
 * The past is empty: zero-length tensors. Throws StageError for an input that is not known.
 */
export function decoderFeeds(
  rows: readonly DecoderRow[],
  length: number,
  inputs: readonly GraphValue[],
  family: Family,
): Record<string, PlainTensor> {
  const feeds: Record<string, PlainTensor> = {};
  for (const input of inputs) {
    if (!FED_ELSEWHERE.has(input.name)) feeds[input.name] = feedOf(input, rows, length, family);
  }
  return feeds;
}

const FED_ELSEWHERE = new Set(["inputs_embeds", ROWS_INPUT, TARGETS_INPUT]);

function feedOf(input: GraphValue, rows: readonly DecoderRow[], length: number, family: Family): PlainTensor {
  const { name } = input;
  const batch = rows.length;
  if (name === "attention_mask") return { type: "int64", dims: [batch, length], data: attentionMask(rows, length) };
  if (name === "position_ids") return positionIds(rows, length, family);
  if (name === "token_type_ids") return { type: "int64", dims: [batch, length], data: tokenTypeIds(rows, length, family) };
  if (name === "num_logits_to_keep") return { type: "int64", dims: [], data: Int32Array.of(0) };
  if (name === "use_cache_branch") return { type: "bool", dims: [1], data: Uint8Array.of(0) };
  if (name === "cache_position") return { type: "int64", dims: [length], data: Int32Array.from({ length }, (_, i) => i) };
  if (name.startsWith("past_key_values.")) return emptyPast(input, batch);
  throw new StageError(`the decoder wants an input that is not known: ${name} ${input.type} [${input.dims.join(", ")}]`, {
    remedy: "export the decoder with inputs_embeds, attention_mask, position_ids and past_key_values only",
  });
}

function attentionMask(rows: readonly DecoderRow[], length: number): Int32Array {
  const mask = new Int32Array(rows.length * length);
  rows.forEach(({ input_ids }, row) => mask.fill(1, row * length, row * length + input_ids.length));
  return mask;
}

/** [batch, length], or [3, batch, length]; padding has a real row's first position, which every model knows. */
function positionIds(rows: readonly DecoderRow[], length: number, family: Family): PlainTensor {
  const batch = rows.length;
  const data = new Int32Array(family.position_rows * batch * length);
  rows.forEach(({ input_ids, images }, row) => {
    const positions = family.positions(input_ids, images);
    for (let axis = 0; axis < family.position_rows; axis++) {
      const start = (axis * batch + row) * length;
      const own = positions.subarray(axis * input_ids.length, (axis + 1) * input_ids.length);
      data.set(own, start);
      data.fill(own[0]!, start + own.length, start + length);
    }
  });
  return { type: "int64", dims: family.position_rows === 1 ? [batch, length] : [family.position_rows, batch, length], data };
}

function tokenTypeIds(rows: readonly DecoderRow[], length: number, family: Family): Int32Array {
  const data = new Int32Array(rows.length * length).fill(family.padding_type ?? 0);
  rows.forEach(({ input_ids, answer_positions }, row) => {
    const types = family.tokenTypes?.(input_ids, answer_positions);
    if (types) data.set(types, row * length);
  });
  return data;
}

function emptyPast({ name, dims }: GraphValue, batch: number): PlainTensor {
  const [heads, width] = [dims[1], dims[3]];
  if (dims.length !== 4 || typeof heads !== "number" || typeof width !== "number") {
    throw new StageError(`the decoder's ${name} has shape [${dims.join(", ")}]; [batch, heads, past, width] with fixed heads and width is expected`, {
      remedy: "export the decoder with fixed key and value shapes",
    });
  }
  return { type: "float32", dims: [batch, heads, 0, width], data: new Float32Array(0) };
}
