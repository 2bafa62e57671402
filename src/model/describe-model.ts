import type { ModelDescription, Prepared, ScorerReport } from "./contract.ts";
import type { LoadedModel } from "./load-model.ts";

/**
 * A readable report, one line an entry: the folder's files and their digests, the graphs' inputs and outputs, the
 * execution provider and the head; then, if given, one sample's tokens.
 */
export function describeModel(model: LoadedModel, report: ScorerReport, prepared?: Prepared): string[] {
  const { head, graphs, execution_provider } = report;
  return [
    ...describeFolder(model.description),
    ...model.warnings.map((warning) => `warning: ${warning}`),
    `execution provider: ${execution_provider}`,
    `head: ${head.kind === "answer_rows" ? "answer rows only" : `full logits, since ${head.reason ?? "no reason is known"}`}`,
    ...graphs.flatMap(({ name, inputs, outputs }) => [
      `graph ${name}`,
      ...inputs.map((input) => `  in  ${input}`),
      ...outputs.map((output) => `  out ${output}`),
    ]),
    ...(prepared ? describeTokens(model, prepared) : []),
  ];
}

function describeFolder({ path, model_type, dtype, digests, max_length, template }: ModelDescription): string[] {
  return [
    `model: ${path}`,
    `family ${model_type}, dtype ${dtype}, at most ${max_length} tokens, chat template ${template}`,
    ...Object.entries(digests).map(([name, digest]) => `  ${digest.slice(0, 12)} ${name}`),
  ];
}

/** Runs of one id as long as this are shown as one line. */
const LONG_RUN = 4;

/** One line a token: position, id, text; supervised tokens are marked with `>`. Long runs of one id share a line. */
export function describeTokens(model: LoadedModel, { input_ids, answer_positions, token_text, num_truncated, num_unknown }: Prepared): string[] {
  const answers = new Map(Array.from(answer_positions, (position, i) => [position, token_text[i]!]));
  const texts = model.tokenTexts(input_ids);
  const lines: string[] = [];
  for (let place = 0; place < input_ids.length; ) {
    let end = place + 1;
    while (end < input_ids.length && input_ids[end] === input_ids[place] && !answers.has(end)) end++;
    const isRun = end - place >= LONG_RUN && !answers.has(place);
    if (!isRun) end = place + 1;
    const answer = answers.get(place);
    const text = JSON.stringify(answer ?? texts[place]);
    lines.push(`${answer === undefined ? " " : ">"} ${String(place).padStart(5)} ${String(input_ids[place]).padStart(7)} ${text}${isRun ? ` x ${end - place}` : ""}`);
    place = end;
  }
  const counts = [`${input_ids.length} tokens, ${answer_positions.length} supervised (>)`];
  if (num_truncated > 0) counts.push(`${num_truncated} answer tokens cut off`);
  if (num_unknown > 0) counts.push(`${num_unknown} unknown to the tokenizer`);
  return [...lines, counts.join(", ")];
}
