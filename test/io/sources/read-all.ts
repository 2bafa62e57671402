import { messagesValue, columnData, utf8ListValue, utf8Values } from "../../../src/core/record-batch.ts";
import type { RecordBatch } from "apache-arrow";
import type { Sample } from "../../../src/core/sample.ts";
import type { Source, Split } from "../../../src/core/source.ts";

const never = new AbortController().signal;

export function samplesOf(batch: RecordBatch): Sample[] {
  const [ids, sources] = [utf8Values(batch, "sample_id"), utf8Values(batch, "source")];
  return ids.map((sample_id, row) => ({
    sample_id,
    source: sources[row]!,
    images: utf8ListValue(columnData(batch, "images"), row),
    messages: messagesValue(columnData(batch, "messages"), row),
  }));
}

export async function splitsOf(source: Source): Promise<Split[]> {
  const splits: Split[] = [];
  for await (const split of source.splits(never)) splits.push(split);
  return splits;
}

export async function readSplit(source: Source, split: Split) {
  const { samples, rejects, readImage } = await source.read(split, never);
  return { samples: samplesOf(samples), rejects, readImage: (key: string) => readImage(key, never) };
}

/** Everything that a source gives, split by split. */
export async function readAll(source: Source) {
  const splits = await splitsOf(source);
  const contents = [];
  for (const split of splits) contents.push(await readSplit(source, split));
  return { splits, samples: contents.flatMap((c) => c.samples), rejects: contents.flatMap((c) => c.rejects), contents };
}
