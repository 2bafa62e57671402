/**
 * A run's events for data catalogues, as OpenLineage has them (specification 2-0-2, RunEvent): START, then COMPLETE, FAIL or
 * ABORT, appended to a file as JSON lines or posted to an HTTP address. A catalogue that can't be reached never costs a run.
 */
import { constants } from "node:fs";
import { appendFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { InterruptedError } from "../core/errors.ts";
import type { RunSummary } from "../core/plan.ts";
import { toolVersion } from "./tool-version.ts";

const SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const FACETS = "https://openlineage.io/spec/facets";
const PRODUCER = `urn:vig-pipeline:${toolVersion()}`;
/** A catalogue that answers later is not waited for. */
const TIMEOUT_MS = 5_000;
/** A named pipe that nobody reads is an error, and not waited for. */
const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | (constants.O_NONBLOCK ?? 0);

export interface LineageJob {
  readonly name: string;
  readonly run_id: string;
  /** Paths or globs that the source reads. */
  readonly inputs: readonly string[];
  /** The output folder. */
  readonly output: string;
}

type EventType = "START" | "COMPLETE" | "FAIL" | "ABORT";

export class OpenLineage {
  readonly #target: string;
  readonly #job: LineageJob;
  readonly #onProblem: (message: string) => void;
  /** Events leave one behind the other. */
  #sent: Promise<void>;

  /** Sends START. `target`: an http or https address, or a file. `onProblem` is told what could not be sent. */
  constructor(target: string, job: LineageJob, onProblem: (message: string) => void) {
    this.#target = target;
    this.#job = job;
    this.#onProblem = onProblem;
    this.#sent = this.#send(event("START", job));
  }

  /** Sends how the run ended; settles when it was sent or could not be. */
  async ended(outcome: { readonly summary: RunSummary } | { readonly error: unknown }): Promise<void> {
    const last = "summary" in outcome ? completed(this.#job, outcome.summary) : failed(this.#job, outcome.error);
    this.#sent = this.#sent.then(() => this.#send(last));
    await this.#sent;
  }

  async #send(content: object): Promise<void> {
    try {
      if (!/^https?:\/\//.test(this.#target)) return await appendFile(this.#target, `${JSON.stringify(content)}\n`, { flag: APPEND });
      const response = await fetch(this.#target, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(content),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!response.ok) throw new Error(`it answered ${response.status}`);
    } catch (error) {
      this.#onProblem(`no OpenLineage event could be sent to ${this.#target}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

function completed(job: LineageJob, summary: RunSummary): object {
  if (!summary.success) return failed(job, new Error(`${summary.counts.num_rejected} of ${summary.counts.num_read} samples were rejected, more than max_reject_fraction`));
  const rows: Record<string, number> = { scores: summary.counts.num_scored + summary.counts.num_text_only };
  for (const { target, counts } of summary.selections) rows[target.dataset] = counts.num_kept_vig + counts.num_text_only;
  const outputs = Object.entries(rows).map(([name, rowCount]) => ({
    ...dataset(path.join(job.output, name)),
    outputFacets: { outputStatistics: { ...facet("1-0-2/OutputStatisticsOutputDatasetFacet"), rowCount } },
  }));
  return { ...event("COMPLETE", job), outputs };
}

function failed(job: LineageJob, error: unknown): object {
  const message = error instanceof Error ? error.message : String(error);
  const started = event(error instanceof InterruptedError ? "ABORT" : "FAIL", job);
  const errorMessage = { ...facet("1-0-1/ErrorMessageRunFacet"), message, programmingLanguage: "TypeScript" };
  return { ...started, run: { ...started.run, facets: { ...started.run.facets, errorMessage } } };
}

function event(eventType: EventType, { name, run_id, inputs, output }: LineageJob) {
  return {
    eventType,
    eventTime: new Date().toISOString(),
    producer: PRODUCER,
    schemaURL: SCHEMA,
    run: { runId: run_id, facets: { processing_engine: { ...facet("1-1-1/ProcessingEngineRunFacet"), name: "vig-pipeline", version: toolVersion() } } },
    job: { namespace: "vig-pipeline", name, facets: {} },
    inputs: inputs.map(dataset),
    outputs: [dataset(path.join(output, "scores"))],
  };
}

const facet = (schema: string) => ({ _producer: PRODUCER, _schemaURL: `${FACETS}/${schema}.json` });

/** Files are named as OpenLineage names them: namespace `file`, and the absolute path. */
function dataset(file: string) {
  return { namespace: "file", name: decodeURIComponent(pathToFileURL(file).pathname), facets: {} };
}
