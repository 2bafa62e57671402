import { type RecordBatch, RecordBatchReader, RecordBatchStreamWriter, type Schema } from "apache-arrow";
import { InternalError } from "../../core/errors.ts";

/** The batches as the bytes of one Arrow IPC stream. */
export function encodeIpc(schema: Schema, batches: readonly RecordBatch[]): Uint8Array {
  const writer = new RecordBatchStreamWriter();
  writer.reset(undefined, schema);
  for (const batch of batches) writer.write(batch);
  writer.finish();
  return writer.toUint8Array(true);
}

/** Schema and batches of an Arrow IPC stream; the batches are views into `bytes`. */
export function decodeIpc(bytes: Uint8Array): { readonly schema: Schema; readonly batches: RecordBatch[] } {
  const reader = RecordBatchReader.from(bytes).open();
  const { schema } = reader;
  // A reader that has seen the end of its stream forgets the schema.
  if (!schema) throw new InternalError("Arrow IPC stream without a schema");
  return { schema, batches: [...reader] };
}
