/** A text in Unicode's form NFC, as some tokenizers see it, and the way back. */
export interface NormalizedText {
  readonly text: string;
  /** For every UTF-16 index of `text`, and its length, an index of the original: that of the cluster it lies in. */
  readonly starts: Int32Array;
  /** The same for the end of a range: the cluster's end. */
  readonly ends: Int32Array;
}

/** NFC changes nothing across the bounds of grapheme clusters, so each is normalised by itself. */
export function normalizeText(original: string): NormalizedText {
  const starts: number[] = [];
  const ends: number[] = [0];
  let text = "";
  for (const { segment, index } of new Intl.Segmenter("en", { granularity: "grapheme" }).segment(original)) {
    const normalized = segment.normalize("NFC");
    const sameLength = normalized === segment;
    for (let unit = 0; unit < normalized.length; unit++) {
      starts.push(sameLength ? index + unit : index);
      ends.push(sameLength ? index + unit + 1 : index + segment.length);
    }
    text += normalized;
  }
  starts.push(original.length);
  return { text, starts: Int32Array.from(starts), ends: Int32Array.from(ends) };
}
