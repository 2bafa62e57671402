import type { RecordBatch } from "apache-arrow";
import { samplesSchema } from "../../core/columns.ts";
import { emptyRecordBatch, makeRecordBatch, messagesColumn, utf8Column, utf8ListColumn } from "../../core/record-batch.ts";
import type { Sample } from "../../core/sample.ts";

/** A batch with samplesSchema. */
export function samplesBatch(samples: readonly Sample[]): RecordBatch {
  if (samples.length === 0) return emptyRecordBatch(samplesSchema);
  return makeRecordBatch(samplesSchema, {
    sample_id: utf8Column(samples.map((sample) => sample.sample_id)),
    source: utf8Column(samples.map((sample) => sample.source)),
    images: utf8ListColumn(samples.map((sample) => sample.images)),
    messages: messagesColumn(samples.map((sample) => sample.messages)),
  });
}
