import { IMAGE_PLACEHOLDER, type Sample } from "../core/sample.ts";
import { type AnswerSpan, renderConversation } from "./answer-spans.ts";
import type { ChatTemplate } from "./chat-template.ts";
import type { ImageSize, Prepared, PrepareReject } from "./contract.ts";
import type { Family, ImageText } from "./families/family.ts";
import type { TextTokenizer } from "./tokenizer.ts";

export interface PrepareParts {
  readonly tokenizer: TextTokenizer;
  readonly template: ChatTemplate;
  readonly family: Family;
  readonly max_length: number;
}

/**
 * The sample as tokens: rendered, images expanded, cut at max_length, answers found.
 * Rejects: image_without_placeholder, placeholder_without_image, too_many_images, tokenization_mismatch,
 * empty_answer, answer_truncated.
 */
export function prepareSample(sample: Sample, imageSizes: readonly ImageSize[], parts: PrepareParts): Prepared | PrepareReject {
  const { family, template } = parts;
  const problem = countImages(sample, family);
  if (problem) return problem;
  const context = { tokenOf: (id: number) => tokenText(id, parts), num_images: sample.images.length };
  const images: ImageText[] = [];
  for (let i = 0; i < sample.images.length; i++) {
    const text = family.imageText(imageSizes[i], context);
    if ("code" in text) return text;
    images.push(text);
  }
  const rendered = renderConversation(sample.messages, template, (text) => encodeWithImages(text, images, parts));
  if ("code" in rendered) return rendered;
  if (rendered.spans.length === 0) return { code: "empty_answer", message: "no assistant turn has any token" };
  const runs = images.flatMap((image) => image.runs);
  const numRuns = rendered.ids.reduce((sum, id) => sum + (id === family.image_token_id ? 1 : 0), 0);
  if (numRuns !== runs.length) {
    return {
      code: numRuns > runs.length ? "placeholder_without_image" : "image_without_placeholder",
      message: `the rendered text shows ${numRuns} image tokens where its images make ${runs.length}`,
    };
  }
  return cutAndCount(rendered.ids, rendered.spans, runs, parts);
}

function countImages({ images, messages }: Sample, { max_images }: Family): PrepareReject | undefined {
  const shown = messages.findIndex(({ role, content }) => role === "assistant" && content.includes(IMAGE_PLACEHOLDER));
  // An image's place in an answer would be scored as if the model had to write it.
  if (shown >= 0) return { code: "placeholder_without_image", message: `turn ${shown + 1}, an answer, has an <image> placeholder: images stand in questions` };
  const placeholders = messages.reduce((sum, { content }) => sum + content.split(IMAGE_PLACEHOLDER).length - 1, 0);
  const found = `${placeholders} <image> placeholders, ${images.length} images`;
  if (placeholders < images.length) return { code: "image_without_placeholder", message: found };
  if (placeholders > images.length) return { code: "placeholder_without_image", message: found };
  if (images.length > max_images) {
    return { code: "too_many_images", message: `${images.length} images, the model takes ${max_images}` };
  }
  return undefined;
}

/** What the template writes where an image stands. */
export function placeholderOf(family: Family, tokenizer: TextTokenizer): string {
  return tokenizer.tokenOf(family.placeholder_id ?? family.image_token_id) ?? IMAGE_PLACEHOLDER;
}

/** A token as text; `<image>` for an image token that the vocabulary lacks. */
function tokenText(id: number, { tokenizer, family }: PrepareParts): string | undefined {
  return tokenizer.tokenOf(id) ?? (id === family.image_token_id ? IMAGE_PLACEHOLDER : undefined);
}

/** The text's ids, each placeholder replaced by its image's text; an image token stands for its whole run. */
function encodeWithImages(text: string, images: readonly ImageText[], parts: PrepareParts): number[] {
  const { tokenizer, family, template } = parts;
  const placeholder = placeholderOf(family, tokenizer);
  const pieces = text.split(placeholder);
  let expanded = pieces[0]!;
  for (let i = 1; i < pieces.length; i++) expanded += (images[i - 1]?.text ?? placeholder) + pieces[i]!;
  const encodeFirst = template.writes_beginning ? tokenizer.encode : tokenizer.encodeSequence;
  if (tokenizer.tokenOf(family.image_token_id) !== undefined) return encodeFirst(expanded);
  const ids: number[] = [];
  expanded.split(IMAGE_PLACEHOLDER).forEach((piece, i) => {
    if (i > 0) ids.push(family.image_token_id);
    ids.push(...(i === 0 ? encodeFirst(piece) : tokenizer.encode(piece)));
  });
  return ids;
}

function cutAndCount(ids: readonly number[], spans: readonly AnswerSpan[], runs: readonly number[], parts: PrepareParts): Prepared | PrepareReject {
  const { tokenizer, family, max_length } = parts;
  const places = placesAfterExpansion(ids, runs, family.image_token_id);
  const length = places[ids.length]!;
  const expanded = new Int32Array(Math.min(length, max_length));
  ids.forEach((id, i) => {
    for (let place = places[i]!; place < places[i + 1]! && place < max_length; place++) expanded[place] = id;
  });
  const positions: number[] = [];
  const texts: string[] = [];
  let numTruncated = 0;
  let numUnknown = 0;
  for (const span of spans) {
    const answerIds = ids.slice(span.start, span.end);
    const kept = answerIds.filter((_, i) => places[span.start + i]! < max_length).length;
    numTruncated += answerIds.length - kept;
    if (kept === 0) continue;
    texts.push(...answerTexts(ids, span, tokenizer).slice(0, kept));
    for (let i = 0; i < kept; i++) {
      positions.push(places[span.start + i]!);
      if (answerIds[i] === tokenizer.unknown_id) numUnknown++;
    }
  }
  if (positions.length === 0) {
    return { code: "answer_truncated", message: `the answer begins behind max_length ${max_length}; the sample has ${length} tokens` };
  }
  return {
    input_ids: expanded,
    answer_positions: Int32Array.from(positions),
    token_text: texts,
    num_truncated: numTruncated,
    num_unknown: numUnknown,
  };
}

/** Where each id begins once image runs are written out; one more entry holds the total length. */
function placesAfterExpansion(ids: readonly number[], runs: readonly number[], imageToken: number): Int32Array {
  const places = new Int32Array(ids.length + 1);
  let run = 0;
  ids.forEach((id, i) => {
    places[i + 1] = places[i]! + (id === imageToken ? runs[run++]! : 1);
  });
  return places;
}

/** The span's pieces, without the space that the template puts between its header and the answer. */
function answerTexts(ids: readonly number[], span: AnswerSpan, tokenizer: TextTokenizer): string[] {
  const pieces = tokenizer.pieces(ids.slice(span.start, span.end), ids.slice(Math.max(0, span.start - 8), span.start));
  if (/^\s/.test(span.answer)) return pieces;
  for (let i = 0; i < pieces.length; i++) {
    pieces[i] = pieces[i]!.trimStart();
    if (pieces[i] !== "") break;
  }
  return pieces;
}
