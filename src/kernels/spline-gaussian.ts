/**
 * The Gaussian blur of an image at a cost that falls with sigma, equal to the convolution with the kernel cut at 4 sigma.
 *
 * A Gaussian has no detail finer than itself. So as a function of where a pixel comes from and where it goes it is a sum of
 * B-splines a fraction of sigma apart: blur = expand x (Gaussian on the nodes) x reduce, where reduce and expand take eight
 * weights a pixel (M. Unser, "Splines: a perfect fit for signal and image processing", IEEE Signal Processing Magazine 16,
 * 1999). Rows are reduced first; columns then have few values left.
 *
 * That is the Gaussian without an end. What the cut at 4 sigma takes away, a 16,000th of the sum, is subtracted: each of
 * the two tails falls as fast as an exponential, which a recursion sums up.
 */
import { gaussianWeights, type TakeStrip } from "./gaussian.ts";
import { scratch } from "./scratch.ts";
import { expand, reduce, reduceEdges, reduceValues, splineGrid, type SplineGrid } from "./spline-grid.ts";
import { convolveLines } from "./symmetric-convolution.ts";

/**
 * Pixels from spline to spline. Four to a sigma leave out 1e-6 levels of 255 of the Gaussian in each direction, 2.6 leave
 * out 3e-5: for small sigmas, where every spline costs.
 */
function stepOf(sigma: number): number {
  return Math.max(Math.floor(sigma / 4), Math.min(4, Math.floor(sigma / 2.6)));
}

/** The tails are 0.016 levels in all, of which a thousandth may be left out: cubic splines, farther from each other. */
const TAIL_NODES_PER_SIGMA = 1.8;

interface Blur {
  readonly across: SplineGrid;
  readonly down: SplineGrid;
  /** The Gaussian on the nodes of both. */
  readonly onNodes: Float64Array;
  /** For the tails of rows, which are reduced downwards; none where no row is longer than the kernel's half. */
  readonly tailsDown: { readonly grid: SplineGrid; readonly onNodes: Float64Array } | undefined;
  readonly tail: Tail;
}

/**
 * The blurred image, edges repeated, not rounded, handed to `take` strip by strip; `pixels` is read before the first.
 * Shape: `pixels` [height, width, 3] row-major RGB uint8. `sigma` in pixels, > 4. Dtype: float64 (0 to 255) out.
 * Accuracy: within 1e-4 of the convolution, whatever the image.
 */
export function splineGaussian(pixels: Uint8Array, width: number, height: number, sigma: number, take: TakeStrip): void {
  const { across, down, onNodes, tailsDown, tail } = blurOf(width, height, sigma);
  const rowLength = 3 * width;
  const nodesLength = 3 * across.numNodes;
  const strip = scratch("strip", STRIP_ROWS * rowLength);
  const rows = scratch("rows", height * nodesLength);
  const rowTails = scratch("row tails", tailsDown ? tailsDown.grid.numNodes * rowLength : 0);

  if (tailsDown) {
    strip.set(pixels.subarray(0, rowLength));
    strip.set(pixels.subarray(-rowLength), rowLength);
    reduceEdges(tailsDown.grid, strip, 1, 2, rowLength, rowTails);
  }
  for (let y = 0; y < height; y += STRIP_ROWS) {
    const numRows = Math.min(STRIP_ROWS, height - y);
    strip.set(pixels.subarray(y * rowLength, (y + numRows) * rowLength));
    const reduced = rows.subarray(y * nodesLength, (y + numRows) * nodesLength);
    reduce(across, strip, numRows, 3, reduced);
    if (tailsDown) reduceValues(tailsDown.grid, strip, y, numRows, 1, rowLength, rowTails);
    else subtractEnds(tail, across, strip, numRows, 3, reduced);
  }

  const nodes = scratch("nodes", down.numNodes * nodesLength);
  const blurred = scratch("blurred nodes", down.numNodes * nodesLength);
  reduce(down, rows, 1, nodesLength, nodes);
  const hasColumnTails = tail.reach < height - 1;
  if (!hasColumnTails) subtractEnds(tail, down, rows, 1, nodesLength, nodes);
  convolveLines(onNodes, nodes, down.numNodes, across.numNodes, 3, blurred);
  convolveLines(onNodes, blurred, 1, down.numNodes, nodesLength, nodes);
  if (hasColumnTails) {
    const tails = scratch("column tails", height * nodesLength);
    sumTails(tail, rows, 1, height, nodesLength, tails);
    convolveLines(onNodes, tails, height, across.numNodes, 3, rows);
    expand(down, nodes, 1, nodesLength, tails);
    for (let i = 0; i < height * nodesLength; i++) rows[i] = tails[i]! - rows[i]!;
  } else expand(down, nodes, 1, nodesLength, rows);

  if (tailsDown) {
    const { grid, onNodes } = tailsDown;
    const summed = scratch("summed row tails", grid.numNodes * rowLength);
    sumTails(tail, rowTails, grid.numNodes, width, 3, summed);
    convolveLines(onNodes, summed, 1, grid.numNodes, rowLength, rowTails);
  }
  for (let y = 0; y < height; y += STRIP_ROWS) {
    const numRows = Math.min(STRIP_ROWS, height - y);
    expand(across, rows.subarray(y * nodesLength), numRows, 3, strip);
    if (tailsDown) subtractRows(tailsDown.grid, rowTails, y, numRows, rowLength, strip);
    take(strip, y * rowLength, numRows * rowLength);
  }
}

