/**
 * The closed list of reasons why one sample can't be used, each with its remedy. `docs/rejects.md` is generated
 * from it. Rejects are made only for causes listed here: an unknown failure fails the run.
 */
export const REJECT_CODES = {
  malformed_record: "The record is not valid JSON or lacks the shape of a sample: fix it at the offset in the message.",
  duplicate_id: "An earlier sample has the same id: give each its own.",
  unknown_role: "A turn's speaker is none of human, user, gpt, assistant, system: rename it.",
  bad_turn_order: "User and assistant turns must alternate, beginning with the user and ending with the assistant: reorder or drop turns.",
  empty_answer: "No assistant turn has any text: there is nothing to score.",
  image_without_placeholder: "More images than <image> placeholders: add a placeholder or drop the image.",
  placeholder_without_image: "More <image> placeholders than images, or one in an answer: add the image or drop the placeholder.",
  too_many_images: "The model's family takes fewer images in one sample: split the sample or use another model.",
  image_not_found: "The image file does not exist under image_root: restore it or correct the path.",
  image_path_outside_root: "The image path leaves image_root (.., absolute, URL or link): move the image inside.",
  image_corrupt: "The image can't be decoded (truncated, empty or damaged): restore the file.",
  image_unsupported_format: "Only JPEG, PNG, WebP and GIF are read: convert the image.",
  image_too_large: "The image exceeds the pixel or byte limit: shrink it or raise the limit in the decode stage.",
  tokenization_mismatch: "The chat template does not render the turns as prefixes of each other, so the answer's tokens can't be found: simplify the turn or use another template.",
  answer_truncated: "The answer lies wholly behind max_length: raise it or shorten the sample.",
  sample_too_long: "One sample needs more than the memory of a batch allows: lower max_length or raise max_batch_tokens.",
  non_finite_nll: "The model gave NaN or infinite log-probabilities: check the export, or use dtype fp32.",
  malformed_archive_entry: "The archive entry has a hostile name or lacks its pair: repack it.",
  rejected_by_module: "A stage of your own refused the sample: its message says why.",
} as const satisfies Record<string, string>;

export type RejectCode = keyof typeof REJECT_CODES;

/** One sample that left the stream. */
export interface Reject {
  readonly sample_id: string;
  readonly code: RejectCode;
  /** What was found, with names and numbers; never image or conversation content beyond a short excerpt. */
  readonly message: string;
}

/** A reject together with where it happened, as it is written to `rejects/`. */
export interface PlacedReject extends Reject {
  readonly split: number;
  readonly stage: string;
}
