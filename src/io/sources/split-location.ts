import { InternalError } from "../../core/errors.ts";

/** Where a split lies and what its neighbours decided about it: everything that reading it alone needs. */
export interface SplitLocation {
  /** Index into the source's list of files. */
  readonly file: number;
  /** Name of that file, for messages. */
  readonly name: string;
  /** Half-open range: bytes, rows or archive entries, as the unit says. */
  readonly unit: "bytes" | "rows" | "entries";
  readonly start: number;
  readonly end: number;
  /** Records of the split, by their number in it, whose id came before: in this split or an earlier one. */
  readonly duplicates: readonly number[];
  /** Earlier splits of exactly this content. */
  readonly num_repeats: number;
  /** The input ends inside something that begins here. */
  readonly truncated_at?: number;
}

/** `train.json (file 0) bytes 2-91733, duplicates 3 17` */
export function formatLocation(location: SplitLocation): string {
  const duplicates = location.duplicates.length === 0 ? "" : `, duplicates ${location.duplicates.join(" ")}`;
  const repeats = location.num_repeats === 0 ? "" : `, repeats ${location.num_repeats}`;
  const truncated = location.truncated_at === undefined ? "" : `, truncated at ${location.truncated_at}`;
  return `${location.name} (file ${location.file}) ${location.unit} ${location.start}-${location.end}${duplicates}${repeats}${truncated}`;
}

export function parseLocation(text: string): SplitLocation {
  const match = /^(.*) \(file (\d+)\) (bytes|rows|entries) (\d+)-(\d+)(?:, duplicates ([\d ]+))?(?:, repeats (\d+))?(?:, truncated at (\d+))?$/s.exec(text);
  if (!match) throw new InternalError(`not the location of a split: ${text}`);
  const [, name, file, unit, start, end, duplicates, num_repeats, truncated_at] = match;
  return {
    name: name!,
    file: Number(file),
    unit: unit as SplitLocation["unit"],
    start: Number(start),
    end: Number(end),
    duplicates: duplicates?.split(" ").map(Number) ?? [],
    num_repeats: Number(num_repeats ?? 0),
    ...(truncated_at !== undefined && { truncated_at: Number(truncated_at) }),
  };
}
