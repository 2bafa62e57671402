import { createHash } from "node:crypto";
import type { RejectCode } from "../../core/rejects.ts";
import { IMAGE_PLACEHOLDER, type Message, type Role, type Sample } from "../../core/sample.ts";

/** Why a record is no sample. A class, since records have arbitrary fields. */
export class RecordProblem {
  readonly code: RejectCode;
  readonly message: string;

  constructor(code: RejectCode, message: string) {
    this.code = code;
    this.message = message;
  }
}

export function malformed(message: string): RecordProblem {
  return new RecordProblem("malformed_record", message);
}

/** A record of any source, as parsed. */
export type RecordFields = Readonly<Record<string, unknown>>;

/** Where `source` is taken from. */
export interface SourceNameOptions {
  /** A field of the record; undefined: the first of the usual ones that is there. */
  readonly source_field?: string | undefined;
  /** The first folder of the first image's path, as LLaVA's mix names its data sets. */
  readonly source_from_image_folder: boolean;
}

const SOURCE_FIELDS = ["source", "dataset", "task"];
const ROLES: Readonly<Record<string, Role>> = { human: "user", user: "user", gpt: "assistant", assistant: "assistant", system: "system" };

/** Characters of the input that a message may show. */
const EXCERPT = 40;

/**
 * The sample that a record holds: `conversations` (from/value) or `messages` (role/content, content a string or a
 * list of parts) with the images' keys already found.
 * Rejects: malformed_record, unknown_role, bad_turn_order, empty_answer.
 */
export function toSample(record: RecordFields, images: readonly string[], options: SourceNameOptions): Omit<Sample, "sample_id"> | RecordProblem {
  const turns = record.conversations ?? record.messages;
  if (!Array.isArray(turns) || turns.length === 0) return malformed(`no turns in conversations or messages (found: ${Object.keys(record).slice(0, 12).join(", ")})`);
  const messages: Message[] = [];
  for (const [index, turn] of turns.entries()) {
    const message = toMessage(turn, index);
    if (message instanceof RecordProblem) return message;
    messages.push(message);
  }
  return findTurnProblem(messages) ?? { source: sourceName(record, images, options), images, messages };
}

/** The keys under `image` or `images`: a string, a list of strings, or nothing; without either, those that parts of messages name. */
export function imageKeys(record: RecordFields): string[] | RecordProblem {
  const value = record.image ?? record.images ?? partImages(record.conversations ?? record.messages);
  if (value === undefined || value === null || value === "") return [];
  const keys: unknown[] = Array.isArray(value) ? value : [value];
  for (const key of keys) if (typeof key !== "string" || key === "") return malformed(`image is ${show(key)}, not a path`);
  return keys as string[];
}

/** Images as `{type: "image", image: path}` and `{type: "image_url", image_url: {url: path}}` name them. */
function partImages(turns: unknown): unknown[] {
  const contents = Array.isArray(turns) ? turns.map((turn) => (turn as { content?: unknown } | null)?.content) : [];
  const parts = contents.flatMap((content) => (Array.isArray(content) ? (content as ({ image?: unknown; image_url?: unknown } | null)[]) : []));
  return parts.flatMap((part) => {
    const named = part?.image ?? part?.image_url;
    return named === undefined || named === null ? [] : [(named as { url?: unknown }).url ?? named];
  });
}

/** The id as the input has it, a string or a number; undefined where there is none. */
export function givenId(record: RecordFields): string | undefined {
  const id = record.id ?? record.sample_id;
  if (typeof id === "string" && id !== "") return id;
  return typeof id === "number" && Number.isFinite(id) ? String(id) : undefined;
}

/** An id made from images and messages, the same in whatever form they came. */
export function contentId(sample: Omit<Sample, "sample_id">): string {
  const turns = sample.messages.map(({ role, content }) => [role, content]);
  return `content-${createHash("sha256").update(JSON.stringify([sample.images, turns])).digest("hex").slice(0, 20)}`;
}

function toMessage(turn: unknown, index: number): Message | RecordProblem {
  if (typeof turn !== "object" || turn === null) return malformed(`turn ${index} is ${show(turn)}, not an object`);
  const { from, role, value, content } = turn as Record<string, unknown>;
  const speaker = from ?? role;
  if (typeof speaker !== "string") return malformed(`turn ${index} has no speaker (from or role)`);
  const known = Object.hasOwn(ROLES, speaker) ? ROLES[speaker] : undefined;
  if (!known) return new RecordProblem("unknown_role", `turn ${index} is by ${show(speaker)}`);
  const text = toText(value ?? content);
  return text === undefined ? malformed(`turn ${index} has no text (value or content)`) : { role: known, content: text };
}

/** A string, or the parts of a message: text as it is, an image as its placeholder. */
function toText(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  let text = "";
  for (const part of content as unknown[]) {
    if (typeof part !== "object" || part === null) return undefined;
    const { type, text: own } = part as Record<string, unknown>;
    if (type === "image" || type === "image_url") text += IMAGE_PLACEHOLDER;
    else if (typeof own === "string") text += own;
    else return undefined;
  }
  return text;
}

function findTurnProblem(messages: readonly Message[]): RecordProblem | undefined {
  const turns = messages[0]!.role === "system" ? messages.slice(1) : messages;
  for (const [i, { role }] of turns.entries()) {
    const expected = i % 2 === 0 ? "user" : "assistant";
    if (role !== expected) return new RecordProblem("bad_turn_order", `turn ${i + messages.length - turns.length} is by ${role}, not ${expected}`);
  }
  if (turns.length % 2 !== 0 || turns.length === 0) return new RecordProblem("bad_turn_order", "the last turn is not the assistant's");
  const answered = turns.some(({ role, content }) => role === "assistant" && content.trim() !== "");
  return answered ? undefined : new RecordProblem("empty_answer", "no assistant turn has any text");
}

function sourceName(record: RecordFields, images: readonly string[], options: SourceNameOptions): string {
  const fields = options.source_field === undefined ? SOURCE_FIELDS : [options.source_field];
  for (const field of fields) {
    const value = record[field];
    if (typeof value === "string" || typeof value === "number") return String(value);
  }
  const folders = options.source_from_image_folder ? (images[0]?.split("/") ?? []) : [];
  return folders.length > 1 ? folders[0]! : "";
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > EXCERPT ? `${text.slice(0, EXCERPT)}...` : text;
}
