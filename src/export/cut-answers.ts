import type { AlignedTurn } from "./align-answers.ts";

/** Text to token ids, nothing added around it. */
export type Encode = (text: string) => readonly number[];

/** Pieces of one answer, in order; concatenated they are the answer. */
export interface AnswerPiece {
  readonly text: string;
  /** Half-open token numbers. */
  readonly token_start: number;
  readonly token_end: number;
  /** Whether one of its tokens is active. */
  readonly active: boolean;
}

export interface CutAnswer {
  readonly pieces: readonly AnswerPiece[];
  /** Whether the pieces, tokenized one by one, give as many tokens as are stored, and but for the first the same. */
  readonly same_tokens: boolean;
}

/**
 * Cuts an answer where its mask changes, for trainers that mask whole pieces and tokenize each by itself. A cut is made
 * only where the pieces' tokens are the answer's own tokens; where a change of the mask lies elsewhere (inside a word),
 * the nearest such place is taken that loses no active token, so some inactive tokens come along.
 */
export function cutAnswer(content: string, turn: AlignedTurn, token_id: Int32Array, isActive: (token: number) => boolean, encode: Encode): CutAnswer {
  const { token_start: first, end_of_turn_start: end } = turn;
  const placeOf = (token: number): number => (token === first ? 0 : token === end ? content.length : turn.ranges[token - first]!.start);
  const textOf = (start: number, stop: number): string => content.slice(placeOf(start), placeOf(stop));
  const whole = encode(content);
  const isSame = (start: number, stop: number): boolean => equal(encode(textOf(start, stop)), whole.slice(start - first, stop - first));
  const piece = (start: number, stop: number): AnswerPiece => ({
    text: textOf(start, stop),
    token_start: start,
    token_end: stop,
    active: someActive(start, stop, isActive),
  });
  // Behind "Assistant: " the first token has the space that an answer tokenized alone lacks.
  const stored = token_id.subarray(first, end);
  if (whole.length !== stored.length || !equal(whole.slice(1), stored.subarray(1))) return { pieces: [piece(first, end)], same_tokens: false };

  const known = new Map<number, boolean>([[first, true], [end, true]]);
  const isClean = (token: number): boolean => {
    const earlier = known.get(token);
    if (earlier !== undefined) return earlier;
    // A token without text of its own is inside a character.
    const isInside = placeOf(token) === placeOf(token - 1);
    const clean = !isInside && isSame(first, token) && isSame(token, end);
    known.set(token, clean);
    return clean;
  };
  const cuts = [first];
  for (let token = first + 1; token < end; token++) {
    if (isActive(token) === isActive(token - 1)) continue;
    // Outwards from the active side.
    const step = isActive(token) ? -1 : 1;
    let cut = token;
    while (!isClean(cut)) cut += step;
    if (cut > cuts.at(-1)! && cut < end) cuts.push(cut);
  }
  const bounds = joinPieces(cuts, end, isActive);
  // Cuts that are fine alone may not be fine together.
  const survives = bounds.every(([start, stop]) => isSame(start, stop));
  return { pieces: survives ? bounds.map(([start, stop]) => piece(start, stop)) : [piece(first, end)], same_tokens: true };
}

/** The pieces between the cuts, neighbours that are alike made one. */
function joinPieces(cuts: readonly number[], end: number, isActive: (token: number) => boolean): [number, number][] {
  const pieces: [number, number][] = [];
  cuts.forEach((start, i) => {
    const stop = cuts[i + 1] ?? end;
    const last = pieces.at(-1);
    if (last && someActive(last[0], last[1], isActive) === someActive(start, stop, isActive)) last[1] = stop;
    else pieces.push([start, stop]);
  });
  return pieces;
}

function someActive(start: number, stop: number, isActive: (token: number) => boolean): boolean {
  for (let token = start; token < stop; token++) if (isActive(token)) return true;
  return false;
}

function equal(a: readonly number[], b: ArrayLike<number>): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}
