import { activeSpans } from "./active-spans.ts";
import { alignAnswers } from "./align-answers.ts";
import type { ExportFormat } from "./format.ts";
import { jsonLines, openTextFormat, type ToRecord } from "./text-format.ts";

/** Everything that a selection says of a sample, one JSON object a line. */
export const jsonl: ExportFormat = {
  summary: "anything else: one JSON object a sample, with token ids, mask, and spans of the active words in the answers",
  open: ({ folder, tally }) => openTextFormat(folder, jsonLines("train.jsonl"), tally, toPlainRecord),
};

export const toPlainRecord: ToRecord = (sample) => {
  const turns = alignAnswers(sample.messages, sample.token_text);
  if (!turns) return undefined;
  const answers = activeSpans(sample.messages, turns, (token) => sample.loss_mask[token] === 1).map(({ message, spans, end_of_turn }) => {
    const turn = turns.find((one) => one.message === message);
    return { message, spans, end_of_turn, token_start: turn?.token_start ?? sample.token_id.length, token_end: turn?.token_end ?? sample.token_id.length };
  });
  const { sample_id, source, images, messages, vig, kept_as, token_text, num_active } = sample;
  return {
    record: { sample_id, source, images, messages, vig, kept_as, num_active, token_id: [...sample.token_id], token_text, loss_mask: [...sample.loss_mask], answers },
  };
};