/** Rows that are worked on at once: they stay in the processor's cache. */
const STRIP_ROWS = 8;

/** A model has a few sizes; images blurred in their own size have many. */
const MAX_CACHED = 64;
const cached = new Map<string, Blur>();

function blurOf(width: number, height: number, sigma: number): Blur {
  const key = `${width} ${height} ${sigma}`;
  const known = cached.get(key);
  if (known) return known;
  if (cached.size >= MAX_CACHED) cached.clear();
  const step = stepOf(sigma);
  const tailStep = Math.floor(sigma / TAIL_NODES_PER_SIGMA);
  const tail = tailOf(sigma);
  const blur = {
    across: splineGrid(width, 8, step),
    down: splineGrid(height, 8, step),
    onNodes: gaussianOnNodes(8, sigma / step, 6).map((weight) => weight * tail.uncut),
    tailsDown: tail.reach < width - 1 ? { grid: splineGrid(height, 4, tailStep), onNodes: gaussianOnNodes(4, sigma / tailStep, 3.6) } : undefined,
    tail,
  };
  cached.set(key, blur);
  return blur;
}

/**
 * The half kernel on the nodes that gives the Gaussian between splines: its Fourier transform is the Gaussian's over those
 * of both splines. `sigma` in nodes; the kernel is cut at `deviations` of its own.
 */
function gaussianOnNodes(order: number, sigma: number, deviations: number): Float64Array {
  const reach = Math.ceil(deviations * Math.sqrt(sigma ** 2 - order / 6));
  const numAngles = reach + 2;
  const angles = Float64Array.from({ length: numAngles }, (_, j) => ((j + 0.5) * Math.PI) / numAngles);
  const transform = angles.map((angle) => Math.exp(-((sigma * angle) ** 2) / 2) * (angle / 2 / Math.sin(angle / 2)) ** (2 * order));
  return Float64Array.from({ length: reach + 1 }, (_, d) => transform.reduce((sum, value, j) => sum + value * Math.cos(d * angles[j]!), 0) / numAngles);
}

/**
 * One tail of the Gaussian, from `reach + 1` pixels on: the real part of `weight` x `ratio` ^ pixels further out, as complex numbers.
 */
interface Tail {
  readonly reach: number;
  /** The sum of the Gaussian without an end, where the kernel's sum is 1. */
  readonly uncut: number;
  readonly weight: readonly [number, number];
  readonly ratio: readonly [number, number];
}

/** exp(-4 u - u ** 2 / 2) = exp(-decay u) (cos cos(frequency u) + sin sin(frequency u)), off by 0.06 % of its sum in all. */
const FIT = { cos: 0.99935925, sin: 0.49715391, decay: 4.46960635, frequency: 0.97650186 };

function tailOf(sigma: number): Tail {
  const weights = gaussianWeights(sigma);
  const reach = (weights.length - 1) / 2;
  const uncut = weights[reach]! * Math.sqrt(2 * Math.PI) * sigma;
  const shrink = Math.exp(-FIT.decay / sigma);
  const ratio = [shrink * Math.cos(FIT.frequency / sigma), shrink * Math.sin(FIT.frequency / sigma)] as const;
  const first = FIT.frequency * ((reach + 1) / sigma - 4);
  const [cos, sin] = [Math.cos(first), Math.sin(first)];
  const [real, imaginary] = [FIT.cos * cos + FIT.sin * sin, FIT.cos * sin - FIT.sin * cos];
  const [sumReal, sumImaginary] = sumForEver(ratio);
  const scale = (uncut - 1) / 2 / (real * sumReal - imaginary * sumImaginary);
  return { reach, uncut, weight: [scale * real, scale * imaginary], ratio };
}

