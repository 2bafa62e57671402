/** Options that several sources share, each described once: documentation is generated from them. */
import { z } from "zod";
import type { ScanLimits } from "./record-scanner.ts";

/** One path or glob, or several. */
export const filesOption = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

export const splitSamplesOption = z
  .int()
  .min(1)
  .max(65_536)
  .default(256)
  .describe("Records in a split: the unit of work, of commit and of retry. Smaller resumes cheaper, larger fills batches better.");

export const maxImageBytesOption = z
  .int()
  .positive()
  .default(64 * 2 ** 20)
  .describe("Encoded images with more bytes are rejected as image_too_large before they are read.");

export const sourceNameOptions = {
  source_field: z
    .string()
    .min(1)
    .optional()
    .describe("The record's field that becomes the column `source`. Left out: source, else dataset, else task."),
  source_from_image_folder: z
    .boolean()
    .default(false)
    .describe("Without such a field, take the first folder of the first image's path (coco/train2017/1.jpg: coco), as LLaVA's mix names its data sets."),
};

export const scanLimitOptions = {
  max_record_bytes: z
    .int()
    .min(1_024)
    .max(2 ** 28)
    .default(8 * 2 ** 20)
    .describe("Longer records are rejected as malformed_record."),
  max_depth: z.int().min(4).max(1_024).default(64).describe("Records nested deeper are rejected as malformed_record."),
} satisfies Record<keyof ScanLimits, z.ZodType>;

export function asList(files: string | readonly string[]): readonly string[] {
  return typeof files === "string" ? [files] : files;
}
