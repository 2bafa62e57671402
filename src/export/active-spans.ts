import type { Message } from "../core/sample.ts";
import type { AlignedTurn } from "./align-answers.ts";
import { codePointIndices } from "./code-points.ts";

/** Half-open, in Unicode code points of the turn's content. */
export type Span = readonly [start: number, end: number];

/** What of one assistant turn keeps its loss. */
export interface ActiveTurn {
  /** Index into the messages. */
  readonly message: number;
  /** The characters that active tokens show, in order, apart from each other. */
  readonly spans: readonly Span[];
  /** Whether a token of the end-of-turn mark keeps its loss. */
  readonly end_of_turn: boolean;
}

/**
 * The mask as characters, which any tokenizer can read. A character that several tokens make is active if one of them
 * is. One entry for each assistant turn, also for those that truncation cut off: nothing of them is active.
 */
export function activeSpans(messages: readonly Message[], turns: readonly AlignedTurn[], isActive: (token: number) => boolean): ActiveTurn[] {
  return messages.flatMap(({ role, content }, message): ActiveTurn[] => {
    if (role !== "assistant") return [];
    const turn = turns.find((one) => one.message === message);
    if (!turn) return [{ message, spans: [], end_of_turn: false }];
    const indices = codePointIndices(content);
    const spans: [number, number][] = [];
    turn.ranges.forEach(({ start, end }, i) => {
      if (end === start || !isActive(turn.token_start + i)) return;
      const last = spans.at(-1);
      if (last && indices[start]! <= last[1]) last[1] = Math.max(last[1], indices[end]!);
      else spans.push([indices[start]!, indices[end]!]);
    });
    let end_of_turn = false;
    for (let token = turn.end_of_turn_start; token < turn.token_end; token++) end_of_turn ||= isActive(token);
    return [{ message, spans, end_of_turn }];
  });
}
