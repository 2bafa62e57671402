import { readImageProcessor } from "../image-processor.ts";
import { countingPositions, type Family, type FamilyEntry, imageTokenId, integerOf } from "./family.ts";
import { llavaView, tokensOfView } from "./llava.ts";
import { plainFeeds } from "./plain-vision.ts";

/** nanoLLaVA, FastVLM: LLaVA with a Qwen2 decoder, a flat config.json and templates over plain text. */
export const llavaQwen2: FamilyEntry = {
  model_types: ["llava_qwen2"],
  open(folder) {
    const { scaling } = readImageProcessor(folder.preprocessor, { kernel: "bicubic" });
    // The original checkpoints mark an image with -200, which is no token.
    const imageToken = integerOf(folder.config, "image_token_index", "image_token_id") === undefined ? -200 : imageTokenId(folder.config);
    // FastVLM names its FastViT-HD tower in place of a vision_config; it makes one token of 64 x 64 pixels.
    const patch = String(folder.config["mm_vision_tower"]).includes("mobileclip") ? { patch_size: 64 } : {};
    const processor = { vision_feature_select_strategy: "full", num_additional_image_tokens: 0, ...patch, ...folder.processor };
    const numTokens = tokensOfView({ ...folder, processor }, llavaView(folder, { width: 64, height: 64 }).size);
    return {
      image_token_id: imageToken,
      needs_image_sizes: false,
      max_images: Infinity,
      warnings: [],
      imageText: (_, { tokenOf }) => ({ text: tokenOf(imageToken)!, runs: [numTokens] }),
      views: (size) => [llavaView(folder, size)],
      whole_views: true,
      visionFeeds: plainFeeds(scaling),
      position_rows: 1,
      positions: (ids) => countingPositions(ids, 0),
    } satisfies Family;
  },
};
