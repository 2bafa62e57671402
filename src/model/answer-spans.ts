import type { Message } from "../core/sample.ts";
import type { PrepareReject } from "./contract.ts";
import type { ChatTemplate } from "./chat-template.ts";

/** Tokens start (inclusive) to end (exclusive) are one assistant turn with its end-of-turn token. */
export interface AnswerSpan {
  readonly start: number;
  readonly end: number;
  /** The turn's text, as the conversation has it. */
  readonly answer: string;
}

export interface RenderedConversation {
  readonly ids: number[];
  readonly spans: readonly AnswerSpan[];
}

/** `tokenize` gives the ids of a rendered text, images expanded as the model's family wants. */
export type Tokenize = (text: string) => number[];

/**
 * The conversation's ids and where its answers lie.
 * The conversation is rendered up to each answer and behind it; each rendering must be a prefix of the next, as text
 * and as tokens. White space that a template puts after an answer's last token is not supervised.
 * Rejects: tokenization_mismatch.
 */
export function renderConversation(
  messages: readonly Message[],
  template: ChatTemplate,
  tokenize: Tokenize,
): RenderedConversation | PrepareReject {
  const answers = messages.flatMap(({ role }, turn) => (role === "assistant" ? [turn] : []));
  let whole: string;
  const bounds: { prompt: string; answered: string; turn: number }[] = [];
  try {
    whole = template.render(messages, false);
    for (const turn of answers) {
      const last = turn === messages.length - 1;
      const answered = last ? whole : template.render(messages.slice(0, turn + 1), false);
      bounds.push({ prompt: promptOf(messages, turn, answered, template), answered: answered.trimEnd(), turn });
    }
  } catch (cause) {
    return mismatch(`the chat template refuses the conversation: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const ids = tokenize(whole);
  const spans: AnswerSpan[] = [];
  for (const { prompt, answered, turn } of bounds) {
    if (!answered.startsWith(prompt) || !whole.startsWith(answered)) {
      return mismatch(`turn ${turn + 1} is rendered differently once the conversation goes on`);
    }
    const start = prefixLength(tokenize(prompt), ids);
    const end = answered === whole ? ids.length : prefixLength(tokenize(answered), ids);
    if (start === undefined || end === undefined) {
      return mismatch(`the tokens of turn ${turn + 1} run into those of its neighbour`);
    }
    if (end > start) spans.push({ start, end, answer: messages[turn]!.content });
  }
  return { ids, spans };
}

/**
 * The rendering that ends just before an answer's first token. Some templates open an answer with other white space
 * in a conversation than where one is to be generated, or know no generation prompt: then it is found in `answered`.
 */
function promptOf(messages: readonly Message[], turn: number, answered: string, template: ChatTemplate): string {
  const prompt = template.render(messages.slice(0, turn), true);
  if (template.prompts_answer && answered.startsWith(prompt)) return prompt;
  const before = template.render(messages.slice(0, turn), false);
  const begin = answered.startsWith(before) ? placeOf(messages[turn]!.content, answered, before.length) : -1;
  const found = begin < 0 ? prompt : answered.slice(0, begin);
  if (!template.prompts_answer) return found.trimEnd();
  return withoutSpace(found) === withoutSpace(prompt) ? found : prompt;
}

/** Where the answer stands from `start` on; templates may trim it. */
function placeOf(answer: string, text: string, start: number): number {
  const exact = text.indexOf(answer, start);
  return exact < 0 ? text.indexOf(answer.trim(), start) : exact;
}

function withoutSpace(text: string): string {
  return text.replace(/\s+/g, "");
}

/** The length of `prefix` if `ids` begins with it. */
function prefixLength(prefix: readonly number[], ids: readonly number[]): number | undefined {
  return prefix.length <= ids.length && prefix.every((id, i) => id === ids[i]) ? prefix.length : undefined;
}

function mismatch(message: string): PrepareReject {
  return { code: "tokenization_mismatch", message };
}
