import type { Prepared } from "../model/contract.ts";
import type { LoadedModel } from "../model/load-model.ts";

/** Runs of one id as long as this are shown as one line. */
const LONG_RUN = 4;

/** One line a token: position, id, text; supervised tokens are marked with `>`. Long runs of one id share a line. */
export function describeTokens(model: Pick<LoadedModel, "tokenTexts">, { input_ids, answer_positions, token_text, num_truncated, num_unknown }: Prepared): string[] {
  const answers = new Map(Array.from(answer_positions, (position, i) => [position, token_text[i]!]));
  const texts = model.tokenTexts(input_ids);
  const lines: string[] = [];
  for (let place = 0; place < input_ids.length; ) {
    let end = place + 1;
    while (end < input_ids.length && input_ids[end] === input_ids[place] && !answers.has(end)) end++;
    const isRun = end - place >= LONG_RUN && !answers.has(place);
    if (!isRun) end = place + 1;
    const answer = answers.get(place);
    const text = JSON.stringify(answer ?? texts[place]);
    lines.push(`${answer === undefined ? " " : ">"} ${String(place).padStart(5)} ${String(input_ids[place]).padStart(7)} ${text}${isRun ? ` x ${end - place}` : ""}`);
    place = end;
  }
  const counts = [`${input_ids.length} tokens, ${answer_positions.length} supervised (>)`];
  if (num_truncated > 0) counts.push(`${num_truncated} answer tokens cut off`);
  if (num_unknown > 0) counts.push(`${num_unknown} unknown to the tokenizer`);
  return [...lines, counts.join(", ")];
}
