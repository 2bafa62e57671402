/**
 * What the rest of the project knows of a model. Families, tokenizers, ONNX graphs and processes stay behind it.
 */
import type { Reject } from "../core/rejects.ts";
import type { Sample } from "../core/sample.ts";

/** Pixels, after EXIF orientation where that is applied. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** One pixel operation; resize kernels are named as Pillow names them. Coordinates are pixels of the step's input. */
export type PixelStep =
  | { readonly op: "resize"; readonly width: number; readonly height: number; readonly kernel: "nearest" | "bilinear" | "bicubic" | "lanczos" }
  | { readonly op: "crop"; readonly left: number; readonly top: number; readonly width: number; readonly height: number }
  | { readonly op: "pad"; readonly left: number; readonly top: number; readonly right: number; readonly bottom: number; readonly color: readonly [number, number, number] };

/** The steps from a decoded image to one view: what the model sees before rescaling, normalising and tiling. */
export interface ViewPlan {
  readonly steps: readonly PixelStep[];
  /** Size after the last step. */
  readonly size: ImageSize;
}

/** A sample as a sequence of tokens. */
export interface Prepared {
  /** The whole sequence after image-token expansion and truncation. */
  readonly input_ids: Int32Array;
  /** Index into input_ids of each supervised answer token, ascending; never 0. Hidden row p - 1 predicts position p. */
  readonly answer_positions: Int32Array;
  /** Each answer token as it stands in the answer. A character split over several tokens is on the last of them. */
  readonly token_text: readonly string[];
  /** Answer tokens that truncation cut off. */
  readonly num_truncated: number;
  /** Answer tokens that the tokenizer does not know (its unk token). */
  readonly num_unknown: number;
}

export type PrepareReject = Pick<Reject, "code" | "message">;

/** One view of one image, clean and blurred: RGB uint8, height x width x 3, row-major. */
export interface ViewPixels extends ImageSize {
  readonly pixels: Uint8Array;
  readonly pixels_blur: Uint8Array;
}

/** An image that the scorer has not seen in this split. */
export interface ImageInput {
  readonly key: string;
  /** How many sequences of the split will show it: its features are freed after the last. */
  readonly uses: number;
  /** Of the decoded image; only families that cut tiles need it. */
  readonly source_size?: ImageSize;
  readonly views: readonly ViewPixels[];
}

export interface Sequence {
  readonly input_ids: Int32Array;
  readonly answer_positions: Int32Array;
  /** Keys in the order of their placeholders; each was in this or an earlier request of the split. */
  readonly images: readonly string[];
}

export interface ScoreRequest {
  /** SplitScope.sequence. Requests of one split go to one worker, in order: worker sequence % num_workers. */
  readonly split: number;
  readonly images: readonly ImageInput[];
  readonly sequences: readonly Sequence[];
}

export interface SequenceNlls {
  /** [T] nats, one for each of answer_positions: -ln q with the clean image. May hold NaN or Infinity: the caller rejects. */
  readonly nll_image: Float32Array;
  /** [T] the same with the blurred image in its place. */
  readonly nll_blur: Float32Array;
}

/** What a worker did, for the run summary and the benchmarks. */
export interface ScoreStatistics {
  /** Milliseconds inside session.run: on a device its arithmetic and the copies to it and back. */
  readonly session_ms: number;
  /** Milliseconds of the worker's own work between two runs: pixels to floats, placing image features. */
  readonly host_ms: number;
  /** Milliseconds that the worker waited for this request: near 0 where decoding and blurring keep up. */
  readonly idle_ms: number;
  /** Positions fed to the decoder, padding included, both variants. */
  readonly num_positions: number;
  readonly num_padding: number;
}

export interface ScoreResponse {
  readonly sequences: readonly SequenceNlls[];
  readonly statistics: ScoreStatistics;
}

export interface ScorerOptions {
  /** Worker processes; each owns one session. */
  readonly num_workers: number;
  /** Intra-op threads of each worker. */
  readonly num_threads: number;
  /** "cpu", "cuda", "cuda:1", "webgpu"; worker i takes devices[i % length]. */
  readonly devices: readonly string[];
}

/** Where the nodes of one graph ran. Index arithmetic on the host is as it should be. */
export interface PlacedNodes {
  readonly graph: string;
  readonly device: string;
  readonly num_on_device: number;
  readonly num_on_host: number;
  /** Operators on the host that touch floats, each once. */
  readonly host_operators: readonly string[];
}

/** Graph inputs and outputs, provider and head of a loaded model, as `pipeline doctor` and the manifest print them. */
export interface ScorerReport {
  readonly execution_provider: string;
  /** "answer_rows": log-probabilities of answer tokens only; "full_logits": the graph could not be cut, see reason. */
  readonly head: { readonly kind: "answer_rows" | "full_logits"; readonly reason?: string };
  /** Of graphs on a device, as onnxruntime recorded one run; empty on the CPU. */
  readonly placement: readonly PlacedNodes[];
  readonly graphs: readonly { readonly name: string; readonly inputs: readonly string[]; readonly outputs: readonly string[] }[];
}

export interface Scorer {
  readonly report: ScorerReport;
  /**
   * NLLs of every sequence, with the clean and the blurred image, in the order given.
   * Both variants run in one batch with one padding, since VIG is their difference (method, "Definitions").
   * Throws StageError where the model can't run it; a worker that dies is started again and the error says so.
   */
  score(request: ScoreRequest, signal: AbortSignal): Promise<ScoreResponse>;
  /** Frees what the split's worker still holds for it. */
  closeSplit(split: number): Promise<void>;
  close(): Promise<void>;
}

export interface ModelDescription {
  readonly path: string;
  readonly model_type: string;
  readonly dtype: string;
  /** File name under the model folder -> sha256 (hex). Every file that changes a number is here. */
  readonly digests: Readonly<Record<string, string>>;
  readonly max_length: number;
  readonly template: string;
}

/** A model folder that has been read and checked; no session yet, no process. */
export interface Model {
  readonly description: ModelDescription;
  /** Warnings a user should see once (unsupported features, missing templates). */
  readonly warnings: readonly string[];
  /** Whether `prepare` needs the sizes of the images (families whose token count depends on them). */
  readonly needs_image_sizes: boolean;
  /** Tokens of a sample. `image_sizes` is empty unless needs_image_sizes. */
  prepare(sample: Sample, image_sizes: readonly ImageSize[]): Prepared | PrepareReject;
  /** The views that an image of this size is turned into. */
  views(size: ImageSize): readonly ViewPlan[];
  /** Starts the workers and loads the graphs. */
  openScorer(options: ScorerOptions, signal: AbortSignal): Promise<Scorer>;
}
