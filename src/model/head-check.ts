import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema } from "onnx-buf";
import { CHECK_LENGTH, checkRows } from "./check-rows.ts";
import { decoderFeeds } from "./decoder-batch.ts";
import { deviceClass } from "./device.ts";
import { familyOf } from "./families/registry.ts";
import { writeCacheFile } from "./file-digest.ts";
import { type GraphFile, readModelProto, relocateExternal, sessionSource } from "./graph-file.ts";
import { cutGraphSource, openSession } from "./graph-session.ts";
import { joinGraphs } from "./join-graphs.ts";
import { embedTokens } from "./model-runner.ts";
import { runCutDecoder, runFullDecoder } from "./run-decoder.ts";
import { cutHead } from "./scoring-head.ts";
import type { DecoderHead, JoinedGraph, WorkerModel } from "./worker-protocol.ts";

/** Raise it when the cut graph changes for the same decoder. */
export const HEAD_VERSION = 3;

export interface CheckedHead {
  readonly head: DecoderHead;
  /** Whether another run would find the same. */
  readonly lasting: boolean;
}

/** Protobuf's own limit: larger weights lie in files of their own. */
const MAX_PROTO_BYTES = 2 ** 31 - 1;

/** Largest difference from full logits, nats. float16 and quantised products round differently for other row counts. */
const TOLERANCE = { exact: 2e-4, rounded: 5e-2, row_group_quantized: 0.5 } as const;

/**
 * Cuts the decoder's head, writes the cut graph to `target` and compares both on one small padded batch.
 * The two graphs are open one after the other, so that memory holds one of them. Meant for a process of its own.
 */
export async function makeHead(model: WorkerModel, target: string): Promise<CheckedHead> {
  const file = model.graphs.decoder_model_merged;
  const refuse = (reason: string, lasting = true) => ({ head: { kind: "full_logits", reason } as const, lasting });
  const proto = await readModelProto(file.path);
  await relocateExternal(file.path, proto);
  const halves = proto.graph!.input.some(({ type }) => type?.value.case === "tensorType" && type.value.value.elemType === 10);
  const cut = cutHead(proto, deviceClass(model.device) === "webgpu" ? "steps" : "one_operator");
  if ("reason" in cut) return refuse(cut.reason);
  if (!(await writeCacheFile(target, cut.bytes))) return refuse(`the cut graph can't be written to ${dirname(target)}`, false);
  const external_folder = externalFolder(file);
  const head: DecoderHead = { kind: "answer_rows", path: target, ...(external_folder === undefined ? {} : { external_folder }) };
  const rounded = halves || /fp16|q4|int8|uint8|quantized|bnb4/.test(file.path);
  const tolerance = cut.precision === "row_group_quantized" ? TOLERANCE.row_group_quantized : rounded ? TOLERANCE.rounded : TOLERANCE.exact;
  const max_difference = await compare(model, head);
  if (typeof max_difference === "string") return refuse(`the cut graph does not run: ${max_difference}`);
  if (!(max_difference <= tolerance)) return refuse(`the cut graph differs from full logits by ${max_difference.toExponential(2)} nats`);
  return { head: model.device === "cpu" ? head : { ...head, ...(await joinedHead(model, proto, target)) }, lasting: true };
}

/**
 * Writes the three graphs joined into one beside `target`; nothing where they can't be. To a device and back, a batch's
 * embeddings and image features take as long as the model itself (docs/gpu.md).
 */
export async function joinedHead(model: WorkerModel, cutDecoder: ModelProto, target: string): Promise<{ readonly joined?: JoinedGraph }> {
  const { vision_encoder, embed_tokens, decoder_model_merged } = model.graphs;
  const shape = vision_encoder.outputs[0]?.dims ?? [];
  const [tokens_per_view, hidden] = [shape[1], embed_tokens.outputs[0]?.dims.at(-1)];
  const folders = new Set([vision_encoder, embed_tokens, decoder_model_merged].map(externalFolder).filter((folder) => folder !== undefined));
  const isWhole = familyOf(model.model_type).open(model.folder).whole_views === true;
  if (!isWhole || shape.length !== 3 || typeof tokens_per_view !== "number" || typeof hidden !== "number" || folders.size > 1) return {};
  const read = async ({ path }: GraphFile) => {
    const proto = await readModelProto(path);
    await relocateExternal(path, proto);
    return proto;
  };
  const joined = joinGraphs({ vision: await read(vision_encoder), embed: await read(embed_tokens), decoder: cutDecoder });
  if ("reason" in joined) return {};
  const path = target.replace(/\.onnx$/, ".joined.onnx");
  const bytes = toBinary(ModelProtoSchema, joined.model);
  if (bytes.length > MAX_PROTO_BYTES || !(await writeCacheFile(path, bytes))) return {};
  const [external_folder] = folders;
  return { joined: { path, ...(external_folder === undefined ? {} : { external_folder }), tokens_per_view, hidden } };
}

export function externalFolder({ external }: GraphFile): string | undefined {
  return external[0] === undefined ? undefined : dirname(external[0].path);
}

/** Names a cut graph: the content of the graphs it was made from, where their weights are, and what checked it. */
export function headKey(graphs: readonly GraphFile[], digests: readonly string[]): string {
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  const parts = [HEAD_VERSION, version, ...digests, ...graphs.flatMap(({ external }) => external.map(({ path }) => path))];
  return createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 32);
}

/**
 * The largest difference of a log-probability between both decoders (NaN counts as infinite), or why the cut one does
 * not run. Throws PlanError where the model itself can't be loaded.
 */
async function compare(model: WorkerModel, head: Extract<DecoderHead, { kind: "answer_rows" }>): Promise<number | string> {
  const family = familyOf(model.model_type).open(model.folder);
  const rows = checkRows(family);
  const ids = new Int32Array(rows.length * CHECK_LENGTH);
  rows.forEach(({ input_ids }, row) => ids.set(input_ids, row * CHECK_LENGTH));
  const embed = await openSession("embed_tokens", await sessionSource(model.graphs.embed_tokens), model);
  const { embeds, hidden } = await embedTokens(embed, ids, [rows.length, CHECK_LENGTH]);
  await embed.release();
  const feedsFor = (inputs: Parameters<typeof decoderFeeds>[2]) => ({
    ...decoderFeeds(rows, CHECK_LENGTH, inputs, family),
    inputs_embeds: { type: "float32" as const, dims: [rows.length, CHECK_LENGTH, hidden], data: embeds },
  });
  const full = await openSession("decoder_model_merged", await sessionSource(model.graphs.decoder_model_merged), model);
  const wanted = await runFullDecoder(full, feedsFor(full.inputs), rows, CHECK_LENGTH);
  await full.release();
  let got: Float32Array;
  try {
    const cut = await openSession("decoder_model_merged (cut)", await cutGraphSource(head.path, head.external_folder), model);
    got = await runCutDecoder(cut, feedsFor(cut.inputs), rows, CHECK_LENGTH);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return wanted.reduce((worst, value, i) => {
    const difference = Math.abs(value - got[i]!);
    return Number.isNaN(difference) ? Infinity : Math.max(worst, difference);
  }, 0);
}
