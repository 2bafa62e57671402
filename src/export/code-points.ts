/** UTF-16 units of the character at `index`. */
export function codePointLength(text: string, index: number): number {
  return text.codePointAt(index)! > 0xffff ? 2 : 1;
}

/** For every UTF-16 index of `text`, and its length, how many code points are before it. */
export function codePointIndices(text: string): Int32Array {
  const indices = new Int32Array(text.length + 1);
  let count = 0;
  for (let index = 0; index < text.length; ) {
    const length = codePointLength(text, index);
    for (let unit = 1; unit < length; unit++) indices[index + unit] = count;
    indices[index] = count++;
    index += length;
  }
  indices[text.length] = count;
  return indices;
}
