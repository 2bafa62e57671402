import { compress, decompress, isLoaded } from "@foxglove/wasm-zstd";

/** What the Parquet encoder uses too. */
const LEVEL = 1;

export interface Zstd {
  compress(bytes: Uint8Array): Uint8Array;
  /** `size`: of the content, as the page's header says. */
  decompress(bytes: Uint8Array, size: number): Uint8Array;
}

/** ZSTD in WebAssembly, once it has loaded. */
export async function loadZstd(): Promise<Zstd> {
  await isLoaded;
  return { compress: (bytes) => compress(bytes, LEVEL), decompress: (bytes, size) => (size === 0 ? new Uint8Array(0) : decompress(bytes, size)) };
}
