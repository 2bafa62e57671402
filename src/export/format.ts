import type { SelectedSample } from "./selected-sample.ts";

/** What a format needs to know of the run and of the command. */
export interface FormatContext {
  /** Its files go here. */
  readonly folder: string;
  /** manifest.json of the run. */
  readonly manifest: Readonly<Record<string, unknown>>;
  /** The model's folder; undefined: where the manifest says. */
  readonly model_path: string | undefined;
  /** Folder that image paths are relative to; undefined: not told. */
  readonly image_root: string | undefined;
  /** Put the images' bytes into the files. */
  readonly embed_images: boolean;
  /** 16 hex digits that name what is exported. */
  readonly fingerprint: string;
  readonly tally: ExportTally;
  readonly signal: AbortSignal;
}

/** Rows going into one format, in order. Bounded memory; back-pressure by the promise. */
export interface SelectionWriter {
  write(samples: readonly SelectedSample[]): Promise<void>;
  /** All rows have been written. */
  finish(): Promise<void>;
  /** Frees what is open. Safe after finish. */
  abandon(): Promise<void>;
}

export interface ExportFormat {
  /** For help: what reads it. */
  readonly summary: string;
  /** Whether it can hold the images' bytes. */
  readonly embeds_images?: true;
  open(context: FormatContext): Promise<SelectionWriter>;
}

/** More ids than this are counted only. */
const MAX_IDS = 10;

/** What became of the rows. */
export class ExportTally {
  num_samples = 0;
  num_tokens = 0;
  /** Tokens whose loss mask is true. */
  num_active = 0;
  /** Tokens that a trainer of this format gives a loss: more than num_active where the format can't say it exactly. */
  num_trained = 0;
  /** Samples that could not be written, and the ids of the first of them. */
  num_skipped = 0;
  readonly skipped_ids: string[] = [];

  written(sample: SelectedSample, num_trained = sample.num_active): void {
    this.num_samples++;
    this.num_tokens += sample.token_id.length;
    this.num_active += sample.num_active;
    this.num_trained += num_trained;
  }

  skipped(sample: SelectedSample): void {
    this.num_skipped++;
    if (this.skipped_ids.length < MAX_IDS) this.skipped_ids.push(sample.sample_id);
  }
}
