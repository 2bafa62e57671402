import { PlanError } from "../core/errors.ts";
import type { Model } from "../model/contract.ts";
import { loadModel } from "../model/load-model.ts";
import type { ModelOptions } from "../model/model-config.ts";

type Json = Readonly<Record<string, unknown>>;

/** The model folder: the one that was told, else the one that the manifest names. */
export function modelPathOf(manifest: Json, told: string | undefined): string {
  const path = told ?? objectAt(manifest, "model")["path"];
  if (typeof path === "string") return path;
  throw new PlanError("manifest.json names no model folder", { remedy: "name it with --model" });
}

/**
 * The model as the run used it, for its tokens only: same template, length and image options. Throws PlanError where
 * the folder is missing, or holds another tokenizer, template or image processor than the run's.
 */
export async function loadRunModel(manifest: Json, told: string | undefined): Promise<Model> {
  const path = modelPathOf(manifest, told);
  const ran = objectAt(manifest, "model");
  const planned = objectAt(objectAt(objectAt(manifest, "plan"), "scores"), "model");
  const model = await loadModel({ path, ...optionsOf(ran, planned) }).catch((cause: unknown) => {
    if (told !== undefined || !(cause instanceof PlanError)) throw cause;
    throw new PlanError(`the run's model folder can't be used: ${cause.message}`, { cause, remedy: "if it has moved, name its place with --model" });
  });
  const expected = objectAt(ran, "digests");
  const other = Object.keys(expected).filter((name) => !name.startsWith("onnx/") && model.description.digests[name] !== expected[name]);
  if (other.length > 0) {
    throw new PlanError(`${path} is not the run's model: ${other.join(", ")} ${other.length === 1 ? "differs" : "differ"}`, {
      remedy: "name the folder that the run used with --model, or score again with this one",
    });
  }
  return model;
}

function optionsOf(ran: Json, planned: Json): Omit<ModelOptions, "path"> {
  const template = ran["template"];
  return {
    // The graphs' precision is no matter here: any that is there will do.
    dtype: "auto",
    template: template === "folder" || template === "llava_v1" ? template : "auto",
    ...(typeof ran["max_length"] === "number" && { max_length: ran["max_length"] }),
    ...(typeof planned["pad_to_square"] === "boolean" && { pad_to_square: planned["pad_to_square"] }),
    ...(typeof planned["split_images"] === "boolean" && { split_images: planned["split_images"] }),
  };
}

export function objectAt(json: Json, key: string): Json {
  const value = json[key];
  return typeof value === "object" && value !== null ? (value as Json) : {};
}
