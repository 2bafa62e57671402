import type { Message } from "../core/sample.ts";
import { type AnswerMatch, matchAnswer, type TextRange } from "./match-answer.ts";
import { normalizeText } from "./normalized-text.ts";

/** The tokens of one assistant turn. Token numbers count over the sample's answer tokens. */
export interface AlignedTurn {
  /** Index into the messages. */
  readonly message: number;
  /** The turn's tokens: those of its text, then those that end the turn. Half-open. */
  readonly token_start: number;
  readonly end_of_turn_start: number;
  readonly token_end: number;
  /** Where each token of the text stands in the message's content, UTF-16 units. */
  readonly ranges: readonly TextRange[];
}

/** End-of-turn marks have one token, rarely a few where a template writes them as plain text. */
const END_OF_TURN_TOKENS = [1, 2, 3, 4, 5, 6, 7, 8, 0] as const;

/**
 * Which turn each answer token belongs to, and where it stands in that turn's text. Turns that truncation cut off
 * whole are left out. Undefined where the tokens' text is not that of the answers: a template that rewrites answers,
 * or words that the tokenizer does not know and writes in another way.
 */
export function alignAnswers(messages: readonly Message[], texts: readonly string[]): readonly AlignedTurn[] | undefined {
  const answers = messages.flatMap(({ role, content }, message) => (role === "assistant" ? [{ message, content }] : []));
  const isLast = (turn: number): boolean => turn === answers.length - 1;

  const alignFrom = (turn: number, first: number): AlignedTurn[] | undefined => {
    if (first === texts.length) return [];
    const answer = answers[turn];
    const match = answer && matchContent(answer.content, texts, first);
    if (!match) return undefined;
    const end = first + match.ranges.length;
    const aligned = (token_end: number): AlignedTurn => ({ message: answer.message, token_start: first, end_of_turn_start: end, token_end, ranges: match.ranges });
    if (!match.complete) return end === texts.length ? [aligned(end)] : undefined;
    if (isLast(turn)) return [aligned(texts.length)];
    for (const count of END_OF_TURN_TOKENS) {
      if (end + count > texts.length) continue;
      const rest = alignFrom(turn + 1, end + count);
      if (rest) return [aligned(end + count), ...rest];
    }
    return undefined;
  };
  return alignFrom(0, 0);
}

/** As matchAnswer, also where the tokenizer normalises text before it cuts it. */
function matchContent(content: string, texts: readonly string[], first: number): AnswerMatch | undefined {
  const match = matchAnswer(content, texts, first);
  if (match || content === content.normalize("NFC")) return match;
  const { text, starts, ends } = normalizeText(content);
  const normalized = matchAnswer(text, texts, first);
  return normalized && { ...normalized, ranges: normalized.ranges.map(({ start, end }) => ({ start: starts[start]!, end: end > start ? ends[end]! : starts[start]! })) };
}
