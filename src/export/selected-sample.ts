import type { Data, List, RecordBatch, Utf8 } from "apache-arrow";
import { columnData, isNull, messagesValue, numericListValue, utf8ListValue, utf8Value } from "../core/record-batch.ts";
import type { Sample } from "../core/sample.ts";

/** One row of a selection. */
export interface SelectedSample extends Sample {
  /** Nats; null for text-only samples. */
  readonly vig: number | null;
  readonly token_id: Int32Array;
  readonly token_text: readonly string[];
  /** 1 where the token keeps its loss. As long as token_id. */
  readonly loss_mask: Uint8Array;
  readonly num_active: number;
  readonly kept_as: string;
}

/** The columns that make one. */
export const SELECTED_COLUMNS = ["sample_id", "source", "images", "messages", "vig", "token_id", "token_text", "loss_mask", "num_active", "kept_as"] as const;

export function selectedSamples(batch: RecordBatch): SelectedSample[] {
  const column = <T extends Data>(name: (typeof SELECTED_COLUMNS)[number]): T => columnData(batch, name) as unknown as T;
  const [ids, sources, kept] = [column<Data<Utf8>>("sample_id"), column<Data<Utf8>>("source"), column<Data<Utf8>>("kept_as")];
  const [images, messages, tokens, texts, masks] = (["images", "messages", "token_id", "token_text", "loss_mask"] as const).map((name) => column<Data<List>>(name));
  const [vig, numActive] = [column("vig"), column("num_active")];
  return Array.from({ length: batch.numRows }, (_, row) => ({
    sample_id: utf8Value(ids, row),
    source: utf8Value(sources, row),
    images: utf8ListValue(images!, row),
    messages: messagesValue(messages!, row),
    vig: isNull(vig, row) ? null : (vig.values as Float64Array)[row]!,
    token_id: numericListValue<Int32Array>(tokens!, row)!,
    token_text: utf8ListValue(texts!, row),
    loss_mask: boolListValue(masks!, row),
    num_active: (numActive.values as Int32Array)[row]!,
    kept_as: utf8Value(kept, row),
  }));
}

function boolListValue(data: Data<List>, row: number): Uint8Array {
  const child = data.children[0]!;
  const start = data.valueOffsets[row]!;
  const bits = child.values as Uint8Array;
  return Uint8Array.from({ length: data.valueOffsets[row + 1]! - start }, (_, i) => {
    const bit = child.offset + start + i;
    return (bits[bit >> 3]! >> (bit & 7)) & 1;
  });
}