/** 1 / (1 - ratio): what a recursion comes to where it has seen 1 for ever. */
function sumForEver([real, imaginary]: readonly [number, number]): readonly [number, number] {
  const norm = (1 - real) ** 2 + imaginary ** 2;
  return [(1 - real) / norm, imaginary / norm];
}

/**
 * Where no line is longer than the kernel's half, the tails see repeated ends alone: a constant, which is the same on the nodes
 * until it grows there with the Gaussian's sum.
 * Shape: `from` [numLines, grid.size, width], `nodes` [numLines, grid.numNodes, width].
 */
function subtractEnds({ uncut }: Tail, { size, numNodes }: SplineGrid, from: Float64Array, numLines: number, width: number, nodes: Float64Array): void {
  const share = (uncut - 1) / 2 / uncut;
  for (let line = 0; line < numLines; line++) {
    const first = line * size * width;
    const last = first + (size - 1) * width;
    for (let c = 0; c < width; c++) {
      const ends = share * (from[first + c]! + from[last + c]!);
      for (let k = 0, at = line * numNodes * width + c; k < numNodes; k++, at += width) nodes[at]! -= ends;
    }
  }
}

/** What both tails see from each pixel, edges repeated. Shape: `from`, `to` [numLines, size, width], `width` a multiple of three. */
function sumTails({ reach, weight, ratio }: Tail, from: Float64Array, numLines: number, size: number, width: number, to: Float64Array): void {
  const [wr, wi] = weight;
  const [ratioReal, ratioImaginary] = ratio;
  const [settledReal, settledImaginary] = sumForEver(ratio);
  to.fill(0, 0, numLines * size * width);
  for (let line = 0; line < numLines; line++) {
    for (let c = 0; c < width; c += 3) {
      const first = line * size * width + c;
      for (const [end, pixel] of [[first, width], [first + (size - 1) * width, -width]] as const) {
        let r = from[end]! * settledReal, ri = from[end]! * settledImaginary;
        let g = from[end + 1]! * settledReal, gi = from[end + 1]! * settledImaginary;
        let b = from[end + 2]! * settledReal, bi = from[end + 2]! * settledImaginary;
        for (let i = 0, at = end, seen = end; i < size; i++, at += pixel) {
          // Up to here the tail sees the repeated end.
          if (i > reach + 1) seen += pixel;
          const red = r * ratioReal - ri * ratioImaginary + from[seen]!;
          const green = g * ratioReal - gi * ratioImaginary + from[seen + 1]!;
          const blue = b * ratioReal - bi * ratioImaginary + from[seen + 2]!;
          ri = ri * ratioReal + r * ratioImaginary;
          gi = gi * ratioReal + g * ratioImaginary;
          bi = bi * ratioReal + b * ratioImaginary;
          r = red;
          g = green;
          b = blue;
          to[at]! += wr * r - wi * ri;
          to[at + 1]! += wr * g - wi * gi;
          to[at + 2]! += wr * b - wi * bi;
        }
      }
    }
  }
}

/** Takes rows `y` to `y + numRows` of what is expanded downwards from `nodes` [grid.numNodes, length] off `strip` [numRows, length]. */
function subtractRows({ step, weights }: SplineGrid, nodes: Float64Array, y: number, numRows: number, length: number, strip: Float64Array): void {
  for (let row = 0; row < numRows; row++) {
    const phase = (y + row) % step;
    const w0 = weights[phase * 4]!;
    const w1 = weights[phase * 4 + 1]!;
    const w2 = weights[phase * 4 + 2]!;
    const w3 = weights[phase * 4 + 3]!;
    for (let i = row * length, end = i + length, at = ((y + row - phase) / step + 1) * length; i < end; i++, at++) {
      strip[i]! -= w0 * nodes[at]! + w1 * nodes[at + length]! + w2 * nodes[at + 2 * length]! + w3 * nodes[at + 3 * length]!;
    }
  }
}
