/** A sample as the page shows it: its conversation, with each answer token beside its numbers. */
import type { Float64, Int32, List, RecordBatch, Utf8 } from "apache-arrow";
import { SPECIAL_TOKEN } from "../core/answer-words.ts";
import { columnData, isNull, messagesValue, numericListValue, utf8ListValue, utf8Value } from "../core/record-batch.ts";
import type { Message, Role } from "../core/sample.ts";
import type { ChosenSample, Group } from "./choose-samples.ts";

export const VIEW_COLUMNS = ["sample_id", "source", "images", "messages", "num_tokens", "nll_image", "nll_blur", "vig", "token_text", "token_nll_image", "token_vig"] as const;

/** Longer ones are cut, and the page says so: a page must stay small whatever is in the data. */
const MAX_TOKENS = 800;
const MAX_TEXT = 4_000;
const MAX_NAME = 200;
const MAX_TOKEN_TEXT = 120;
const MAX_TURNS = 40;
const MAX_IMAGES = 4;

/** An answer token: its text, and for samples with an image its VIG (the stored float32) and NLL with the clean image, in nats. */
export type TokenView = readonly [text: string, vig: number, nll_image: number] | readonly [text: string];

/** A turn: its text, or for the assistant's its tokens where they could be told apart. */
export type TurnView = { readonly role: Role; readonly text: string } | { readonly role: "assistant"; readonly tokens: readonly TokenView[] };

export interface SampleView {
  readonly place: number;
  readonly groups: readonly Group[];
  readonly id: string;
  readonly source: string;
  readonly vig: number | null;
  readonly nll_image: number | null;
  readonly nll_blur: number | null;
  readonly num_tokens: number;
  /** Tokens that are on the page; fewer than num_tokens where the answer was cut. */
  readonly num_shown: number;
  readonly turns: readonly TurnView[];
  readonly images: readonly string[];
}

/** The view of each row. `chosen` belongs to the batch's rows, in their order. */
export function viewSamples(batch: RecordBatch, chosen: readonly ChosenSample[]): SampleView[] {
  const text = (name: string) => columnData<Utf8>(batch, name);
  const number = (name: string, row: number): number | null => {
    const data = columnData<Float64>(batch, name);
    return isNull(data, row) ? null : data.values[row]!;
  };
  const list = (name: string) => columnData<List>(batch, name);
  return chosen.map(({ place, groups }, row) => {
    const tokens = viewTokens(utf8ListValue(list("token_text"), row), numericListValue(list("token_vig"), row), numericListValue(list("token_nll_image"), row));
    return {
      place,
      groups,
      id: cut(utf8Value(text("sample_id"), row), MAX_NAME),
      source: cut(utf8Value(text("source"), row), MAX_NAME),
      vig: number("vig", row),
      nll_image: number("nll_image", row),
      nll_blur: number("nll_blur", row),
      num_tokens: columnData<Int32>(batch, "num_tokens").values[row]!,
      num_shown: Math.min(tokens.length, MAX_TOKENS),
      turns: viewTurns(messagesValue(list("messages"), row), tokens),
      images: utf8ListValue(list("images"), row).slice(0, MAX_IMAGES),
    };
  });
}

function viewTokens(texts: readonly string[], vigs: Float32Array | null, nlls: Float32Array | null): TokenView[] {
  return texts.map((text, t): TokenView => (vigs && nlls ? [text, shortest(vigs[t]!), Number(nlls[t]!.toPrecision(4))] : [text]));
}

/** The shortest decimal that reads back as the same float32: the page decides "active" from it, so it must be exact. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return Number(value.toPrecision(9));
}

/**
 * The conversation with the assistant's texts replaced by their tokens. A turn takes the tokens that spell its text, and
 * the markup behind them (an end of turn). Where tokens and text don't match, all tokens stand in one turn at the end.
 */
export function viewTurns(messages: readonly Message[], tokens: readonly TokenView[]): TurnView[] {
  const byTurn = splitByTurn(messages, tokens);
  const turns: TurnView[] = [];
  let room = MAX_TOKENS;
  let turn = 0;
  for (const { role, content } of messages.slice(0, MAX_TURNS)) {
    const own = role === "assistant" ? byTurn?.[turn++] : undefined;
    if (own && own.length > 0) {
      turns.push({ role: "assistant", tokens: own.slice(0, room).map(cutToken) });
      room = Math.max(0, room - own.length);
    } else turns.push({ role, text: cut(content, MAX_TEXT) });
  }
  if (!byTurn && tokens.length > 0) turns.push({ role: "assistant", tokens: tokens.slice(0, MAX_TOKENS).map(cutToken) });
  return turns;
}

function splitByTurn(messages: readonly Message[], tokens: readonly TokenView[]): TokenView[][] | undefined {
  const turns: TokenView[][] = [];
  let next = 0;
  for (const { role, content } of messages) {
    if (role !== "assistant") continue;
    const wanted = withoutSpace(content);
    const own: TokenView[] = [];
    let spelt = "";
    while (next < tokens.length && spelt.length < wanted.length) {
      spelt += withoutSpace(tokens[next]![0]);
      own.push(tokens[next++]!);
    }
    // Truncation cuts the tail of the last turn that has tokens.
    if (spelt !== wanted && !(next === tokens.length && wanted.startsWith(spelt))) return undefined;
    while (next < tokens.length && isBetweenTurns(tokens[next]![0])) own.push(tokens[next++]!);
    turns.push(own);
  }
  return next === tokens.length ? turns : undefined;
}

const isBetweenTurns = (text: string): boolean => SPECIAL_TOKEN.test(text.trim()) || text.trim() === "";
const withoutSpace = (text: string): string => text.replace(/\s+/g, "");
const cutToken = ([text, ...numbers]: TokenView): TokenView => [cut(text, MAX_TOKEN_TEXT), ...numbers] as unknown as TokenView;

function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
