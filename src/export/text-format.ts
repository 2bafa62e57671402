import { join } from "node:path";
import { TextFileWriter } from "../io/export/text-file-writer.ts";
import type { ExportTally, SelectionWriter } from "./format.ts";
import type { SelectedSample } from "./selected-sample.ts";

/** A record, and how many of the sample's tokens a trainer gives a loss for it; undefined: the sample can't be written. */
export type ToRecord = (sample: SelectedSample) => { readonly record: object; readonly num_trained?: number } | undefined;

export interface TextLayout {
  readonly name: string;
  /** Around and between the records. */
  readonly begin: string;
  readonly between: string;
  readonly end: string;
}

/** One JSON array over many lines: one record a line, so that it can be read line by line too. */
export const jsonArray = (name: string): TextLayout => ({ name, begin: "[\n", between: ",\n", end: "\n]\n" });
export const jsonLines = (name: string): TextLayout => ({ name, begin: "", between: "\n", end: "\n" });

/** Writes one JSON record a sample. */
export async function openTextFormat(folder: string, layout: TextLayout, tally: ExportTally, toRecord: ToRecord): Promise<SelectionWriter> {
  const file = await TextFileWriter.create(join(folder, layout.name));
  let separator = layout.begin;
  return {
    async write(samples) {
      for (const sample of samples) {
        const made = toRecord(sample);
        if (!made) {
          tally.skipped(sample);
          continue;
        }
        tally.written(sample, made.num_trained);
        await file.write(separator + JSON.stringify(made.record));
        separator = layout.between;
      }
    },
    async finish() {
      // Without a record, an array is still one, and lines are none.
      const isEmpty = separator === layout.begin;
      await file.write(isEmpty ? layout.begin + layout.end.trimStart() : layout.end);
      await file.finish();
    },
    abandon: () => file.abandon(),
  };
}
