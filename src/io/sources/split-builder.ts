import type { Split } from "../../core/source.ts";
import { IdSet } from "./id-set.ts";
import { SplitDigest } from "./split-digest.ts";
import { formatLocation, type SplitLocation } from "./split-location.ts";
import { type Convert, idOf, type RawRecord } from "./split-reader.ts";

/**
 * The index pass: puts records together into splits, finds ids that came before, and digests. Keeps 16 bytes for
 * each record's id and a digest for each split, and nothing else.
 */
export class SplitBuilder {
  num_records = 0;
  /** Of the records' content. */
  num_bytes = 0;
  readonly #convert: Convert;
  readonly #ids = new IdSet();
  readonly #seen = new Map<string, number>();
  #index = 0;
  #file = { number: 0, name: "", unit: "bytes" as SplitLocation["unit"] };
  #digest = new SplitDigest();
  #duplicates: number[] = [];
  #start = 0;
  #end = 0;

  constructor(convert: Convert) {
    this.#convert = convert;
  }

  beginFile(number: number, name: string, unit: SplitLocation["unit"]): void {
    this.#file = { number, name, unit };
  }

  add(record: RawRecord): void {
    if (this.num_records === 0) this.#start = record.start;
    this.#end = record.end;
    this.num_bytes += record.content.length;
    this.#digest.add(record.content);
    const id = idOf(record.fields, this.#convert);
    const is_duplicate = id !== undefined && !this.#ids.add(id);
    if (is_duplicate) this.#duplicates.push(this.num_records);
    if (is_duplicate || id === undefined) this.#digest.addPlace(record.place);
    this.num_records++;
  }

  /** The split of the records since the last one. */
  finish(truncated_at?: number): Split {
    const plain = this.#digest.hex(0);
    const num_repeats = this.#seen.get(plain) ?? 0;
    this.#seen.set(plain, num_repeats + 1);
    const is_empty = this.num_records === 0;
    const location = formatLocation({
      file: this.#file.number,
      name: this.#file.name,
      unit: this.#file.unit,
      start: is_empty ? (truncated_at ?? 0) : this.#start,
      end: is_empty ? (truncated_at ?? 0) : this.#end,
      duplicates: this.#duplicates,
      num_repeats,
      ...(truncated_at !== undefined && { truncated_at }),
    });
    const split = { index: this.#index++, location, num_records: this.num_records, digest: this.#digest.hex(num_repeats) };
    this.num_records = this.num_bytes = 0;
    this.#digest = new SplitDigest();
    this.#duplicates = [];
    return split;
  }
}
