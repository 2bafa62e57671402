import type { RecordBatch } from "apache-arrow";
import { ParquetThread } from "../parquet/parquet-thread.ts";
import { type FileOptions, type ParquetSummary, ParquetWriter } from "../parquet/parquet-writer.ts";
import { remove } from "./durable-file.ts";

/**
 * Writes rows to a Parquet file in a thread of its own, which ends with the file: an encoder's memory never shrinks, and
 * minutes of scoring may come before the next. Throws the signal's reason once it aborts; what is half written is removed.
 */
export async function writePart(path: string, options: FileOptions, rows: AsyncIterable<RecordBatch>, signal?: AbortSignal): Promise<ParquetSummary> {
  const thread = new ParquetThread();
  try {
    const writer = await ParquetWriter.open(path, options, thread);
    for await (const batch of rows) {
      signal?.throwIfAborted();
      await writer.write(batch);
    }
    return await writer.finish();
  } catch (error) {
    await remove(path).catch(() => undefined); // the first error is the one to tell
    throw error;
  } finally {
    await thread.close();
  }
}
