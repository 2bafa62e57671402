import { PlanError } from "../../core/errors.ts";
import type { ImageSize, ViewPlan } from "../contract.ts";
import { llavaV1Template } from "../chat-template.ts";
import { plainResize, readImageProcessor, sizeSetting, squareSetting, StepPlan } from "../image-processor.ts";
import { countingPositions, type Family, type FamilyEntry, type FamilyFolder, imageTokenId, integerOf, object } from "./family.ts";
import { plainFeeds } from "./plain-vision.ts";

/** LLaVA 1.5 and its like: one view an image, a fixed number of tokens. */
export const llava: FamilyEntry = {
  model_types: ["llava"],
  open(folder) {
    const processor = readImageProcessor(folder.preprocessor, { kernel: "bicubic" });
    const imageToken = imageTokenId(folder.config);
    const view = (size: ImageSize) => llavaView(folder, size);
    const numTokens = tokensOfView(folder, view({ width: 64, height: 64 }).size);
    return {
      image_token_id: imageToken,
      needs_image_sizes: false,
      max_images: Infinity,
      warnings: [],
      template: llavaV1Template,
      imageText: (_, { tokenOf }) => ({ text: tokenOf(imageToken)!, runs: [numTokens] }),
      views: (size) => [view(size)],
      whole_views: true,
      visionFeeds: plainFeeds(processor.scaling),
      position_rows: 1,
      positions: (ids) => countingPositions(ids, 0),
    } satisfies Family;
  },
};

/** Pad or not, resize, centre crop. */
export function llavaView(folder: FamilyFolder, size: ImageSize): ViewPlan {
  const { kernel, scaling, flag, settings } = readImageProcessor(folder.preprocessor, { kernel: "bicubic" });
  const square = folder.pad_to_square ?? flag("do_pad", false);
  const plan = new StepPlan(size);
  if (square) plan.padToSquare(meanColor(scaling.mean));
  if (flag("do_resize", true)) plainResize(plan, sizeSetting(settings["size"]) ?? { shortest_edge: 224 }, kernel);
  // SigLIP's and ViT's processors know no crop, CLIP's and LLaVA's crop unless told not to.
  if (flag("do_center_crop", !/^(Siglip|ViT)/.test(String(settings["image_processor_type"])))) {
    const crop = squareSetting(settings["crop_size"]) ?? { height: 224, width: 224 };
    plan.centerCrop({ width: crop.width!, height: crop.height! });
  }
  return plan.done();
}

/** The colour that normalises to zero, rounded down as LLaVA does. */
export function meanColor(mean: readonly [number, number, number]): [number, number, number] {
  return mean.map((value) => Math.floor(value * 255)) as [number, number, number];
}

/** Feature rows of one view: as the graph says where it is fixed there, else from the patch size. */
export function tokensOfView(folder: FamilyFolder, size: ImageSize): number {
  const fixed = folder.outputs.vision_encoder[0]?.dims[1];
  if (typeof fixed === "number") return fixed;
  const vision = object(folder.config["vision_config"]);
  const patch = integerOf(folder.processor, "patch_size") ?? integerOf(vision, "patch_size");
  if (patch === undefined) {
    throw new PlanError("config.json has no vision_config.patch_size, so the number of image tokens is unknown", {
      remedy: "export the model with its full configuration",
    });
  }
  const strategy = folder.processor["vision_feature_select_strategy"] ?? folder.config["vision_feature_select_strategy"] ?? "default";
  const tower = vision["model_type"];
  // CLIP has a class token, which the strategy "default" drops again.
  const isClip = typeof tower !== "string" || tower.startsWith("clip");
  const additional = integerOf(folder.processor, "num_additional_image_tokens") ?? (isClip ? 1 : 0);
  return Math.floor(size.height / patch) * Math.floor(size.width / patch) + additional - (strategy === "default" ? 1 : 0);
}
