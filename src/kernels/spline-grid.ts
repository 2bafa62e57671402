/**
 * Lines of values as sums of cubic and higher B-splines, a few of them in place of many values.
 */

/** B-splines of an even order along a line, one every `step` values; the first and the last see repeated edges alone. */
export interface SplineGrid {
  readonly size: number;
  readonly order: 4 | 8;
  readonly step: number;
  readonly numNodes: number;
  /** [order / 4, step, 4]: what the splines after value i are at i % step, four beside each other. */
  readonly weights: Float64Array;
  /** [numNodes]: the share of a spline before the line's first value, and after its last. */
  readonly before: Float64Array;
  readonly after: Float64Array;
}

export function splineGrid(size: number, order: 4 | 8, step: number): SplineGrid {
  const reach = (order / 2) * step;
  const numNodes = Math.ceil((size - 1) / step) + order + 1;
  const half = Float64Array.from({ length: reach + 1 }, (_, d) => spline(order, d / step));
  const weights = new Float64Array(order * step);
  for (let node = 0; node < order; node++) {
    for (let t = 0; t < step; t++) weights[((node >> 2) * step + t) * 4 + (node % 4)] = half[Math.abs((node + 1) * step - reach - t)]!;
  }
  const beyond = new Float64Array(2 * reach + 1);
  for (let d = reach - 1; d >= -reach; d--) beyond[d + reach] = beyond[d + reach + 1]! + half[Math.abs(d + 1)]! / step;
  const share = (distance: number) => beyond[Math.min(reach, Math.max(-reach, distance)) + reach]!;
  return {
    size,
    order,
    step,
    numNodes,
    weights,
    before: Float64Array.from({ length: numNodes }, (_, k) => share(k * step - reach)),
    after: Float64Array.from({ length: numNodes }, (_, k) => share(size - 1 - k * step + reach)),
  };
}

/** The centred B-spline of that order at x >= 0, its knots 1 apart. */
function spline(order: number, x: number): number {
  let sum = 0;
  let binomial = 1;
  let factorial = 1;
  for (let k = 0; k < order / 2 - x; k++) {
    sum += binomial * (order / 2 - x - k) ** (order - 1);
    binomial *= -(order - k) / (k + 1);
  }
  for (let k = 2; k < order; k++) factorial *= k;
  return sum / factorial;
}

/** The splines' shares of every line: `from` [numLines, grid.size, width], `to` [numLines, grid.numNodes, width]. */
export function reduce(grid: SplineGrid, from: Float64Array, numLines: number, width: number, to: Float64Array): void {
  reduceEdges(grid, from, numLines, grid.size, width, to);
  reduceValues(grid, from, 0, grid.size, numLines, width, to);
}

/** What the repeated first and last of `length` values give to the nodes: `to` is set, not added to. */
export function reduceEdges({ numNodes, before, after }: SplineGrid, from: Float64Array, numLines: number, length: number, width: number, to: Float64Array): void {
  for (let line = 0; line < numLines; line++) {
    const first = line * length * width;
    const last = first + (length - 1) * width;
    for (let k = 0, at = line * numNodes * width; k < numNodes; k++) {
      for (let c = 0; c < width; c++, at++) to[at] = before[k]! * from[first + c]! + after[k]! * from[last + c]!;
    }
  }
}

/** Adds the values from index `at` on of every line: `from` [numLines, count, width], `to` [numLines, numNodes, width]. */
export function reduceValues({ order, step, numNodes, weights }: SplineGrid, from: Float64Array, at: number, count: number, numLines: number, width: number, to: Float64Array): void {
  const scale = 1 / step;
  for (let line = 0; line < numLines; line++) {
    for (let i = at; i < at + count; ) {
      const phase = i % step;
      const segment = (i - phase) / step;
      const run = Math.min(step - phase, at + count - i);
      for (let group = 0; group < order / 4; group++) {
        for (let c = 0; c < width; c += 3) {
          let r0 = 0, r1 = 0, r2 = 0, r3 = 0;
          let g0 = 0, g1 = 0, g2 = 0, g3 = 0;
          let b0 = 0, b1 = 0, b2 = 0, b3 = 0;
          let w = (group * step + phase) * 4;
          let p = (line * count + i - at) * width + c;
          for (let t = 0; t < run; t++, w += 4, p += width) {
            const w0 = weights[w]!;
            const w1 = weights[w + 1]!;
            const w2 = weights[w + 2]!;
            const w3 = weights[w + 3]!;
            const red = from[p]!;
            const green = from[p + 1]!;
            const blue = from[p + 2]!;
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
          let node = (line * numNodes + segment + 1 + 4 * group) * width + c;
          to[node]! += r0 * scale;
          to[node + 1]! += g0 * scale;
          to[node + 2]! += b0 * scale;
          node += width;
          to[node]! += r1 * scale;
          to[node + 1]! += g1 * scale;
          to[node + 2]! += b1 * scale;
          node += width;
          to[node]! += r2 * scale;
          to[node + 1]! += g2 * scale;
          to[node + 2]! += b2 * scale;
          node += width;
          to[node]! += r3 * scale;
          to[node + 1]! += g3 * scale;
          to[node + 2]! += b3 * scale;
        }
      }
      i += run;
    }
  }
}

/** `from` [numLines, numNodes, width], `to` [numLines, size, width]. */
export function expand({ size, order, step, numNodes, weights }: SplineGrid, from: Float64Array, numLines: number, width: number, to: Float64Array): void {
  for (let line = 0; line < numLines; line++) {
    for (let i = 0, segment = 0; i < size; i += step, segment++) {
      const run = Math.min(step, size - i);
      for (let group = 0; group < order / 4; group++) {
        const node = (line * numNodes + segment + 1 + 4 * group) * width;
        for (let c = 0; c < width; c += 3) {
          let at = node + c;
          const r0 = from[at]!, g0 = from[at + 1]!, b0 = from[at + 2]!;
          at += width;
          const r1 = from[at]!, g1 = from[at + 1]!, b1 = from[at + 2]!;
          at += width;
          const r2 = from[at]!, g2 = from[at + 1]!, b2 = from[at + 2]!;
          at += width;
          const r3 = from[at]!, g3 = from[at + 1]!, b3 = from[at + 2]!;
          let w = group * step * 4;
          let p = (line * size + i) * width + c;
          for (let t = 0; t < run; t++, w += 4, p += width) {
            const w0 = weights[w]!;
            const w1 = weights[w + 1]!;
            const w2 = weights[w + 2]!;
            const w3 = weights[w + 3]!;
            const red = w0 * r0 + w1 * r1 + w2 * r2 + w3 * r3;
            const green = w0 * g0 + w1 * g1 + w2 * g2 + w3 * g3;
            const blue = w0 * b0 + w1 * b1 + w2 * b2 + w3 * b3;
            if (group === 0) {
              to[p] = red;
              to[p + 1] = green;
              to[p + 2] = blue;
            } else {
              to[p]! += red;
              to[p + 1]! += green;
              to[p + 2]! += blue;
            }
          }
        }
      }
    }
  }
}
