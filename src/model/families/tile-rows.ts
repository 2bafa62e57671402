import type { ImageSize } from "../contract.ts";

/** Tiles that make up a picture, each of cells x cells feature rows. */
export interface TileGrid {
  readonly rows: number;
  readonly columns: number;
  readonly cells: number;
}

/** What remains of a picture's feature cells once the padding is cut away and large pictures are scaled down. */
export interface ShownCells {
  /** First row and column inside the picture, and how many remain. */
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
  /** After scaling down; as above where nothing is scaled. */
  readonly scaled_height: number;
  readonly scaled_width: number;
  /** Feature rows with one newline a row. */
  readonly num_tokens: number;
}

/** As LLaVA-OneVision packs them (transformers 5.17, pack_image_features with anyres_max_N). */
export function shownCells({ rows, columns, cells }: TileGrid, source: ImageSize, maxTiles: number): ShownCells {
  const [fullHeight, fullWidth] = [rows * cells, columns * cells];
  let [top, left] = [0, 0];
  if (source.width / source.height > fullWidth / fullHeight) {
    const height = Math.trunc(roundTo7(source.height * (fullWidth / source.width)));
    top = Math.floor((fullHeight - height) / 2);
  } else {
    const width = Math.trunc(roundTo7(source.width * (fullHeight / source.height)));
    left = Math.floor((fullWidth - width) / 2);
  }
  const [height, width] = [fullHeight - 2 * top, fullWidth - 2 * left];
  const ratio = Math.sqrt((height * width) / (maxTiles * cells ** 2));
  const scaled = (length: number) => (ratio > 1.1 ? Math.trunc(Math.floor(length / ratio)) : length);
  const [scaled_height, scaled_width] = [scaled(height), scaled(width)];
  return { top, left, height, width, scaled_height, scaled_width, num_tokens: scaled_height * (scaled_width + 1) };
}

function roundTo7(value: number): number {
  return Math.round(value * 1e7) / 1e7;
}

/**
 * The tiles' feature rows, [tiles, cells * cells, hidden], put together as one picture: padding cut away, scaled down
 * bilinearly (pixel centres, no antialiasing) where it is too large, a newline embedding behind every row.
 */
export function joinTiles(tiles: Float32Array, newline: Float32Array, grid: TileGrid, source: ImageSize, maxTiles: number): Float32Array {
  const shown = shownCells(grid, source, maxTiles);
  const hidden = newline.length;
  const { cells, columns } = grid;
  const cellAt = (row: number, column: number) => {
    const [y, x] = [row + shown.top, column + shown.left];
    const tile = Math.floor(y / cells) * columns + Math.floor(x / cells);
    return ((tile * cells + (y % cells)) * cells + (x % cells)) * hidden;
  };
  const out = new Float32Array(shown.num_tokens * hidden);
  const isScaled = shown.scaled_height !== shown.height || shown.scaled_width !== shown.width;
  let at = 0;
  for (let row = 0; row < shown.scaled_height; row++) {
    for (let column = 0; column < shown.scaled_width; column++, at += hidden) {
      if (isScaled) interpolate(tiles, shown, row, column, cellAt, out.subarray(at, at + hidden));
      else out.set(tiles.subarray(cellAt(row, column), cellAt(row, column) + hidden), at);
    }
    out.set(newline, at);
    at += hidden;
  }
  return out;
}

function interpolate(
  tiles: Float32Array,
  { height, width, scaled_height, scaled_width }: ShownCells,
  row: number,
  column: number,
  cellAt: (row: number, column: number) => number,
  out: Float32Array,
): void {
  const [y, x] = [sourcePlace(row, height, scaled_height), sourcePlace(column, width, scaled_width)];
  const [y0, x0] = [Math.floor(y), Math.floor(x)];
  const [y1, x1] = [Math.min(y0 + 1, height - 1), Math.min(x0 + 1, width - 1)];
  const [dy, dx] = [y - y0, x - x0];
  const [a, b, c, d] = [cellAt(y0, x0), cellAt(y0, x1), cellAt(y1, x0), cellAt(y1, x1)];
  for (let i = 0; i < out.length; i++) {
    const upper = tiles[a + i]! * (1 - dx) + tiles[b + i]! * dx;
    const lower = tiles[c + i]! * (1 - dx) + tiles[d + i]! * dx;
    out[i] = upper * (1 - dy) + lower * dy;
  }
}

/** Where the centre of an output cell lies in the input, not before the first centre. */
function sourcePlace(index: number, from: number, to: number): number {
  return Math.max(0, ((index + 0.5) * from) / to - 0.5);
}

export function concatenate(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const out = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
