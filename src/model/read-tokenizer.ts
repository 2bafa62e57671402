import { readJson, readJsonIfAny } from "./model-folder.ts";
import { createTokenizer, type TextTokenizer } from "./tokenizer.ts";

/** The tokenizer of a model folder; its graphs are not looked at. Throws PlanError naming the file that is missing or damaged. */
export async function readTokenizer(path: string): Promise<TextTokenizer> {
  const special = await readJsonIfAny(path, "special_tokens_map.json");
  const config = await readJsonIfAny(path, "tokenizer_config.json");
  return createTokenizer(await readJson(path, "tokenizer.json"), { ...special, ...config });
}
