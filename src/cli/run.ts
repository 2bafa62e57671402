import { residentBytes } from "./process-memory.ts";
import type { SourceConfig } from "../config/pipeline-config.ts";
import type { CommonOptions } from "./shell.ts";
import { overridesOf, type ThreadsOption, type Verb, withConfigOptions, withExamples, withThreads } from "./verb.ts";
import { watchRun } from "./watch-run.ts";

interface RunVerbOptions extends CommonOptions, ThreadsOption {
  readonly fresh: boolean;
  readonly retryRejects: boolean;
  readonly metricsFile?: string;
  readonly openlineage?: string;
  readonly report: boolean;
}

export const runVerb: Verb<RunVerbOptions> = {
  logs: true,
  declare(program) {
    const command = program
      .command("run")
      .argument("<file>", "configuration (YAML)")
      .summary("score and select; continues an interrupted run by itself")
      .description(
        "Scores every answer token with the clean and the blurred image, finds the threshold, and writes scores,\n" +
          "selection, rejects and manifest. An interrupted run is continued; a finished one is left as it is.",
      );
    withThreads(withConfigOptions(command))
      .option("--fresh", "start over: remove scores that another configuration made", false)
      .option("--retry-rejects", "try rejected samples again", false)
      .option("--no-report", "don't write report.html (also: output.report in the configuration)")
      .option("--metrics-file <path>", "write the outcome for Prometheus's textfile collector")
      .option("--openlineage <url or file>", "send OpenLineage events: post them to an address, or append them to a file");
    return withExamples(command, [
      "pipeline run pipelines/select.yaml",
      "pipeline run pipelines/select.yaml --set blur.sigma_px=8 --set output.path=out/sigma8",
      "pipeline run pipelines/select.yaml --log-format json --metrics-file /var/lib/node_exporter/vig.prom 2>> run.log",
    ]);
  },
  async run(shell, options, [file]) {
    const [{ loadConfig }, { buildPlan }, { runPipeline }, { RunReporter }] = await Promise.all([
      import("../config/load-config.ts"),
      import("../config/build-plan.ts"),
      import("../engine/run-pipeline.ts"),
      import("./run-reporter.ts"),
    ]);
    const { config } = await loadConfig(file!, { overrides: overridesOf(options), environment: shell.env });
    const lineage = { inputs: inputsOf(config.source), output: config.output.path };
    return watchRun({ shell, options, configFile: file!, name: config.name, lineage }, async (handles) => {
      const reporter = new RunReporter(handles, residentBytes);
      const plan = await buildPlan(config);
      const summary = await runPipeline(plan, { ...handles, observer: reporter.observer, fresh: options.fresh, retry_rejects: options.retryRejects });
      if (options.report && config.output.report) await reporter.write(summary, plan.source);
      return summary;
    });
  },
};

/** Paths and globs of the data that the source reads. */
function inputsOf(source: SourceConfig): string[] {
  return [source.kind === "llava_json" ? source.annotations : source.kind === "parquet" ? source.files : source.shards].flat();
}
