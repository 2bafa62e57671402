/** Buffers that a thread keeps between images: V8 frees what is dropped only once it comes to tens of megabytes. */
const MAX_KEPT_VALUES = 2 ** 20;
const kept = new Map<string, Float64Array>();

/** At least `length` values, float64, whatever was left in them; those of one name are in use once at a time. */
export function scratch(name: string, length: number): Float64Array {
  const known = kept.get(name);
  if (known && known.length >= length) return known;
  const values = new Float64Array(length);
  if (length <= MAX_KEPT_VALUES) kept.set(name, values);
  return values;
}
