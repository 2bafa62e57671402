/**
 * Gaussian blur as wide as the image, as a product of small matrices: the exact convolution, at half the cost of a
 * recursive filter.
 *
 * Blurring a line of n pixels, edges repeated, is a product with an n x n matrix. The wider the Gaussian, the smoother
 * that matrix and the fewer terms it is made of: eleven for sigma = 0.28 n. So it is factored once a size and sigma,
 * blur = expand [n, rank] x reduce [rank, n], by adaptive cross approximation with full pivoting (M. Bebendorf,
 * "Approximation of boundary element matrices", Numerische Mathematik 86, 2000).
 */
import { gaussianWeights } from "./gaussian.ts";

/** The blur of a line of `size` pixels, factored. */
interface LineBlur {
  readonly size: number;
  readonly rank: number;
  /** [rank, size] */
  readonly reduce: Float64Array;
  /** [size, rank] */
  readonly expand: Float64Array;
  /** The same in the order that the inner loops read. */
  readonly reduceInFours: Float64Array;
  readonly expandInFours: Float64Array;
}

/** What a blurred value may be off by, in levels of 255: a rounding in ten thousand may fall to the other side. */
const TOLERANCE_LEVELS = 1e-4;

/** Whether no line is longer than the kernel's half: where the cut at 4 sigma falls inside, the matrix has no low rank. */
export function hasLowRank(width: number, height: number, sigma: number): boolean {
  return Math.round(4 * sigma) >= Math.max(width, height) - 1;
}

/**
 * The blurred image, edges repeated, rounded to the nearest level: `into`, which may be `pixels`. `sigma` in pixels; hasLowRank must hold.
 * Shape: `pixels` [height, width, 3] row-major RGB uint8; the result has the same shape.
 * Dtype: uint8 in and out, float64 between. Accuracy: within 1e-4 levels of the convolution before rounding.
 */
export function lowRankGaussian(pixels: Uint8Array, width: number, height: number, sigma: number, into: Uint8Array = new Uint8Array(pixels.length)): Uint8Array {
  const across = lineBlur(width, sigma);
  const down = lineBlur(height, sigma);
  const numColumns = 3 * inFour(across.rank);
  const [tall, small] = buffersFor(height * numColumns, down.rank * numColumns);
  reduceRows(pixels, across, height, tall);
  multiply(down.reduce, tall, down.rank, height, numColumns, small);
  multiply(down.expand, small, height, down.rank, numColumns, tall);
  expandRows(tall, across, height, into);
  return into;
}

/** Kept between images: V8 frees buffers that a thread drops only once they come to tens of megabytes. */
let kept: readonly [Float64Array, Float64Array] = [new Float64Array(0), new Float64Array(0)];

function buffersFor(tall: number, small: number): readonly [Float64Array, Float64Array] {
  if (tall > kept[0].length || small > kept[1].length) kept = [new Float64Array(tall), new Float64Array(small)];
  return kept;
}

/** A model has a few sizes; images blurred in their own size have many. */
const MAX_CACHED = 64;
const cached = new Map<string, LineBlur>();

function lineBlur(size: number, sigma: number): LineBlur {
  const key = `${size} ${sigma}`;
  const known = cached.get(key);
  if (known) return known;
  if (cached.size >= MAX_CACHED) cached.clear();
  const blur = factor(size, sigma);
  cached.set(key, blur);
  return blur;
}

function factor(size: number, sigma: number): LineBlur {
  const rest = blurMatrix(size, sigma);
  const rows: Float64Array[] = [];
  const columns: Float64Array[] = [];
  for (;;) {
    const pivot = largest(rest);
    // A value is a sum of `size` pixels, each of 255 levels at most.
    if (Math.abs(rest[pivot]!) * size * 255 <= TOLERANCE_LEVELS) break;
    const y = Math.floor(pivot / size);
    const x = pivot % size;
    const row = rest.slice(y * size, (y + 1) * size);
    const column = Float64Array.from({ length: size }, (_, i) => rest[i * size + x]! / row[x]!);
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) rest[i * size + j]! -= column[i]! * row[j]!;
    rows.push(row);
    columns.push(column);
  }
  const rank = rows.length;
  const reduce = new Float64Array(rank * size);
  const expand = new Float64Array(size * rank);
  rows.forEach((row, k) => reduce.set(row, k * size));
  columns.forEach((column, k) => column.forEach((value, i) => (expand[i * rank + k] = value)));
  return { size, rank, reduce, expand, reduceInFours: rowsInFours(reduce, rank, size), expandInFours: rowsInFours(expand, size, rank) };
}

/** [size, size]: row i holds what each pixel of a line gives to its blurred pixel i. */
function blurMatrix(size: number, sigma: number): Float64Array {
  const weights = gaussianWeights(sigma);
  const radius = (weights.length - 1) / 2;
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let w = 0; w < weights.length; w++) matrix[i * size + Math.min(size - 1, Math.max(0, i + w - radius))]! += weights[w]!;
  }
  return matrix;
}

function largest(values: Float64Array): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i]!) > Math.abs(values[at]!)) at = i;
  return at;
}

function inFour(count: number): number {
  return 4 * Math.ceil(count / 4);
}

