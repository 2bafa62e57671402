import { PlanError } from "../core/errors.ts";
import { type ChatTemplate, folderTemplate, llavaV1Template } from "./chat-template.ts";
import type { Model } from "./contract.ts";
import { type Family, type FamilyFolder, integerOf, type Json, object } from "./families/family.ts";
import { familyOf } from "./families/registry.ts";
import { GRAPH_NAMES, type GraphName, type ModelConfig, modelConfig, type ModelOptions } from "./model-config.ts";
import { type ModelFolder, readModelFolder } from "./model-folder.ts";
import { placeholderOf, prepareSample } from "./prepare.ts";
import { requireNames } from "./require-names.ts";
import { openScorer } from "./scorer.ts";
import { createTokenizer, type TextTokenizer } from "./tokenizer.ts";

/** max_length where neither the configuration nor the model gives a smaller one: LLaVA's own. */
const DEFAULT_MAX_LENGTH = 2048;

/** A model of a folder, with what a report on it needs. */
export interface LoadedModel extends Model {
  /** Each id as it stands in the text. */
  readonly tokenTexts: (ids: Int32Array) => string[];
}

/**
 * The model of a folder, read and checked; no session is opened and no process started.
 * `options.path` is absolute or relative to the working directory.
 * Throws PlanError for a missing or damaged file and for a family that is not supported.
 */
export async function loadModel(options: ModelOptions): Promise<LoadedModel> {
  const config = modelConfig.parse(options);
  const folder = await readModelFolder(config.path, config.dtype);
  const model_type = String(folder.config["model_type"]);
  const entry = familyOf(model_type);
  requireNames("embed_tokens", folder.graphs.embed_tokens, { inputs: ["input_ids"] });
  requireNames("decoder_model_merged", folder.graphs.decoder_model_merged, { inputs: ["inputs_embeds"], outputs: ["logits"] });
  const familyFolder = familyFolderOf(folder, config);
  const family = entry.open(familyFolder);
  const tokenizer = createTokenizer(folder.tokenizer, folder.tokenizer_config);
  const { template, warnings } = chooseTemplate(folder, config, family, tokenizer);
  const max_length = config.max_length ?? ownMaxLength(folder);
  const parts = { tokenizer, template, family, max_length };
  return {
    description: {
      path: config.path,
      model_type,
      dtype: folder.dtype,
      digests: folder.digests,
      max_length,
      template: template.name,
    },
    warnings: [...family.warnings, ...warnings, ...precisionWarnings(folder)],
    needs_image_sizes: family.needs_image_sizes,
    prepare: (sample, image_sizes) => prepareSample(sample, image_sizes, parts),
    views: (size) => family.views(size),
    tokenTexts: (ids) => tokenizer.pieces(Array.from(ids, (id) => Math.max(0, id)), []),
    openScorer: (scorerOptions, signal) => openScorer({ model_type, folder, familyFolder, max_length }, scorerOptions, signal),
  };
}

export function familyFolderOf(folder: ModelFolder, config: ModelConfig): FamilyFolder {
  const values = (side: "inputs" | "outputs") =>
    Object.fromEntries(GRAPH_NAMES.map((name) => [name, folder.graphs[name][side]])) as Record<GraphName, FamilyFolder["inputs"][GraphName]>;
  return {
    config: folder.config,
    preprocessor: folder.preprocessor,
    processor: folder.processor,
    inputs: values("inputs"),
    outputs: values("outputs"),
    pad_to_square: config.pad_to_square,
    split_images: config.split_images,
  };
}

function chooseTemplate(
  folder: ModelFolder,
  config: ModelConfig,
  family: Family,
  tokenizer: TextTokenizer,
): { template: ChatTemplate; warnings: string[] } {
  const placeholder = placeholderOf(family, tokenizer);
  const inline = family.inlinePlaceholder?.(placeholder) ?? placeholder;
  if (config.template === "llava_v1") return { template: llavaV1Template(tokenizer, inline), warnings: [] };
  if (folder.chat_template !== undefined) {
    return { template: folderTemplate(folder.chat_template, tokenizer, inline), warnings: [] };
  }
  if (config.template === "folder" || !family.template) {
    throw new PlanError(`the model folder ${config.path} has no chat template`, {
      remedy: "add chat_template.jinja, or set model.template to llava_v1",
    });
  }
  const template = family.template(tokenizer, inline);
  return { template, warnings: [`the model folder has no chat template: using ${template.name}`] };
}

function precisionWarnings({ graphs, dtype }: ModelFolder): string[] {
  const names = GRAPH_NAMES.filter((name) => graphs[name].quantizes_batches);
  if (names.length === 0) return [];
  return [`dtype ${dtype} quantises the activations of a whole batch by one scale (${names.join(", ")}): a sample's NLLs move with the samples beside it; prefer q4, fp16 or fp32`];
}

/** The smallest limit that the folder names, at most DEFAULT_MAX_LENGTH. */
function ownMaxLength(folder: ModelFolder): number {
  const text: Json = { ...folder.config, ...object(folder.config["text_config"]) };
  const limits = [
    integerOf(text, "max_position_embeddings"),
    integerOf(folder.tokenizer_config, "model_max_length"),
    DEFAULT_MAX_LENGTH,
  ];
  return Math.min(...limits.filter((limit) => limit !== undefined));
}
