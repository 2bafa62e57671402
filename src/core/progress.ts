/**
 * What a run tells whoever watches it. The engine reports; the command line turns reports into a progress bar or
 * into log lines. Reporting is free of side effects on the run: an observer returns at once and never throws.
 */

/**
 * `scan`: the input's splits are found; `check`: images of committed splits are read again; `load`: model and workers start; `score`: splits are scored and committed;
 * `publish`: scores become parts that readers like; `select`: threshold, masks and selections are made.
 */
export type Phase = "scan" | "check" | "load" | "score" | "publish" | "select";

export type ProgressEvent =
  | {
      readonly event: "phase_started";
      readonly phase: Phase;
      /** Records that the phase will handle, where known: all of them, also those that are done already. */
      readonly num_records?: number;
      /** Of these, the ones that an earlier run committed. */
      readonly num_records_done?: number;
    }
  | { readonly event: "phase_finished"; readonly phase: Phase; readonly duration_ms: number }
  | {
      /** A batch left the last stage: keeps the bar moving between commits. Repeated if its split is tried again. */
      readonly event: "batch_scored";
      readonly num_samples: number;
      readonly num_tokens: number;
    }
  | {
      readonly event: "split_committed";
      readonly split: number;
      readonly num_records: number;
      readonly num_scored: number;
      readonly num_text_only: number;
      readonly num_tokens: number;
      readonly rejects_by_code: Readonly<Record<string, number>>;
      readonly duration_ms: number;
    }
  /** Something a user should see, once for each code and message; nothing was lost. */
  | { readonly event: "warning"; readonly code: WarningCode; readonly message: string };

/** Kinds of warnings, so that a monitor can count or silence one kind. */
export type WarningCode =
  | "tau_near_zero"
  | "unknown_tokens"
  | "truncated_tokens"
  | "model"
  | "worker_restarted"
  | "split_retried"
  | "part_damaged"
  | "images_changed"
  | "images_unknown"
  | "rejects"
  | "report"
  | "configuration";

export interface RunObserver {
  report(event: ProgressEvent): void;
}

export const silentObserver: RunObserver = { report: () => undefined };