/** [numRows, numColumns] -> [ceil(numRows / 4), numColumns, 4]: four rows side by side, filled up with zeros. */
function rowsInFours(matrix: Float64Array, numRows: number, numColumns: number): Float64Array {
  const blocks = new Float64Array(inFour(numRows) * numColumns);
  for (let row = 0; row < numRows; row++) {
    const first = (row - (row % 4)) * numColumns + (row % 4);
    for (let column = 0; column < numColumns; column++) blocks[first + 4 * column] = matrix[row * numColumns + column]!;
  }
  return blocks;
}

/** [m, n] x [n, p], p a multiple of 4, into `product` [m, p]. */
function multiply(a: Float64Array, b: Float64Array, m: number, n: number, p: number, product: Float64Array): void {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < p; j += 4) {
      let c0 = 0, c1 = 0, c2 = 0, c3 = 0;
      for (let k = 0, at = j; k < n; k++, at += p) {
        const weight = a[i * n + k]!;
        c0 += weight * b[at]!;
        c1 += weight * b[at + 1]!;
        c2 += weight * b[at + 2]!;
        c3 += weight * b[at + 3]!;
      }
      const to = i * p + j;
      product[to] = c0;
      product[to + 1] = c1;
      product[to + 2] = c2;
      product[to + 3] = c3;
    }
  }
}

/** [height, width, 3] -> [height, 3, rank in fours]. Twelve sums at once, none of which waits for another. */
function reduceRows(pixels: Uint8Array, { size, rank, reduceInFours }: LineBlur, height: number, reduced: Float64Array): void {
  const stride = inFour(rank);
  for (let y = 0; y < height; y++) {
    for (let k = 0; k < rank; k += 4) {
      let r0 = 0, r1 = 0, r2 = 0, r3 = 0;
      let g0 = 0, g1 = 0, g2 = 0, g3 = 0;
      let b0 = 0, b1 = 0, b2 = 0, b3 = 0;
      for (let x = 0, p = y * size * 3, at = k * size; x < size; x++, p += 3, at += 4) {
        const w0 = reduceInFours[at]!;
        const w1 = reduceInFours[at + 1]!;
        const w2 = reduceInFours[at + 2]!;
        const w3 = reduceInFours[at + 3]!;
        const red = pixels[p]!;
        const green = pixels[p + 1]!;
        const blue = pixels[p + 2]!;
        r0 += w0 * red;
        r1 += w1 * red;
        r2 += w2 * red;
        r3 += w3 * red;
        g0 += w0 * green;
        g1 += w1 * green;
        g2 += w2 * green;
        g3 += w3 * green;
        b0 += w0 * blue;
        b1 += w1 * blue;
        b2 += w2 * blue;
        b3 += w3 * blue;
      }
      const to = y * 3 * stride + k;
      reduced[to] = r0;
      reduced[to + 1] = r1;
      reduced[to + 2] = r2;
      reduced[to + 3] = r3;
      reduced[to + stride] = g0;
      reduced[to + stride + 1] = g1;
      reduced[to + stride + 2] = g2;
      reduced[to + stride + 3] = g3;
      reduced[to + 2 * stride] = b0;
      reduced[to + 2 * stride + 1] = b1;
      reduced[to + 2 * stride + 2] = b2;
      reduced[to + 2 * stride + 3] = b3;
    }
  }
}

/** [height, 3, rank in fours] -> [height, width, 3], rounded. Four pixels at once. */
function expandRows(coefficients: Float64Array, { size, rank, expandInFours }: LineBlur, height: number, blurred: Uint8Array): void {
  const stride = inFour(rank);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < size; x += 4) {
      // A half, since storing cuts the fraction off.
      let r0 = 0.5, r1 = 0.5, r2 = 0.5, r3 = 0.5;
      let g0 = 0.5, g1 = 0.5, g2 = 0.5, g3 = 0.5;
      let b0 = 0.5, b1 = 0.5, b2 = 0.5, b3 = 0.5;
      for (let k = 0, at = x * rank, from = y * 3 * stride; k < rank; k++, at += 4, from++) {
        const w0 = expandInFours[at]!;
        const w1 = expandInFours[at + 1]!;
        const w2 = expandInFours[at + 2]!;
        const w3 = expandInFours[at + 3]!;
        const red = coefficients[from]!;
        const green = coefficients[from + stride]!;
        const blue = coefficients[from + 2 * stride]!;
        r0 += w0 * red;
        r1 += w1 * red;
        r2 += w2 * red;
        r3 += w3 * red;
        g0 += w0 * green;
        g1 += w1 * green;
        g2 += w2 * green;
        g3 += w3 * green;
        b0 += w0 * blue;
        b1 += w1 * blue;
        b2 += w2 * blue;
        b3 += w3 * blue;
      }
      // What falls behind the line is written over by the next line; behind the array nothing is written.
      const to = (y * size + x) * 3;
      blurred[to] = r0;
      blurred[to + 1] = g0;
      blurred[to + 2] = b0;
      blurred[to + 3] = r1;
      blurred[to + 4] = g1;
      blurred[to + 5] = b1;
      blurred[to + 6] = r2;
      blurred[to + 7] = g2;
      blurred[to + 8] = b2;
      blurred[to + 9] = r3;
      blurred[to + 10] = g3;
      blurred[to + 11] = b3;
    }
  }
}
