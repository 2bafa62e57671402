import { join } from "node:path";
import type { Message } from "../core/sample.ts";
import { readTokenizer } from "../model/read-tokenizer.ts";
import { type AlignedTurn, alignAnswers } from "./align-answers.ts";
import { type CutAnswer, cutAnswer, type Encode } from "./cut-answers.ts";
import type { ExportFormat } from "./format.ts";
import { modelPathOf } from "./run-model.ts";
import type { SelectedSample } from "./selected-sample.ts";
import { jsonLines, openTextFormat, type ToRecord } from "./text-format.ts";

interface SwiftMessage extends Message {
  readonly loss?: boolean;
}

/**
 * ms-swift's messages: an answer is cut into consecutive assistant messages, each with `loss`. ms-swift tokenizes them
 * one by one and joins the tokens, so answers are cut only where that gives the stored tokens; elsewhere inactive
 * tokens are trained along, and counted.
 */
export const swiftJsonl: ExportFormat = {
  summary: "ms-swift: messages with loss true or false, cut where the tokens survive it",
  async open({ folder, tally, manifest, model_path, image_root }) {
    const { encode } = await readTokenizer(modelPathOf(manifest, model_path));
    return openTextFormat(folder, jsonLines("train.jsonl"), tally, swiftRecord(encode, image_root));
  },
};

export function swiftRecord(encode: Encode, image_root: string | undefined): ToRecord {
  return (sample) => {
    const turns = alignAnswers(sample.messages, sample.token_text);
    if (!turns) return undefined;
    const isActive = (token: number): boolean => sample.loss_mask[token] === 1;
    let num_trained = 0;
    const messages = sample.messages.flatMap((message, index): SwiftMessage[] => {
      if (message.role !== "assistant") return [message];
      const turn = turns.find((one) => one.message === index);
      if (!turn) return [{ ...message, loss: false }];
      const answer = cutAnswer(message.content, turn, sample.token_id, isActive, encode);
      num_trained += trainedTokens(answer, turn, index === sample.messages.length - 1);
      return answer.pieces.map(({ text, active }) => ({ role: "assistant", content: text, loss: active }));
    });
    return { record: { messages, ...imagePaths(sample, image_root) }, num_trained };
  };
}

/** ms-swift gives the mark behind the last answer a loss always, that behind another if the piece before it has one. */
function trainedTokens({ pieces }: CutAnswer, { end_of_turn_start, token_end }: AlignedTurn, isLast: boolean): number {
  const inText = pieces.reduce((sum, piece) => sum + (piece.active ? piece.token_end - piece.token_start : 0), 0);
  return inText + (isLast || pieces.at(-1)!.active ? token_end - end_of_turn_start : 0);
}

function imagePaths({ images }: SelectedSample, image_root: string | undefined): { readonly images?: readonly string[] } {
  if (images.length === 0) return {};
  return { images: image_root === undefined ? images : images.map((key) => join(image_root, key)) };
}
