/**
 * Every column that flows or is stored: name, type, unit, sign, meaning of null. The stored schemas are a
 * contract with readers; `docs/outputs.md` is generated from the descriptions here.
 */
import { Binary, Bool, Field, Float32, Float64, Int32, List, Schema, Struct, Utf8, type DataType } from "apache-arrow";

const item = <T extends DataType>(type: T): List<T> => new List(new Field("item", type, true));
const messageType = () =>
  new Struct<{ role: Utf8; content: Utf8 }>([new Field("role", new Utf8(), true), new Field("content", new Utf8(), true)]);

function column(name: string, type: DataType, description: string, nullable = true): Field {
  return new Field(name, type, nullable, new Map([["description", description]]));
}

/** What a source delivers: one row a sample. */
export const SAMPLE_COLUMNS = [
  column("sample_id", new Utf8(), "The input's id; made from content where the input has none; unique.", false),
  column("source", new Utf8(), 'The data set or task that the sample came from, if the input says; else "".', false),
  column("images", item(new Utf8()), "Paths or keys as in the input; empty for text-only samples.", false),
  column("messages", item(messageType()), "The conversation: role is system, user or assistant; <image> where it stood.", false),
];

/** Added by tokenize and consumed by paired_inference; never stored. */
export const PREPARED_COLUMNS = [
  column("input_ids", item(new Int32()), "The whole sequence after image-token expansion and truncation.", false),
  column("answer_positions", item(new Int32()), "Index into input_ids of each supervised answer token, ascending, all >= 1.", false),
  column("token_text", item(new Utf8()), "Each answer token as it stands in the answer; concatenated they give the answers' text.", false),
  column("num_truncated", new Int32(), "Answer tokens that max_length cut off.", false),
  column("num_unknown", new Int32(), "Answer tokens that the tokenizer does not know.", false),
];

/** Added by paired_inference. `token_nll_blur` is consumed by token_delta. */
export const NLL_COLUMNS = [
  column("token_id", item(new Int32()), "The T supervised answer tokens.", false),
  column("token_nll_image", item(new Float32()), "-ln q(token | text before it, clean image), nats, >= 0; null for text-only samples."),
  column("token_nll_blur", item(new Float32()), "The same with the blurred image, nats, >= 0; null for text-only samples."),
];

/** The images table: one row a view of an image that is used for the first time in its split. */
export const IMAGE_COLUMNS = [
  column("image_key", new Utf8(), "As in the samples' images column.", false),
  column("view", new Int32(), "Which of the model's views of the image, from 0.", false),
  column("width", new Int32(), "Pixels.", false),
  column("height", new Int32(), "Pixels.", false),
  column("source_width", new Int32(), "Of the decoded image that the view was made from, pixels.", false),
  column("source_height", new Int32(), "Pixels.", false),
  column("pixels", new Binary(), "The clean view: height x width x 3 bytes, RGB, row-major, sRGB.", false),
];

/** Added to the images table by blur. */
export const BLUR_COLUMN = column("pixels_blur", new Binary(), "The blurred view, laid out like pixels.", false);

export const samplesSchema = new Schema(SAMPLE_COLUMNS);
export const imagesSchema = new Schema(IMAGE_COLUMNS);

/** `scores/`: one row a sample, in input order. */
export const scoresSchema = new Schema([
  ...SAMPLE_COLUMNS,
  column("num_tokens", new Int32(), "T, the number of supervised answer tokens.", false),
  column("nll_image", new Float64(), "Mean of token_nll_image over the T tokens, nats; null for text-only samples."),
  column("nll_blur", new Float64(), "Mean NLL with the blurred image over the T tokens, nats; null for text-only samples."),
  column("vig", new Float64(), "Sample VIG: mean of token_vig, accumulated in float64, nats; may be negative; null for text-only samples."),
  column("token_id", item(new Int32()), "The T supervised answer tokens.", false),
  column("token_text", item(new Utf8()), "Each answer token as it stands in the answer.", false),
  column("token_nll_image", item(new Float32()), "Nats, >= 0; null for text-only samples."),
  column("token_vig", item(new Float32()), "token_nll_blur - token_nll_image, nats; may be negative; null for text-only samples."),
]);

/** `selection/`: one row a kept sample, in input order. */
export const selectionSchema = new Schema([
  ...SAMPLE_COLUMNS,
  column("vig", new Float64(), "As in scores; null for text-only samples."),
  column("token_id", item(new Int32()), "As in scores.", false),
  column("token_text", item(new Utf8()), "As in scores.", false),
  column("loss_mask", item(new Bool()), "True: the token keeps its loss. As long as token_id.", false),
  column("num_active", new Int32(), "How many of loss_mask are true.", false),
  column("kept_as", new Utf8(), '"vig" or "text_only".', false),
]);

/** `rejects/`: one row a sample that could not be used. */
export const rejectsSchema = new Schema([
  column("sample_id", new Utf8(), "The input's id where one could be read; else its place in the input.", false),
  column("split", new Int32(), "The split it was in.", false),
  column("stage", new Utf8(), "Where it was rejected: source, tokenize, or a configured stage.", false),
  column("code", new Utf8(), "From the closed list of reject codes.", false),
  column("message", new Utf8(), "What was found.", false),
]);
