/** Scores that an analysis needs: the configuration's own run, and runs with something changed, each in its own folder. */
import { randomUUID } from "node:crypto";
import type { PipelineConfig } from "../config/pipeline-config.ts";
import type { SourceChange } from "../core/source.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import { ScoresFolder } from "../report/scores-folder.ts";
import { interruptible } from "./interruption.ts";
import type { CommonOptions, Shell } from "./shell.ts";
import { openView } from "./watch-run.ts";

export interface AnalysisContext {
  readonly shell: Shell;
  readonly options: CommonOptions;
  /** Configuration (YAML). */
  readonly file: string;
}

/** The configuration with overrides added to those of the command line. */
export async function configOf({ shell, options, file }: AnalysisContext, overrides: readonly string[] = []): Promise<PipelineConfig> {
  const { loadConfig } = await import("../config/load-config.ts");
  return (await loadConfig(file, { overrides: [...options.set, ...overrides], environment: shell.env })).config;
}

/** Where the runs of an analysis lie: beside the output folder, never in it. */
export function analysisPath(config: PipelineConfig, name: string): string {
  return `${config.output.path}.analysis/${name.replaceAll(/[^A-Za-z0-9._=+-]/g, "_")}`;
}

/**
 * Scores of a configuration, in `path`. A finished run is read as it is and an interrupted one continued.
 * Throws as runPipeline does.
 */
export async function scoresOf({ shell, options }: AnalysisContext, config: PipelineConfig, path: string, sourceChange?: SourceChange): Promise<ScoresFolder> {
  const [{ buildPlan }, { runPipeline }] = await Promise.all([import("../config/build-plan.ts"), import("../engine/run-pipeline.ts")]);
  const run_id = randomUUID();
  const view = await openView({ shell, options, name: config.name }, run_id);
  view.notice(`scores in ${path}`, { event: "scores_needed", path });
  try {
    const planned = { ...config, output: { ...config.output, path } };
    await interruptible(
      async (signal) => {
        const plan = await unlessAborted(buildPlan(planned, sourceChange ? { sourceChange } : {}), signal);
        await runPipeline(plan, { observer: view, signal, run_id, fresh: false, retry_rejects: false });
      },
      (name) => {
        view.close(); // with the cursor shown again, whatever comes next
        view.notice(`${name}: finishing what is being committed; again to stop at once`);
      },
    );
  } finally {
    view.close();
  }
  return ScoresFolder.open(path);
}
