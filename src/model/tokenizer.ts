import { Tokenizer as FolderTokenizer } from "@huggingface/tokenizers";
import { PlanError } from "../core/errors.ts";

/** The parts of tokenizer_config.json that are used here; other keys pass through to the library. */
export interface TokenizerConfig {
  readonly [key: string]: unknown;
}

/** Text to ids and back, as the model folder's tokenizer.json says. */
export interface TextTokenizer {
  readonly special: { readonly bos: string; readonly eos: string; readonly unk: string; readonly pad: string };
  /** Every token that the folder names, as templates know it: bos_token, image_token, ... */
  readonly named: Readonly<Record<string, string>>;
  /** Special tokens stand for themselves in `text`; nothing is added around it. */
  readonly encode: (text: string) => number[];
  /** As `encode`, with the beginning-of-sequence tokens that the tokenizer puts first, unless the text has them. */
  readonly encodeSequence: (text: string) => number[];
  /** The ids' text, each piece what one more id adds; a character split over several ids is on the last of them. */
  pieces(ids: readonly number[], before: readonly number[]): string[];
  tokenOf(id: number): string | undefined;
  idOf(token: string): number | undefined;
  readonly unknown_id: number | undefined;
}

export function createTokenizer(tokenizerJson: object, config: TokenizerConfig): TextTokenizer {
  const tokenizer = build(tokenizerJson, config);
  const special = {
    bos: tokenText(config["bos_token"]),
    eos: tokenText(config["eos_token"]),
    unk: tokenText(config["unk_token"]),
    pad: tokenText(config["pad_token"]),
  };
  const encode = (text: string): number[] => tokenizer.encode(text, { add_special_tokens: false }).ids;
  const prefix = addedPrefix(tokenizer);
  return {
    special,
    named: namedTokens(config),
    encode,
    encodeSequence(text) {
      const starts = special.bos !== "" && text.startsWith(special.bos);
      return starts ? encode(text) : [...prefix, ...encode(text)];
    },
    pieces: (ids, before) => decodePieces(tokenizer, ids, before),
    tokenOf: (id) => tokenizer.id_to_token(id),
    idOf: (token) => tokenizer.token_to_id(token),
    unknown_id: special.unk === "" ? undefined : tokenizer.token_to_id(special.unk),
  };
}

function build(tokenizerJson: object, config: TokenizerConfig): FolderTokenizer {
  try {
    return new FolderTokenizer(tokenizerJson, config);
  } catch (cause) {
    throw new PlanError("tokenizer.json can't be used", {
      cause,
      remedy: "the folder needs a fast tokenizer (tokenizer.json as written by the tokenizers library)",
    });
  }
}

/** A special token as configuration files write it: its text, or an object with it. */
export function tokenText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "content" in value) return String(value.content);
  return "";
}

function namedTokens(config: TokenizerConfig): Record<string, string> {
  const all = { ...config, ...(config["extra_special_tokens"] as object | undefined) };
  const named = Object.entries(all).filter(([name]) => name.endsWith("_token"));
  return Object.fromEntries(named.map(([name, value]) => [name, tokenText(value)]).filter(([, text]) => text !== ""));
}

/** The ids that the tokenizer's post-processor puts before a text. */
function addedPrefix(tokenizer: FolderTokenizer): number[] {
  const bare: number[] = tokenizer.encode("a", { add_special_tokens: false }).ids;
  const full: number[] = tokenizer.encode("a", { add_special_tokens: true }).ids;
  for (let start = 0; start + bare.length <= full.length; start++) {
    if (bare.every((id, i) => full[start + i] === id)) return full.slice(0, start);
  }
  return [];
}

/** How a decoder shows bytes that are no whole character. */
const UNFINISHED = /\uFFFD+$/;
const LEFT_CONTEXT = 4;
/** A window that stays unfinished for longer holds real U+FFFD characters. */
const LONGEST_WINDOW = 64;

/**
 * Decodes a short window that ends at each id in turn; what is new against what was known is the id's piece.
 * The window begins where an earlier piece ended, so that no character is cut, and at least one id before the new
 * one, so that a decoder that strips a text's first space strips it from both.
 */
function decodePieces(tokenizer: FolderTokenizer, ids: readonly number[], before: readonly number[]): string[] {
  const context = before.slice(-LEFT_CONTEXT);
  const all = [...context, ...ids];
  const decode = (start: number, end: number) =>
    start === end
      ? ""
      : tokenizer.decode(all.slice(start, end), { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  const pieces: string[] = [];
  let windowStart = 0;
  let boundary = context.length;
  let known = decode(0, boundary).length;
  for (let end = boundary + 1; end <= all.length; end++) {
    const text = decode(windowStart, end);
    const isLast = end === all.length || end - windowStart > LONGEST_WINDOW;
    const finished = isLast ? text : text.replace(UNFINISHED, "");
    pieces.push(finished.slice(known));
    known = Math.max(known, finished.length);
    if (finished.length < text.length) continue;
    windowStart = boundary;
    boundary = end;
    known = decode(windowStart, boundary).length;
  }
  return pieces;
}
