import { Option } from "commander";
import { EXIT_CODE } from "../core/errors.ts";
import type { ExportSummary } from "../export/export-selection.ts";
import type { ExportTally } from "../export/format.ts";
import type { FormatName } from "../export/formats.ts";
import { type Colors, colorsFor } from "./colors.ts";
import { formatCount, formatShare } from "./format-numbers.ts";
import { interruptible } from "./interruption.ts";
import { type CommonOptions, logStyle, type Shell } from "./shell.ts";
import { shortPath } from "./summary.ts";
import { type Verb, withCommonOptions, withExamples } from "./verb.ts";

interface ExportVerbOptions extends CommonOptions {
  readonly to: FormatName;
  readonly dataset: string;
  readonly out?: string;
  readonly model?: string;
  readonly imageRoot?: string;
  readonly images: boolean;
}

/** As src/export/formats.ts has them; written out so that help stays quick. A test holds the two together. */
export const EXPORT_FORMATS: readonly FormatName[] = ["llava-json", "llamafactory", "swift-jsonl", "hf-parquet", "jsonl"];

const PROGRESS_MS = 5_000;

export const exportVerb: Verb<ExportVerbOptions> = {
  declare(program) {
    const command = program
      .command("export")
      .argument("<out-dir>", "output folder of a finished run")
      .summary("write a selection in the format of a trainer")
      .description(
        "Writes a selection so that a trainer reads it with its masks (docs/trainers.md):\n" +
          "  llava-json    LLaVA's train.py: its JSON, with loss_mask spans in every answer\n" +
          "  llamafactory  LLaMA-Factory's tokenized_path\n" +
          "  swift-jsonl   ms-swift: messages with loss\n" +
          "  hf-parquet    TRL, transformers, Hugging Face datasets: input_ids, labels, images\n" +
          "  jsonl         anything else: token ids, mask, spans of the active words",
      );
    withCommonOptions(command)
      .addOption(new Option("--to <format>", "which format").choices([...EXPORT_FORMATS]).makeOptionMandatory())
      .option("--dataset <name>", "which selection: selection, selection@30, ...", "selection")
      .option("--out <dir>", "folder to write (default: export/FORMAT in the output folder)")
      .option("--model <dir>", "the run's model folder, where it has moved (llamafactory, hf-parquet, swift-jsonl)")
      .option("--image-root <dir>", "folder that the image paths are relative to; put in front of them")
      .option("--images", "put the images' bytes into the files (llamafactory, hf-parquet)", false);
    return withExamples(command, [
      "pipeline export out/select --to llava-json",
      "pipeline export out/select --to llamafactory --image-root data/demo/images",
      "pipeline export out/select --to hf-parquet --images --image-root data/demo/images --dataset selection@30 --out /data/vig30",
    ]);
  },
  async run(shell, options, [out_dir]) {
    const { exportSelection } = await import("../export/export-selection.ts");
    const { to: format, dataset, out: target, model: model_path, imageRoot: image_root, images: embed_images } = options;
    const summary = await interruptible(
      (signal) => exportSelection({ out_dir: out_dir!, format, dataset, target, model_path, image_root, embed_images, signal, onProgress: progress(shell, options) }),
      () => undefined,
    );
    if (logStyle(shell, options) === "json" && options.logFormat === "json") shell.stdout.write(`${JSON.stringify({ path: summary.path, format, dataset, ...summary.tally })}\n`);
    else if (!options.quiet) shell.stdout.write(renderExport(summary, colorsFor(shell.stdout, shell, options)));
    return EXIT_CODE.done;
  },
};

function progress(shell: Shell, options: CommonOptions): (tally: ExportTally) => void {
  let next = performance.now() + PROGRESS_MS;
  return ({ num_samples }) => {
    if (options.quiet || performance.now() < next) return;
    next = performance.now() + PROGRESS_MS;
    if (logStyle(shell, options) === "json") shell.stderr.write(`${JSON.stringify({ level: "info", event: "export_progress", time: new Date().toISOString(), num_samples })}\n`);
    else shell.stderr.write(`${formatCount(num_samples)} samples\n`);
  };
}

function renderExport({ path, tally }: ExportSummary, colors: Colors): string {
  const { num_samples, num_tokens, num_active, num_trained, num_skipped, skipped_ids } = tally;
  const lines = [
    `${colors.green("exported")} ${formatCount(num_samples)} samples, ${formatCount(num_active)} of ${formatCount(num_tokens)} answer tokens active (${formatShare(num_active, num_tokens)})`,
  ];
  if (num_trained !== num_active) {
    lines.push(`${colors.yellow("note")} this format trains ${formatCount(num_trained)} tokens (${formatShare(num_trained, num_tokens)}): it can't mask the others without changing the tokens`);
  }
  if (num_skipped > 0) {
    const more = num_skipped > skipped_ids.length ? ", ..." : "";
    lines.push(`${colors.yellow("warning")} ${formatCount(num_skipped)} samples left out, whose tokens' text is not that of their answers: ${skipped_ids.join(", ")}${more}`);
  }
  return `${lines.join("\n")}\n  ${shortPath(path)}\n`;
}
