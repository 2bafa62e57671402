import { codePointLength } from "./code-points.ts";

/** Where a token stands in an answer's text, in UTF-16 units; both ends equal where it shows no character. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

export interface AnswerMatch {
  /** One for each matched token. */
  readonly ranges: readonly TextRange[];
  /** Whether the answer's text came to its end; false where the tokens ran out before (a truncated sample). */
  readonly complete: boolean;
}

/** How tokenizers write what they do not know; their models call that token unk. */
const UNKNOWN = /^(?:<\|?unk\|?>|\[UNK\])$/i;

/**
 * The tokens' places in `answer`, beginning with `texts[first]` and ending with the answer; undefined where the text
 * is another one. White space around the answer that a template drops may be missing from the tokens. Tokens with no
 * text of their own are parts of the character that a later token completes: each gets that whole character. Unknown
 * tokens get all that stands up to the next known one.
 */
export function matchAnswer(answer: string, texts: readonly string[], first: number): AnswerMatch | undefined {
  const textEnd = answer.trimEnd().length;
  const ranges: TextRange[] = [];
  let unfinished = 0;
  let unknown = 0;
  let place = 0;
  // Space in front of an answer is dropped by some templates, added to by others: then no token shows it.
  let otherSpace = leadingSpaceOf(texts, first) !== leadingSpace(answer);
  const settle = (count: number, range: TextRange): 0 => {
    for (let i = 0; i < count; i++) ranges.push(range);
    return 0;
  };
  for (let token = first; token < texts.length; token++) {
    let text = texts[token]!;
    if (place >= textEnd && (text === "" || !answer.startsWith(text, place))) break;
    if (UNKNOWN.test(text) && !answer.startsWith(text, place)) {
      unfinished = settle(unfinished, { start: place, end: place });
      unknown++;
      continue;
    }
    if (text === "") {
      unfinished++;
      continue;
    }
    if (unknown > 0) {
      const next = answer.indexOf(text, place);
      const end = next < 0 ? textEnd : next;
      unknown = settle(unknown, { start: place, end });
      place = end;
      if (next < 0) break;
    }
    if (otherSpace) {
      text = text.trimStart();
      if (text === "") {
        ranges.push({ start: 0, end: 0 });
        continue;
      }
      place = leadingSpace(answer).length;
      otherSpace = false;
    }
    if (!answer.startsWith(text, place)) return undefined;
    // No character of ASCII is ever split: there the tokens without text are the space that a template puts in front.
    const character = { start: place, end: place + (text.charCodeAt(0) < 0x80 ? 0 : codePointLength(text, 0)) };
    unfinished = settle(unfinished, character);
    ranges.push({ start: place, end: place + text.length });
    place += text.length;
  }
  // Cut inside a character: what is there of it shows nothing.
  settle(unknown + unfinished, { start: place, end: place });
  return { ranges, complete: place >= textEnd };
}

function leadingSpace(text: string): string {
  return text.slice(0, text.length - text.trimStart().length);
}

function leadingSpaceOf(texts: readonly string[], first: number): string {
  let space = "";
  for (let token = first; token < texts.length; token++) {
    const text = texts[token]!;
    space += leadingSpace(text);
    if (text.trim() !== "") break;
  }
  return space;
}
