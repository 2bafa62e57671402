/**
 * Golden files: token NLLs that another program computed for the same model (docs/models.md, "Golden files").
 * Two forms are read. `samples` (experiments/demo-model/golden.py writes it) names samples of the configuration's own
 * source. `cases` (test/fixtures/models/make.py writes it) brings conversations and pixels along.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { PlanError } from "../core/errors.ts";
import type { Message } from "../core/sample.ts";
import type { ImageSize } from "../model/contract.ts";

/** A view as the other program saw it: PNG files of the clean and of the blurred pixels. */
export interface GoldenView extends ImageSize {
  readonly file: string;
  readonly blur_file: string;
}

export interface GoldenImage {
  readonly source_size: ImageSize;
  /** In the order of the family's views. */
  readonly views: readonly GoldenView[];
}

export interface GoldenSample {
  readonly id: string;
  /** Undefined: conversation and images are the source's sample of this id. */
  readonly content: { readonly messages: readonly Message[]; readonly images: readonly GoldenImage[] } | undefined;
  /** The whole sequence after image expansion; undefined: not compared. */
  readonly input_ids: readonly number[] | undefined;
  /** Places of the supervised tokens in input_ids. */
  readonly positions: readonly number[];
  /** Nats, one a supervised token; for a text-only sample the text's own. */
  readonly nll_image: readonly number[];
  /** Null for a text-only sample. */
  readonly nll_blur: readonly number[] | null;
}

export interface Golden {
  readonly samples: readonly GoldenSample[];
  /** Sigma of the blur as a fraction of a view's shorter side. */
  readonly sigma_fraction: number;
  /** Cases that need other settings than the model folder's own. */
  readonly num_left_out: number;
}

const integers = z.array(z.int());
const nats = z.array(z.number());

const samplesForm = z.object({
  sigma_fraction: z.number().positive(),
  samples: z.array(z.object({ id: z.string(), input_ids: integers.optional(), positions: integers, nll_image: nats, nll_blur: nats.nullable() })).min(1),
});

const canvas = z.object({ file: z.string(), blur_file: z.string(), width: z.int(), height: z.int() });

const casesForm = z.object({
  sigma_fraction: z.number().positive(),
  images: z.record(z.string(), z.object({ width: z.int(), height: z.int(), canvases: z.record(z.string(), z.object({ canvases: z.record(z.string(), canvas) })) })),
  cases: z
    .array(
      z.object({
        id: z.string(),
        variant: z.string(),
        images: z.array(z.object({ name: z.string(), canvas: z.string() })),
        messages: z.array(z.object({ role: z.enum(["system", "user", "assistant"]), content: z.string() })),
        input_ids: integers,
        supervised_positions: integers,
        nll_image: nats,
        nll_blur: nats.nullable(),
      }),
    )
    .min(1),
});

type CasesForm = z.output<typeof casesForm>;

/** Throws PlanError where the file can't be read or has neither form. */
export async function readGolden(file: string): Promise<Golden> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new PlanError(`the golden file ${file} can't be read`, { cause, remedy: "check the path given to --golden" });
  });
  const value = parse(file, text);
  const form = typeof value === "object" && value !== null && "cases" in value ? casesForm : samplesForm;
  const result = form.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    throw refused(file, `${issue.path.join(".") || "the top level"}: ${issue.message}`);
  }
  const golden = "cases" in result.data ? fromCases(result.data, path.dirname(file)) : fromSamples(result.data);
  for (const { id, positions, nll_image, nll_blur } of golden.samples) {
    if (positions.length !== nll_image.length || (nll_blur !== null && nll_blur.length !== positions.length)) {
      throw refused(file, `sample ${id} has ${positions.length} positions, ${nll_image.length} nll_image and ${nll_blur?.length ?? "no"} nll_blur`);
    }
  }
  return golden;
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refused(file, "it is not JSON", cause);
  }
}

function refused(file: string, reason: string, cause?: unknown): PlanError {
  return new PlanError(`${file} is no golden file: ${reason}`, { cause, remedy: "docs/models.md describes the format, under \"Golden files\"" });
}

function fromSamples({ samples, sigma_fraction }: z.output<typeof samplesForm>): Golden {
  return { samples: samples.map((sample) => ({ ...sample, input_ids: sample.input_ids, content: undefined })), sigma_fraction, num_left_out: 0 };
}

/** The order of a family's views among its canvas roles. */
const ROLES = ["main", "tiles", "global"];

function fromCases({ cases, images, sigma_fraction }: CasesForm, folder: string): Golden {
  const own = cases.filter(({ variant }) => variant === "default");
  const samples = own.map(({ id, images: shown, messages, supervised_positions, ...numbers }): GoldenSample => ({
    ...numbers,
    id,
    positions: supervised_positions,
    content: { messages, images: shown.map((image) => goldenImage(image, images, folder)) },
  }));
  return { samples, sigma_fraction, num_left_out: cases.length - own.length };
}

function goldenImage({ name, canvas: key }: CasesForm["cases"][number]["images"][number], images: CasesForm["images"], folder: string): GoldenImage {
  const image = images[name];
  const canvases = image?.canvases[key]?.canvases;
  if (!image || !canvases) throw refused(folder, `a case shows image ${name}, canvas ${key}, which the file does not have`);
  const views = ROLES.flatMap((role) => canvases[role] ?? []);
  return {
    source_size: { width: image.width, height: image.height },
    views: views.map((view) => ({ ...view, file: path.join(folder, view.file), blur_file: path.join(folder, view.blur_file) })),
  };
}
