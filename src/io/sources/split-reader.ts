import { StageError } from "../../core/errors.ts";
import type { Reject } from "../../core/rejects.ts";
import type { Sample } from "../../core/sample.ts";
import type { Split } from "../../core/source.ts";
import { contentId, givenId, type RecordFields, RecordProblem } from "./sample-record.ts";
import { SplitDigest } from "./split-digest.ts";
import type { SplitLocation } from "./split-location.ts";

/** A record as a source found it. */
export interface RawRecord {
  /** In the unit of its split's location. */
  readonly start: number;
  readonly end: number;
  /** Stands for the id where none can be read. */
  readonly place: string;
  /** Equal for equal records: what the split's digest is made from. */
  readonly content: Uint8Array | string;
  readonly fields: RecordFields | RecordProblem;
}

export type Convert = (fields: RecordFields) => Omit<Sample, "sample_id"> | RecordProblem;

/** The record's id, from its content where it has none; undefined where it can't be read. */
export function idOf(fields: RecordFields | RecordProblem, convert: Convert): string | undefined {
  if (fields instanceof RecordProblem) return undefined;
  const given = givenId(fields);
  if (given !== undefined) return given;
  const sample = convert(fields);
  return sample instanceof RecordProblem ? undefined : contentId(sample);
}

/** Turns the records of one split into samples and rejects, and sees that they are the ones that were indexed. */
export class SplitReader {
  readonly #split: Split;
  readonly #location: SplitLocation;
  readonly #convert: Convert;
  readonly #duplicates: ReadonlySet<number>;
  readonly #digest = new SplitDigest();
  readonly #samples: Sample[] = [];
  /** For each sample, its number among the split's records. */
  readonly #sample_records: number[] = [];
  readonly #rejects: Reject[] = [];
  #num_records = 0;

  constructor(split: Split, location: SplitLocation, convert: Convert) {
    this.#split = split;
    this.#location = location;
    this.#convert = convert;
    this.#duplicates = new Set(location.duplicates);
  }

  add(record: RawRecord): void {
    const number = this.#num_records++;
    this.#digest.add(record.content);
    const { fields } = record;
    const sample = fields instanceof RecordProblem ? fields : this.#convert(fields);
    const id = idOf(fields, () => sample);
    const is_duplicate = this.#duplicates.has(number);
    if (id === undefined || is_duplicate) this.#digest.addPlace(record.place);
    if (is_duplicate) this.#rejects.push({ sample_id: id ?? record.place, code: "duplicate_id", message: `an earlier record has the id; this one is ${record.place}` });
    else if (sample instanceof RecordProblem) this.#rejects.push({ sample_id: id ?? record.place, code: sample.code, message: sample.message });
    else {
      this.#samples.push({ sample_id: id!, ...sample });
      this.#sample_records.push(number);
    }
  }

  /** Throws StageError where the input is not what it was when it was indexed. */
  finish(): { readonly samples: readonly Sample[]; readonly sample_records: readonly number[]; readonly rejects: readonly Reject[] } {
    if (this.#digest.hex(this.#location.num_repeats) !== this.#split.digest) {
      throw new StageError(`${this.#location.name} has changed since it was indexed (${this.#split.location})`, {
        remedy: "leave the input alone while a run goes on, then run again",
      });
    }
    return { samples: this.#samples, sample_records: this.#sample_records, rejects: this.#rejects };
  }
}
