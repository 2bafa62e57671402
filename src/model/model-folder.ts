import { access, readFile, readdir, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { PlanError } from "../core/errors.ts";
import { type Json, object } from "./families/family.ts";
import { fileDigest } from "./file-digest.ts";
import { type GraphFile, readGraphFile } from "./graph-file.ts";
import { type Dtype, DTYPE_SUFFIX, GRAPH_NAMES, type GraphName, type ModelConfig } from "./model-config.ts";

/** A model folder's files, read and checked for presence. */
export interface ModelFolder {
  readonly path: string;
  readonly config: Json;
  readonly tokenizer: Json;
  readonly tokenizer_config: Json;
  readonly preprocessor: Json;
  readonly processor: Json;
  readonly chat_template: string | undefined;
  readonly graphs: Readonly<Record<GraphName, GraphFile>>;
  /** "fp32", or "vision_encoder=fp16,..." where graphs differ. */
  readonly dtype: string;
  /** File name under the folder -> sha256 (hex) of every file that changes a number. */
  readonly digests: Readonly<Record<string, string>>;
}

/** Throws PlanError naming the file that is missing or damaged. */
export async function readModelFolder(path: string, dtype: ModelConfig["dtype"]): Promise<ModelFolder> {
  const isFolder = await stat(path).then((found) => found.isDirectory(), () => false);
  if (!isFolder) throw new PlanError(`model.path ${path} is no folder`, { remedy: "set model.path to a model folder" });
  const dtypes = await chooseDtypes(path, dtype);
  const config = await readJson(path, "config.json");
  const tokenizer = await readJson(path, "tokenizer.json");
  const tokenizerConfig = await readJsonIfAny(path, "tokenizer_config.json");
  const specialTokens = await readJsonIfAny(path, "special_tokens_map.json");
  const processor = (await readJsonIfAny(path, "processor_config.json")) ?? {};
  const preprocessor = (await readJsonIfAny(path, "preprocessor_config.json")) ?? object(processor["image_processor"]);
  const template = await readChatTemplate(path, tokenizerConfig ?? {});
  const graphs = {} as Record<GraphName, GraphFile>;
  for (const name of GRAPH_NAMES) graphs[name] = await readGraphFile(graphPath(path, name, dtypes[name]));
  const same = new Set(Object.values(dtypes)).size === 1;
  return {
    path,
    config,
    tokenizer,
    tokenizer_config: { ...specialTokens, ...tokenizerConfig },
    preprocessor,
    processor,
    chat_template: template,
    graphs,
    dtype: same ? dtypes.decoder_model_merged : GRAPH_NAMES.map((name) => `${name}=${dtypes[name]}`).join(","),
    digests: await digests(path, graphs),
  };
}

/** Files beside the graphs whose content changes tokens or pixels. */
const TEXT_FILES = [
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "preprocessor_config.json",
  "processor_config.json",
  "chat_template.jinja",
  "chat_template.json",
];

async function digests(path: string, graphs: Readonly<Record<GraphName, GraphFile>>): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of TEXT_FILES) {
    if (await exists(join(path, name))) found[name] = await fileDigest(join(path, name));
  }
  for (const graph of Object.values(graphs)) {
    found[relative(path, graph.path)] = await fileDigest(graph.path);
    for (const file of graph.external) found[`onnx/${file.location}`] = await fileDigest(file.path);
  }
  return found;
}

function graphPath(path: string, name: GraphName, dtype: Dtype): string {
  return join(path, "onnx", `${name}${DTYPE_SUFFIX[dtype]}.onnx`);
}

/** From the most to the least precise: what `auto` tries in turn. */
const BY_PRECISION: readonly Dtype[] = ["fp32", "fp16", "q8", "int8", "uint8", "q4", "q4f16", "bnb4"];

async function chooseDtypes(path: string, dtype: ModelConfig["dtype"]): Promise<Record<GraphName, Dtype>> {
  const all = (one: Dtype) => Object.fromEntries(GRAPH_NAMES.map((name) => [name, one])) as Record<GraphName, Dtype>;
  const missing = async (dtypes: Record<GraphName, Dtype>) => {
    for (const name of GRAPH_NAMES) {
      const file = graphPath(path, name, dtypes[name]);
      if (!(await exists(file))) return file;
    }
    return undefined;
  };
  if (dtype === "auto") {
    for (const one of BY_PRECISION) if ((await missing(all(one))) === undefined) return all(one);
  }
  const dtypes = dtype === "auto" ? all("fp32") : typeof dtype === "string" ? all(dtype) : dtype;
  const file = await missing(dtypes);
  if (file === undefined) return dtypes;
  const present = await readdir(join(path, "onnx")).catch(() => []);
  const graphs = present.filter((name) => name.endsWith(".onnx")).sort();
  throw new PlanError(`the model has no ${relative(path, file)}; ${graphs.length ? `onnx/ holds ${graphs.join(", ")}` : "there is no graph under onnx/"}`, {
    remedy: "set model.dtype to one that all three graphs have, or a dtype for each graph; tools/export-onnx makes them from a checkpoint",
  });
}

async function readChatTemplate(path: string, tokenizerConfig: Json): Promise<string | undefined> {
  const jinja = await readFile(join(path, "chat_template.jinja"), "utf8").catch(() => undefined);
  if (jinja !== undefined) return jinja;
  const stored = (await readJsonIfAny(path, "chat_template.json"))?.["chat_template"] ?? tokenizerConfig["chat_template"];
  if (typeof stored === "string") return stored;
  if (!Array.isArray(stored)) return undefined;
  const named = stored as { name?: unknown; template?: unknown }[];
  const chosen = named.find(({ name }) => name === "default") ?? named[0];
  return typeof chosen?.template === "string" ? chosen.template : undefined;
}

export async function readJson(path: string, name: string): Promise<Json> {
  const found = await readJsonIfAny(path, name);
  if (found) return found;
  throw new PlanError(`the model folder ${path} has no ${name}`, {
    remedy: "model.path must name a folder in the transformers.js / onnx-community layout",
  });
}

export async function readJsonIfAny(path: string, name: string): Promise<Json | undefined> {
  const text = await readFile(join(path, name), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return object(JSON.parse(text));
  } catch (cause) {
    throw new PlanError(`${join(path, name)} is not valid JSON`, { cause, remedy: "download or export the model again" });
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
