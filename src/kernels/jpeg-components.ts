/**
 * How many colour components a JPEG has, by its frame header: 1 gray, 3 colour, 4 CMYK. Undefined where the segments do
 * not lead to one.
 */
export function jpegComponents(bytes: Uint8Array): number | undefined {
  // Every segment before the frame: 0xff, its marker, its length with the two bytes of the length.
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + bytes[at + 2]! * 256 + bytes[at + 3]!) {
    const marker = bytes[at + 1]!;
    if (marker >= 0xc0 && marker <= 0xcf && !NO_FRAMES.has(marker)) return bytes[at + 9];
  }
  return undefined;
}

/** Huffman tables, a reserved one, arithmetic coding's conditions. */
const NO_FRAMES = new Set([0xc4, 0xc8, 0xcc]);
