/** Small pictures of images, clean and as the run blurred them. */
import { blurPixels } from "../kernels/blur-pixels.ts";
import { meanColor } from "../kernels/mean-color.ts";
import { isImageReject } from "../core/stage.ts";
import { decodeSource, type Pixels, renderView } from "../stages/image-decoding.ts";
import { encodeWebp } from "../stages/image-encoding.ts";

export interface Picture {
  /** data: URLs. */
  readonly clean: string;
  readonly blurred: string;
  readonly width: number;
  readonly height: number;
}

/** Pixels of the longer side. */
export const PICTURE_SIZE = 288;
/** A blur compresses well, and shows banding first. */
const QUALITY = { clean: 68, blurred: 82 };
const LIMITS = { max_pixels: 100_000_000, apply_exif_orientation: true };

/** How the run made its stand-in for "no image", as its manifest says; undefined: in no way that is known here. */
export function standInOf(blur: Readonly<Record<string, unknown>>): StandIn | undefined {
  if (blur["stand_in"] === "gray" || blur["stand_in"] === "mean_color") return { kind: blur["stand_in"] };
  const { sigma_fraction: fraction, sigma_px: px, at } = blur;
  if (typeof fraction === "number") return { kind: "gaussian", sigmaOf: ({ shorter }) => fraction * shorter };
  if (typeof px !== "number") return undefined;
  const reference = blur["view_shorter_side_px"];
  if (at === "source") return { kind: "gaussian", sigmaOf: ({ shorter, sourceShorter }) => (px * shorter) / sourceShorter };
  return typeof reference === "number" ? { kind: "gaussian", sigmaOf: ({ shorter }) => (px * shorter) / reference } : undefined;
}

type StandIn =
  | { readonly kind: "gray" | "mean_color" }
  /** sigma in pixels of the picture, given its shorter side and the source's, in pixels. */
  | { readonly kind: "gaussian"; readonly sigmaOf: (sides: { readonly shorter: number; readonly sourceShorter: number }) => number };

/**
 * The picture of an encoded image, or in words why there is none. A sigma given in pixels is scaled as the picture is, so
 * that what can still be made out is what the model could make out.
 */
export async function takePicture(bytes: Uint8Array, standIn: StandIn | undefined): Promise<Picture | string> {
  const source = await decodeSource(bytes, LIMITS);
  if (isImageReject(source)) return source.message;
  const clean = await shrink(source);
  const blurred = standIn === undefined ? undefined : withStandIn(clean, source, standIn);
  const [cleanBytes, blurredBytes] = await Promise.all([encodeWebp(clean, QUALITY.clean), blurred && encodeWebp(blurred, QUALITY.blurred)]);
  return { clean: dataUrl(cleanBytes), blurred: blurredBytes ? dataUrl(blurredBytes) : "", width: clean.width, height: clean.height };
}

async function shrink(source: Pixels): Promise<Pixels> {
  const scale = Math.min(1, PICTURE_SIZE / Math.max(source.width, source.height));
  const size = { width: Math.max(1, Math.round(source.width * scale)), height: Math.max(1, Math.round(source.height * scale)) };
  return scale === 1 ? source : renderView(source, { steps: [{ op: "resize", ...size, kernel: "bicubic" }], size });
}

function withStandIn(clean: Pixels, source: Pixels, standIn: StandIn): Pixels {
  switch (standIn.kind) {
    case "gray":
      return { ...clean, data: new Uint8Array(clean.data.length).fill(128) };
    case "mean_color":
      return { ...clean, data: meanColor(clean.data) };
    case "gaussian": {
      const sigma = standIn.sigmaOf({ shorter: Math.min(clean.width, clean.height), sourceShorter: Math.min(source.width, source.height) });
      return { ...clean, data: blurPixels(clean.data, clean.width, clean.height, sigma) };
    }
  }
}

const dataUrl = (bytes: Uint8Array): string => `data:image/webp;base64,${Buffer.from(bytes).toString("base64")}`;
