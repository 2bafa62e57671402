import type { PlacedNodes } from "./contract.ts";
import { CHECK_LENGTH, checkRows } from "./check-rows.ts";
import { decoderFeeds } from "./decoder-batch.ts";
import { deviceClass, maxCallValues, providerName } from "./device.ts";
import { encodeViews } from "./encode-views.ts";
import type { Family } from "./families/family.ts";
import type { GraphSession } from "./graph-session.ts";
import { requireOnDevice } from "./node-placement.ts";
import { runCutDecoder, runFullDecoder } from "./run-decoder.ts";
import type { DecoderHead } from "./worker-protocol.ts";

/**
 * Runs each graph once on a black image and a few tokens, and says where its nodes ran. The sessions were opened with
 * `profile`. Throws PlanError where onnxruntime gave the model's arithmetic to the host.
 */
export async function checkDevice(
  device: string,
  family: Family,
  head: DecoderHead,
  [vision, embed, decoder]: readonly [GraphSession, GraphSession, GraphSession],
): Promise<PlacedNodes[]> {
  const size = { width: 64, height: 64 };
  const views = family.views(size).map(({ size: { width, height } }) => ({ width, height, pixels: new Uint8Array(3 * width * height) }));
  await encodeViews(vision, family, [{ views, source_size: size }], maxCallValues(device));
  const rows = checkRows(family);
  const ids = new Int32Array(rows.length * CHECK_LENGTH);
  rows.forEach(({ input_ids }, row) => ids.set(input_ids, row * CHECK_LENGTH));
  const [output] = embed.outputs;
  const embeds = (await embed.run({ input_ids: { type: "int64", dims: [rows.length, CHECK_LENGTH], data: ids } }, [output!.name]))[output!.name]!;
  const feeds = { ...decoderFeeds(rows, CHECK_LENGTH, decoder.inputs, family), inputs_embeds: { type: "float32" as const, dims: embeds.dims, data: embeds.data } };
  await (head.kind === "answer_rows" ? runCutDecoder : runFullDecoder)(decoder, feeds, rows, CHECK_LENGTH);
  const placed: PlacedNodes[] = [];
  for (const graph of [vision, embed, decoder]) {
    // An embedding is a look-up, no arithmetic: wherever it runs.
    placed.push(await checkGraph(graph, device, graph !== embed));
  }
  return placed;
}

/** Where the nodes ran of a session that was opened with `profile` and has run once. Throws PlanError as `checkDevice`. */
export async function checkGraph(graph: GraphSession, device: string, isArithmetic = true): Promise<PlacedNodes> {
  const placement = await graph.placement();
  if (isArithmetic) requireOnDevice(graph.name, device, providerName(device), placement);
  const num_nodes = Object.values(placement.nodes).reduce((sum, count) => sum + count, 0);
  const num_on_device = placement.nodes[providerName(device)] ?? 0;
  graph.session_ms = 0;
  return { graph: graph.name, device: deviceClass(device), num_on_device, num_on_host: num_nodes - num_on_device, host_operators: placement.host_operators };
}
