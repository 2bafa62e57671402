/**
 * Gaussian blur whose cost does not depend on sigma: Deriche's fourth-order recursive filter.
 *
 * A causal and an anti-causal recursion whose sum approximates the Gaussian kernel (R. Deriche, "Recursively
 * implementing the Gaussian and its derivatives", INRIA report 1893, 1993, fourth-order coefficients). Both run on
 * the input, so replicating the edge pixel for ever is exact: it sets the recursion's state before the first pixel.
 */

/** Coefficients of Deriche's fit exp-cos-sin pair: alpha_i (cos), alpha_i (sin), decay, frequency. */
const FIT = [
  { cos: 1.68, sin: 3.735, decay: 1.783, frequency: 0.6318 },
  { cos: -0.6803, sin: -0.2598, decay: 1.723, frequency: 1.997 },
] as const;

/** Below this sigma the fit is coarser than one grey level of 255: convolve directly instead. */
export const MIN_RECURSIVE_SIGMA = 1;

interface Filter {
  /** Feed-forward taps of the causal half on x[t..t-3] and of the anti-causal half on x[t+1..t+4]. */
  readonly causal: readonly [number, number, number, number];
  readonly antiCausal: readonly [number, number, number, number];
  /** Feedback taps on y[t-1..t-4], shared by both halves. */
  readonly feedback: readonly [number, number, number, number];
  /** Output of each half for a constant input of 1, in steady state. */
  readonly causalGain: number;
  readonly antiCausalGain: number;
}

function designFilter(sigma: number): Filter {
  const [a, c] = FIT;
  const decay = (p: number, q: number) => Math.exp(-(p * a.decay + q * c.decay) / sigma);
  const cosA = Math.cos(a.frequency / sigma);
  const sinA = Math.sin(a.frequency / sigma);
  const cosC = Math.cos(c.frequency / sigma);
  const sinC = Math.sin(c.frequency / sigma);
  const causal: [number, number, number, number] = [
    a.cos + c.cos,
    decay(0, 1) * (c.sin * sinC - (c.cos + 2 * a.cos) * cosC) + decay(1, 0) * (a.sin * sinA - (2 * c.cos + a.cos) * cosA),
    2 * decay(1, 1) * ((a.cos + c.cos) * cosC * cosA - a.sin * cosC * sinA - c.sin * cosA * sinC) +
      c.cos * decay(2, 0) +
      a.cos * decay(0, 2),
    decay(2, 1) * (c.sin * sinC - c.cos * cosC) + decay(1, 2) * (a.sin * sinA - a.cos * cosA),
  ];
  const feedback: [number, number, number, number] = [
    -2 * decay(0, 1) * cosC - 2 * decay(1, 0) * cosA,
    4 * cosC * cosA * decay(1, 1) + decay(0, 2) + decay(2, 0),
    -2 * cosA * decay(1, 2) - 2 * cosC * decay(2, 1),
    decay(2, 2),
  ];
  // The anti-causal half is the causal kernel mirrored, without the sample at 0.
  const antiCausal: [number, number, number, number] = [
    causal[1] - feedback[0] * causal[0],
    causal[2] - feedback[1] * causal[0],
    causal[3] - feedback[2] * causal[0],
    -feedback[3] * causal[0],
  ];
  const sum = (taps: readonly number[]) => taps.reduce((total, tap) => total + tap, 0);
  const denominator = 1 + sum(feedback);
  return { causal, antiCausal, feedback, causalGain: sum(causal) / denominator, antiCausalGain: sum(antiCausal) / denominator };
}

/** Filters `count` lines of `length` values, `stride` apart within a line and `step` apart between lines. */
function filterLines(
  { causal, antiCausal, feedback, causalGain, antiCausalGain }: Filter,
  source: Float64Array,
  target: Float64Array,
  lines: { readonly length: number; readonly stride: number; readonly count: number; readonly step: number; readonly start: number },
): void {
  const [n0, n1, n2, n3] = causal;
  const [m1, m2, m3, m4] = antiCausal;
  const [d1, d2, d3, d4] = feedback;
  const scale = 1 / (causalGain + antiCausalGain);
  for (let line = 0; line < lines.count; line++) {
    const first = lines.start + line * lines.step;
    const last = first + (lines.length - 1) * lines.stride;
    let x1 = source[first]!;
    let x2 = x1;
    let x3 = x1;
    let y1 = x1 * causalGain;
    let y2 = y1;
    let y3 = y1;
    let y4 = y1;
    for (let p = first; p <= last; p += lines.stride) {
      const x0 = source[p]!;
      const y0 = n0 * x0 + n1 * x1 + n2 * x2 + n3 * x3 - d1 * y1 - d2 * y2 - d3 * y3 - d4 * y4;
      target[p] = y0;
      x3 = x2;
      x2 = x1;
      x1 = x0;
      y4 = y3;
      y3 = y2;
      y2 = y1;
      y1 = y0;
    }
    x1 = x2 = x3 = source[last]!;
    let x4 = x1;
    y1 = y2 = y3 = y4 = x1 * antiCausalGain;
    for (let p = last; p >= first; p -= lines.stride) {
      const y0 = m1 * x1 + m2 * x2 + m3 * x3 + m4 * x4 - d1 * y1 - d2 * y2 - d3 * y3 - d4 * y4;
      target[p] = (target[p]! + y0) * scale;
      x4 = x3;
      x3 = x2;
      x2 = x1;
      x1 = source[p]!;
      y4 = y3;
      y3 = y2;
      y2 = y1;
      y1 = y0;
    }
  }
}

/**
 * Between images up to this many values float64 buffers are kept: V8 frees buffers that a thread drops only once they
 * come to tens of megabytes.
 */
const MAX_KEPT_VALUES = 2 ** 20;
let kept: readonly [Float64Array, Float64Array] = [new Float64Array(0), new Float64Array(0)];

function buffersFor(length: number): readonly [Float64Array, Float64Array] {
  if (length <= kept[0].length) return kept;
  const buffers = [new Float64Array(length), new Float64Array(length)] as const;
  if (length <= MAX_KEPT_VALUES) kept = buffers;
  return buffers;
}

/**
 * The blurred image, edges replicated, rounded to the nearest level: `into`, which may be `pixels`.
 * Shape: `pixels` [height, width, 3] row-major RGB uint8; the result has the same shape.
 * Dtype: uint8 in and out, float64 between. `sigma` in pixels, >= MIN_RECURSIVE_SIGMA.
 * Accuracy: within one level of a float64 convolution (test/kernels/recursive-gaussian.test.ts).
 */
export function recursiveGaussian(pixels: Uint8Array, width: number, height: number, sigma: number, into: Uint8Array = new Uint8Array(pixels.length)): Uint8Array {
  const filter = designFilter(sigma);
  const [image, rows] = buffersFor(pixels.length);
  image.set(pixels);
  for (let channel = 0; channel < 3; channel++) {
    filterLines(filter, image, rows, { length: width, stride: 3, count: height, step: width * 3, start: channel });
    filterLines(filter, rows, image, { length: height, stride: width * 3, count: width, step: 3, start: channel });
  }
  for (let i = 0; i < into.length; i++) into[i] = Math.min(255, Math.max(0, Math.round(image[i]!)));
  return into;
}
