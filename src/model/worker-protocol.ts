import type { ImageInput, ScorerReport, ScoreStatistics, Sequence, SequenceNlls } from "./contract.ts";
import type { FamilyFolder } from "./families/family.ts";
import type { GraphFile } from "./graph-file.ts";
import type { GraphName } from "./model-config.ts";

/** What a worker needs to open its sessions; plain data. */
export interface WorkerModel {
  readonly model_type: string;
  readonly folder: FamilyFolder;
  readonly graphs: Readonly<Record<GraphName, GraphFile>>;
  readonly device: string;
  readonly max_length: number;
  readonly num_threads: number;
}

/** Vision encoder, embeddings and cut decoder in one graph. */
export interface JoinedGraph {
  readonly path: string;
  readonly external_folder?: string;
  readonly tokens_per_view: number;
  readonly hidden: number;
}

/** The decoder that is loaded: cut to answer rows, or as it is with the reason. */
export type DecoderHead =
  | { readonly kind: "answer_rows"; readonly path: string; readonly external_folder?: string; readonly joined?: JoinedGraph }
  | { readonly kind: "full_logits"; readonly reason: string };

export type ToWorker =
  | { readonly kind: "open"; readonly model: WorkerModel; readonly head: DecoderHead }
  | { readonly kind: "check_head"; readonly model: WorkerModel; readonly target: string }
  | { readonly kind: "score"; readonly id: number; readonly split: number; readonly images: readonly ImageInput[]; readonly sequences: readonly Sequence[] }
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "close_split"; readonly split: number };

/** Errors cross the process boundary as data; `type` names the class to build on the other side. */
export interface ErrorMessage {
  readonly type: "plan" | "stage" | "memory" | "lost_split";
  readonly message: string;
  readonly remedy?: string;
}

export type FromWorker =
  | { readonly kind: "started" }
  | { readonly kind: "opened"; readonly report: ScorerReport }
  | { readonly kind: "checked"; readonly head: DecoderHead; readonly lasting: boolean }
  | { readonly kind: "scored"; readonly id: number; readonly sequences: readonly SequenceNlls[]; readonly statistics: ScoreStatistics }
  | { readonly kind: "failed"; readonly id: number; readonly error: ErrorMessage };
