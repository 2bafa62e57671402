/** Encoded bytes to RGB pixels, as Pillow's `convert("RGB")` gives them. */
import sharp from "sharp";
import { InternalError } from "../core/errors.ts";
import { isImageReject, type ImageReject } from "../core/stage.ts";
import type { ImageSize, PixelStep, ViewPlan } from "../model/contract.ts";

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

const READ_FORMATS = ["jpeg", "png", "webp", "gif"];

// Only these loaders may ever run: libvips has many more, some of them large attack surfaces.
sharp.block({ operation: ["VipsForeignLoad"] });
sharp.unblock({
  operation: ["VipsForeignLoadJpegBuffer", "VipsForeignLoadPngBuffer", "VipsForeignLoadWebpBuffer", "VipsForeignLoadNsgifBuffer"],
});
sharp.cache(false);
// Parallelism comes from several images at once, not from threads within one.
sharp.concurrency(1);

const KERNELS = { nearest: "nearest", bilinear: "linear", bicubic: "cubic", lanczos: "lanczos3" } as const;

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
    const header = await sharp(bytes, { limitInputPixels: false, pages: 1 }).metadata();
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
  const size = await readImageSize(bytes, limits);
  if (isImageReject(size)) return size;
  try {
    const image = sharp(bytes, {
      failOn: "truncated",
      limitInputPixels: limits.max_pixels,
      pages: 1,
      autoOrient: limits.apply_exif_orientation,
      ignoreIcc: true,
    });
    const { data, info } = await image.removeAlpha().toColourspace("srgb").raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data };
  } catch (error) {
    return corrupt(error);
  }
}

/** The view of an image that has been decoded. Runs consecutive resize, crop and pad steps in one pass of sharp. */
export async function renderView(source: Pixels, plan: ViewPlan): Promise<Pixels> {
  let pixels = source;
  for (const pass of inPasses(plan.steps)) pixels = await runPass(pixels, pass);
  return pixels;
}

type Pass = { readonly [Op in PixelStep["op"]]?: Extract<PixelStep, { op: Op }> };

/** sharp applies resize, then extract, then extend within one pipeline, so a pass is a run of steps in that order. */
function inPasses(steps: readonly PixelStep[]): Pass[] {
  const order = ["resize", "crop", "pad"];
  const passes: Pass[] = [];
  let lastOp = order.length;
  for (const step of steps) {
    const op = order.indexOf(step.op);
    if (op <= lastOp) passes.push({ [step.op]: step });
    else passes[passes.length - 1] = { ...passes.at(-1), [step.op]: step };
    lastOp = op;
  }
  return passes;
}

async function runPass({ data, width, height }: Pixels, { resize, crop, pad }: Pass): Promise<Pixels> {
  const image = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  if (resize) image.resize({ width: resize.width, height: resize.height, kernel: KERNELS[resize.kernel], fit: "fill", fastShrinkOnLoad: false });
  if (crop) image.extract({ left: crop.left, top: crop.top, width: crop.width, height: crop.height });
  if (pad) {
    const [r, g, b] = pad.color;
    image.extend({ left: pad.left, top: pad.top, right: pad.right, bottom: pad.bottom, background: { r, g, b, alpha: 1 } });
  }
  // The size is computed: sharp's own report of it leaves an extend behind an extract out.
  const cut = crop ?? resize ?? { width, height };
  const padded = { width: cut.width + (pad ? pad.left + pad.right : 0), height: cut.height + (pad ? pad.top + pad.bottom : 0) };
  const pixels = await image.raw({ depth: "uchar" }).toBuffer();
  if (pixels.length !== padded.width * padded.height * 3) {
    throw new InternalError(`a view of ${padded.width} x ${padded.height} pixels has ${pixels.length} bytes`);
  }
  return { ...padded, data: pixels };
}
