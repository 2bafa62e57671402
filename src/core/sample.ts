export type Role = "system" | "user" | "assistant";

/** One turn of a conversation. `<image>` stands in `content` where an image is shown. */
export interface Message {
  readonly role: Role;
  readonly content: string;
}

/** One input row, as every source delivers it. */
export interface Sample {
  /** Unique over the whole data set; made from content where the input has none. */
  readonly sample_id: string;
  /** The data set or task it came from, or "". */
  readonly source: string;
  /** Paths or keys as in the input, in the order of their placeholders; empty for text-only samples. */
  readonly images: readonly string[];
  readonly messages: readonly Message[];
}

/** The text that stands for an image in a message's content. */
export const IMAGE_PLACEHOLDER = "<image>";
