import type { Role } from "../core/sample.ts";
import { activeSpans } from "./active-spans.ts";
import { alignAnswers } from "./align-answers.ts";
import type { ExportFormat } from "./format.ts";
import type { SelectedSample } from "./selected-sample.ts";
import { jsonArray, openTextFormat, type ToRecord } from "./text-format.ts";

const SPEAKER: Readonly<Record<Role, string>> = { system: "system", user: "human", assistant: "gpt" };

/**
 * LLaVA's own JSON: what its train.py reads, with two more keys in every answer, which it ignores unless it is patched
 * (integrations/llava): `loss_mask`, the spans that keep their loss in code points of `value`, half-open, and
 * `loss_end_of_turn`.
 */
export const llavaJson: ExportFormat = {
  summary: "LLaVA's train.py: its JSON, with loss_mask spans in every answer (integrations/llava)",
  open: ({ folder, tally }) => openTextFormat(folder, jsonArray("train.json"), tally, toLlavaRecord),
};

export const toLlavaRecord: ToRecord = (sample) => {
  const turns = alignAnswers(sample.messages, sample.token_text);
  if (!turns) return undefined;
  const active = new Map(activeSpans(sample.messages, turns, (token) => sample.loss_mask[token] === 1).map((turn) => [turn.message, turn]));
  const conversations = sample.messages.map(({ role, content }, message) => {
    const turn = active.get(message);
    const mask = turn && { loss_mask: turn.spans, loss_end_of_turn: turn.end_of_turn };
    return { from: SPEAKER[role], value: content, ...mask };
  });
  return { record: { id: sample.sample_id, ...imageKey(sample), ...(sample.source !== "" && { source: sample.source }), conversations } };
};

/** LLaVA writes one image as text; its successors read several as a list. */
function imageKey({ images }: SelectedSample): { readonly image?: string | readonly string[] } {
  if (images.length === 0) return {};
  return { image: images.length === 1 ? images[0]! : images };
}
