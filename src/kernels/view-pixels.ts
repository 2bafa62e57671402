import { pillowResize, type PillowKernel } from "./pillow-resize.ts";

/** RGB uint8, [height, width, 3], row-major. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** The model's pixel steps; coordinates are pixels of the step's input. */
export type RgbStep =
  | { readonly op: "resize"; readonly width: number; readonly height: number; readonly kernel: PillowKernel }
  | { readonly op: "crop"; readonly left: number; readonly top: number; readonly width: number; readonly height: number }
  | { readonly op: "pad"; readonly left: number; readonly top: number; readonly right: number; readonly bottom: number; readonly color: readonly [number, number, number] };

/** The image after the steps, exact to the last bit of what Pillow gives. May share the input's pixels. */
export function viewPixels(image: RgbImage, steps: readonly RgbStep[]): RgbImage {
  return steps.reduce(applyStep, image);
}

function applyStep(image: RgbImage, step: RgbStep): RgbImage {
  const { width, height, data } = image;
  if (step.op === "resize") {
    return { width: step.width, height: step.height, data: pillowResize(data, width, height, step.width, step.height, step.kernel) };
  }
  if (step.op === "crop") {
    return place(image, step.left, step.top, { width: step.width, height: step.height, data: new Uint8Array(step.width * step.height * 3) }, 0, 0);
  }
  const padded = { width: width + step.left + step.right, height: height + step.top + step.bottom };
  const background = new Uint8Array(padded.width * padded.height * 3);
  for (let i = 0; i < background.length; i++) background[i] = step.color[i % 3]!;
  return place(image, 0, 0, { ...padded, data: background }, step.left, step.top);
}

/** Copies as much of `from`, beginning at (left, top), as fits into `to` at (toLeft, toTop); returns `to`. */
function place(from: RgbImage, left: number, top: number, to: RgbImage, toLeft: number, toTop: number): RgbImage {
  const columns = Math.min(from.width - left, to.width - toLeft);
  const rows = Math.min(from.height - top, to.height - toTop);
  for (let row = 0; row < rows; row++) {
    const start = ((top + row) * from.width + left) * 3;
    to.data.set(from.data.subarray(start, start + columns * 3), ((toTop + row) * to.width + toLeft) * 3);
  }
  return to;
}
