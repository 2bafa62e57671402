/** Encoded bytes to RGB pixels, as Pillow's `convert("RGB")` gives them; of 16-bit gray the upper 8 bits, where Pillow cuts all above 255 to white. */
import { availableParallelism } from "node:os";
import sharp, { type Sharp } from "sharp";
import { InternalError } from "../core/errors.ts";
import { isImageReject, type ImageReject } from "../core/stage.ts";
import { openThreadPool, type ThreadPool } from "../core/thread-pool.ts";
import { jpegComponents } from "../kernels/jpeg-components.ts";
import { rgbOfCmyk } from "../kernels/rgb-of-cmyk.ts";
import { viewPixels } from "../kernels/view-pixels.ts";
import type { ImageSize, PixelStep, ViewPlan } from "../model/contract.ts";
import type { ViewTask } from "./view-thread.ts";

export interface DecodeLimits {
  /** Pixels of the source image; guards against decompression bombs. */
  readonly max_pixels: number;
  /** Turn the image as its EXIF orientation says, like `datasets` and transformers do. */
  readonly apply_exif_orientation: boolean;
}

/** RGB uint8, [height, width, 3] row-major. */
export interface Pixels extends ImageSize {
  readonly data: Uint8Array;
}

/** Of headers as of pixels: what can be decoded has a size. */
const FAIL_ON = "truncated";
const READ_FORMATS = ["jpeg", "png", "webp", "gif"];

// Only these loaders may ever run: libvips has many more, some of them large attack surfaces.
sharp.block({ operation: ["VipsForeignLoad"] });
sharp.unblock({
  operation: ["VipsForeignLoadJpegBuffer", "VipsForeignLoadPngBuffer", "VipsForeignLoadWebpBuffer", "VipsForeignLoadNsgifBuffer"],
});
sharp.cache(false);
// Parallelism comes from several images at once, not from threads within one.
sharp.concurrency(1);

/** What the first bytes say the file is, for a message that helps where no loader claims it. */
function sniff(bytes: Uint8Array): string {
  if (bytes.length === 0) return "an empty file";
  const head = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
  const known: readonly (readonly [RegExp, string])[] = [
    [/^II\*\0|^MM\0\*/, "TIFF"],
    [/^BM/, "BMP"],
    [/^....ftyp(avif|heic|mif1|heix)/s, "HEIF or AVIF"],
    [/^<(\?xml|svg|!DOCTYPE)/i, "XML, SVG or HTML"],
    [/^%PDF/, "PDF"],
  ];
  return known.find(([pattern]) => pattern.test(head))?.[1] ?? "no known image format";
}

const MAGIC = /^(\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP|GIF8[79]a)/s;

function checkMagic(bytes: Uint8Array): ImageReject | undefined {
  if (bytes.length === 0) return { code: "image_corrupt", message: "the file is empty" };
  if (MAGIC.test(Buffer.from(bytes.subarray(0, 16)).toString("latin1"))) return undefined;
  return { code: "image_unsupported_format", message: `the bytes look like ${sniff(bytes)}; JPEG, PNG, WebP and GIF are read` };
}

function corrupt(error: unknown): ImageReject {
  const text = error instanceof Error ? error.message : String(error);
  return { code: "image_corrupt", message: text.split("\n")[0]!.slice(0, 200) };
}

/** The image's size from its header, after orientation, or why it can't be used. */
export async function readImageSize(bytes: Uint8Array, limits: DecodeLimits): Promise<ImageSize | ImageReject> {
  const unsupported = checkMagic(bytes);
  if (unsupported) return unsupported;
  try {
    const header = await sharp(bytes, { failOn: FAIL_ON, limitInputPixels: false, pages: 1 }).metadata();
    const { format, width, height } = header;
    if (!READ_FORMATS.includes(format)) return { code: "image_unsupported_format", message: `the format is ${format}` };
    if (width * height > limits.max_pixels) {
      return { code: "image_too_large", message: `${width} x ${height} pixels exceed max_pixels ${limits.max_pixels}` };
    }
    const turned = limits.apply_exif_orientation && (header.orientation ?? 1) >= 5;
    return turned ? { width: height, height: width } : { width, height };
  } catch (error) {
    return corrupt(error);
  }
}

/** The image in its own size, or why it can't be used. */
export async function decodeSource(bytes: Uint8Array, limits: DecodeLimits): Promise<Pixels | ImageReject> {
  const unsupported = checkMagic(bytes);
  if (unsupported) return unsupported;
  try {
    const image = sharp(bytes, {
      failOn: FAIL_ON,
      limitInputPixels: limits.max_pixels,
      pages: 1,
      autoOrient: limits.apply_exif_orientation,
      ignoreIcc: true,
    });
    const is_cmyk = await isCmyk(bytes, image);
    // libvips would go through a colour profile of its own.
    const colours = is_cmyk ? image.pipelineColourspace("cmyk").toColourspace("cmyk") : image.removeAlpha().toColourspace("srgb");
    const { data, info } = await colours.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data: is_cmyk ? rgbOfCmyk(data) : data };
  } catch (error) {
    // Opening an image twice takes as long as decoding a small one: its header is read only to say what is wrong.
    const size = await readImageSize(bytes, limits);
    return isImageReject(size) ? size : corrupt(error);
  }
}

/** Of the formats that are read only JPEG can be. */
async function isCmyk(bytes: Uint8Array, image: Sharp): Promise<boolean> {
  if (bytes[0] !== 0xff) return false;
  const components = jpegComponents(bytes);
  return components === undefined ? (await image.metadata()).space === "cmyk" : components === 4;
}

/**
 * The view of an image that has been decoded: Pillow's own pixels, bit for bit, since models were trained on them and
 * sharp's resize is another. Large resizes run in threads; they take about as long as sharp's.
 */
export async function renderView(source: Pixels, plan: ViewPlan): Promise<Pixels> {
  const { width, height, data } = source;
  if (plan.steps.length === 0) return { width, height, data };
  const task = { source: { width, height, data }, steps: plan.steps };
  const view = resizeWork(source, plan.steps) < MAX_INLINE_WORK ? viewPixels(task.source, task.steps) : await viewThreads().run(task);
  if (view.width !== plan.size.width || view.height !== plan.size.height) {
    throw new InternalError(`a view of ${plan.size.width} x ${plan.size.height} pixels became ${view.width} x ${view.height}`);
  }
  return view;
}

/** Pixels written by resizes, about 50 ns each: below this a message to a thread costs more. */
const MAX_INLINE_WORK = 40_000;

function resizeWork({ width, height }: ImageSize, steps: readonly PixelStep[]): number {
  return steps.reduce((sum, step) => (step.op === "resize" ? sum + step.width * step.height + width * height : sum), 0);
}

let threads: ThreadPool<ViewTask, Pixels> | undefined;

/** Started at the first large resize; idle threads do not keep the process alive. */
function viewThreads(): ThreadPool<ViewTask, Pixels> {
  return (threads ??= openThreadPool(import.meta.url, "./view-thread.ts", Math.max(1, availableParallelism() - 1)));
}
