/** The words of an answer, with the VIG of each: how token VIGs become something to read. */

/** Letters and digits of any script, with apostrophes and hyphens inside. */
const WORD = /[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*/gu;
/** A token that is markup of the chat template, such as an end of turn. */
export const SPECIAL_TOKEN = /^<[^<>\s]+>$/;
/** Stands for such tokens in the text that words are searched in. */
const BREAK = "\n";

export interface AnswerWord {
  /** As it stands in the answer. */
  readonly text: string;
  /** Where it starts in the answer's text, in UTF-16 units. */
  readonly index: number;
  /** Nats: mean over the tokens that hold a part of the word. */
  readonly vig: number;
}

export interface AnswerWords {
  /** The answer's text; markup of the chat template is a line break. */
  readonly text: string;
  readonly words: readonly AnswerWord[];
}

/** `pieces`: each token as it stands in the answer. `vigs`: [T] nats. */
export function answerWords(pieces: readonly string[], vigs: Float32Array): AnswerWords {
  const { text, starts } = joinPieces(pieces);
  const words: AnswerWord[] = [];
  let token = 0;
  for (const { 0: word, index } of text.matchAll(WORD)) {
    const end = index + word.length;
    // An empty token at the word's start is the first part of its first character.
    while (starts[token + 1]! <= index && starts[token]! < index) token++;
    let sum = 0;
    let count = 0;
    for (let t = token; t < pieces.length && starts[t]! < end; t++, count++) sum += vigs[t]!;
    words.push({ text: word, index, vig: sum / count });
  }
  return { text, words };
}

/**
 * The answer's text and where each token's part of it starts (one more entry holds the text's end). An empty token is
 * the first part of a character that is split over several tokens (never an ASCII one) and starts with it; other
 * empty tokens, and markup, break words.
 */
function joinPieces(pieces: readonly string[]): { text: string; starts: Int32Array } {
  const starts = new Int32Array(pieces.length + 1);
  let text = "";
  for (const [t, piece] of pieces.entries()) {
    starts[t] = text.length;
    if (piece !== "") text += SPECIAL_TOKEN.test(piece) ? BREAK : piece;
    else if (!startsSplitCharacter(pieces, t)) text += BREAK;
  }
  starts[pieces.length] = text.length;
  return { text, starts };
}

function startsSplitCharacter(pieces: readonly string[], token: number): boolean {
  const next = pieces.slice(token + 1, token + 4).find((piece) => piece !== "");
  return next !== undefined && next.charCodeAt(0) > 127;
}
