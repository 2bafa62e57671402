import type { CommonOptions } from "./shell.ts";
import { formatBytes } from "./format-numbers.ts";
import { interruptible } from "./interruption.ts";
import { shortPath } from "./summary.ts";
import { type Verb, withCommonOptions, withExamples } from "./verb.ts";

interface ReportVerbOptions extends CommonOptions {
  readonly output?: string;
  readonly sample?: readonly string[];
}

export const reportVerb: Verb<ReportVerbOptions> = {
  declare(program) {
    const command = program
      .command("report")
      .argument("<folder>", "output folder of a run that has ended")
      .summary("one self-contained HTML file about a finished run")
      .description(
        "Writes report.html into the output folder: thresholds, sources, tokens, words, contradictions, rejects and cost.\n" +
          "The file needs no network and stays below 5 MB. `pipeline run` writes it by itself.",
      );
    withCommonOptions(command).option("-o, --output <file>", "write it there instead").option("-s, --sample <id...>", "samples that the page must show, by sample_id: it has room for some hundreds");
    return withExamples(command, ["pipeline report out/select", "pipeline report out/select -o report.html", "pipeline report out/select --sample caption-0041 count-0008 -o two.html"]);
  },
  async run(shell, options, [folder]) {
    const [{ writeReport }, { openRecordedSource }] = await Promise.all([import("../report/write-report.ts"), import("../config/recorded-source.ts")]);
    const { output: file, sample: samples } = options;
    const asked = { outputPath: folder!, openSource: openRecordedSource, ...(samples === undefined ? {} : { samples }), ...(file === undefined ? {} : { file }) };
    const written = await interruptible((signal) => writeReport({ ...asked, signal }), () => undefined);
    if (!options.quiet) shell.stdout.write(`${shortPath(written.path)}  ${formatBytes(written.num_bytes)}\n`);
    return 0;
  },
};
