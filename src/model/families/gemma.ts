import type { Message } from "../../core/sample.ts";
import { IMAGE_PLACEHOLDER } from "../../core/sample.ts";
import type { ChatTemplate } from "../chat-template.ts";
import { plainResize, readImageProcessor, squareSetting, StepPlan } from "../image-processor.ts";
import type { TextTokenizer } from "../tokenizer.ts";
import { countingPositions, type Family, type FamilyEntry, type FamilyFolder, imageTokenId, integerOf } from "./family.ts";
import { tokensOfView } from "./llava.ts";
import { plainFeeds } from "./plain-vision.ts";

/** Both count positions from 1. */
const POSITION_START = 1;

/** Gemma 3: the template's <start_of_image> becomes a run of tokens on lines of its own, which see each other both ways. */
export const gemma3: FamilyEntry = {
  model_types: ["gemma3"],
  open(folder) {
    const { config } = folder;
    const imageToken = imageTokenId(config);
    const begin = integerOf(config, "boi_token_index") ?? 255999;
    const end = integerOf(config, "eoi_token_index") ?? 256000;
    const numTokens = integerOf(config, "mm_tokens_per_image") ?? 256;
    const panAndScan = folder.preprocessor["do_pan_and_scan"] === true ? ["pan and scan is not done: every image is one view"] : [];
    return {
      ...gemmaVision(folder),
      image_token_id: imageToken,
      placeholder_id: begin,
      warnings: [...panAndScan, ...attentionWarning(folder, "the tokens of an image")],
      imageText: (_, { tokenOf }) => ({ text: `\n\n${tokenOf(begin)}${tokenOf(imageToken)}${tokenOf(end)}\n\n`, runs: [numTokens] }),
      tokenTypes: (ids) => ids.map((id) => (id === imageToken ? 1 : 0)),
      padding_type: 0,
    } satisfies Family;
  },
};

/** PaliGemma: image tokens, <bos>, the question, a newline, all seen both ways; then the answer and <eos>. One turn. */
export const paligemma: FamilyEntry = {
  model_types: ["paligemma"],
  open(folder) {
    const imageToken = imageTokenId(folder.config);
    const vision = gemmaVision(folder);
    const processor = { vision_feature_select_strategy: "full", num_additional_image_tokens: 0, ...folder.processor };
    const numTokens =
      integerOf(folder.preprocessor, "image_seq_length") ?? tokensOfView({ ...folder, processor }, vision.views({ width: 64, height: 64 })[0]!.size);
    return {
      ...vision,
      image_token_id: imageToken,
      warnings: attentionWarning(folder, "the tokens of image and question"),
      template: paligemmaTemplate,
      imageText: (_, { tokenOf }) => ({ text: tokenOf(imageToken)!, runs: [numTokens] }),
      tokenTypes: (ids, answers) => ids.map((_, place) => (place >= answers[0]! ? 1 : 0)),
      padding_type: 1,
    } satisfies Family;
  },
};

function gemmaVision(folder: FamilyFolder) {
  const { kernel, scaling, flag, settings } = readImageProcessor(folder.preprocessor, { kernel: "bilinear" });
  const size = squareSetting(settings["size"]) ?? { height: 224, width: 224 };
  return {
    needs_image_sizes: false,
    max_images: Infinity,
    views: (source) => [(flag("do_resize", true) ? plainResize(new StepPlan(source), size, kernel) : new StepPlan(source)).done()],
    visionFeeds: plainFeeds(scaling),
    position_rows: 1,
    positions: (ids) => countingPositions(ids, POSITION_START),
  } satisfies Partial<Family>;
}

function attentionWarning({ inputs }: FamilyFolder, tokens: string): string[] {
  if (inputs.decoder_model_merged.some(({ name }) => name === "token_type_ids")) return [];
  return [`the decoder graph has no token_type_ids: ${tokens} may not see each other both ways, as they do in the real model; tools/export-onnx writes graphs that have it`];
}

function paligemmaTemplate({ special: { bos, eos } }: TextTokenizer, placeholder: string): ChatTemplate {
  return {
    name: "paligemma",
    writes_beginning: true,
    prompts_answer: true,
    render(messages, prompt_answer) {
      const answers = messages.filter(({ role }) => role === "assistant");
      const questions = messages.filter(({ role }) => role !== "assistant").map(({ content }) => content);
      if (answers.length > 1 || (prompt_answer && answers.length > 0)) throw new Error("PaliGemma takes one question and one answer");
      const images = placeholder.repeat(questions.join("").split(IMAGE_PLACEHOLDER).length - 1);
      const question = questions.map((text) => text.replaceAll(/<image>\n?/g, "")).join("\n");
      return `${images}${bos}${question}\n${answers.map(({ content }: Message) => content + eos).join("")}`;
    },
  };
}
