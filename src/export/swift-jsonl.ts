import { join } from "node:path";
import { IMAGE_PLACEHOLDER, type Message } from "../core/sample.ts";
import { contentParts } from "../model/chat-template.ts";
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
 * ms-swift's messages: an answer is cut into consecutive assistant messages, each with `loss`. ms-swift tokenizes
 * neighbours of unlike loss apart, so answers are cut only where that gives the stored tokens; elsewhere inactive
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
    const isMasked = (token: number): boolean => sample.loss_mask[token] === 1;
    let num_trained = 0;
    const messages = sample.messages.flatMap((message, index): SwiftMessage[] => {
      if (message.role !== "assistant") return [{ ...message, content: withTightImages(message.content) }];
      const turn = turns.find((one) => one.message === index);
      if (!turn) return [{ ...message, loss: false }];
      const isLast = index === sample.messages.length - 1;
      const isActive = isLast ? isMasked : withEndOfTurn(isMasked, turn);
      const answer = cutAnswer(message.content, turn, sample.token_id, isActive, encode);
      num_trained += trainedTokens(answer, turn, isLast);
      return answer.pieces.map(({ text, active }) => ({ role: "assistant", content: text, loss: active }));
    });
    return { record: { messages, ...imagePaths(sample, image_root) }, num_trained };
  };
}

/** One newline behind an image belongs to it: families that want one get it from ms-swift's template, as from the run's. */
function withTightImages(content: string): string {
  return contentParts(content)
    .map((part) => (part.type === "image" ? IMAGE_PLACEHOLDER : part.text))
    .join("");
}

/** An active end of a turn makes the token before it active, since it has a loss only behind a piece that has one. */
function withEndOfTurn(isActive: (token: number) => boolean, { end_of_turn_start, token_end }: AlignedTurn): (token: number) => boolean {
  for (let token = end_of_turn_start; token < token_end; token++) {
    if (isActive(token)) return (one) => one === end_of_turn_start - 1 || isActive(one);
  }
  return isActive;
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
