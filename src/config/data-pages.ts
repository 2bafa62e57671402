/** docs/outputs.md and docs/rejects.md: from the schemas and the list of codes that the program itself uses. */
import type { Field, Schema } from "apache-arrow";
import { rejectsSchema, scoresSchema, selectionSchema } from "../core/columns.ts";
import { REJECT_CODES } from "../core/rejects.ts";
import { GENERATED_NOTE } from "./reference-page.ts";

export function renderOutputsPage(): string {
  return `${GENERATED_NOTE}

# Outputs

\`\`\`
out/select/
  scores/part-00000.parquet ...      one row a sample that was not rejected, in input order
  selection/part-00000.parquet ...   one row a kept sample (selection@30/ ... for each --top value)
  rejects/part-00000.parquet ...     one row a rejected sample
  manifest.json   _SUCCESS           written last, in this order
  report.html                        a page about the run, for people (docs/report.md); not part of the data
\`\`\`

Parquet with 3-level lists, ZSTD by default. Everything else in the folder begins with \`_\` or \`.\` and is the run's own:
journal, lock, splits on their way. Nothing but data ends in \`.parquet\`, so \`out/select/scores/*.parquet\` is safe in any
reader. Columns that a source passes through stand behind the columns here.

tau and the masks are decided from the *stored* values: keep \`vig >= tau\` as float64; active where \`token_vig\`, float32
widened to float64, is \`>= tau\`. So anyone can recompute them exactly:

\`\`\`sql
-- tau of top_percent: 70 = the k-th largest VIG, k = ceil(0.7 * n)
SELECT vig FROM 'out/select/scores/*.parquet' WHERE vig IS NOT NULL
ORDER BY vig DESC LIMIT 1 OFFSET (SELECT ceil(0.7 * count(vig))::BIGINT - 1 FROM 'out/select/scores/*.parquet');
\`\`\`

## scores

${columnTable(scoresSchema)}
A text-only sample has no VIG: its NLL and VIG columns are null.

## selection

${columnTable(selectionSchema)}
\`loss_mask\` is true where a token keeps its loss; a trainer that wants labels sets the others to its ignore index (-100).

## rejects

${columnTable(rejectsSchema)}
The codes are in [rejects](rejects.md).

## manifest.json

| key | meaning |
|---|---|
| \`run_id\`, \`name\`, \`started_at\`, \`finished_at\`, \`duration_ms\`, \`duration_ms_by_phase\` | which run, when, how long |
| \`plan_hash\`, \`scores_hash\`, \`plan\` | sha256 over the canonical plan, over the part of it that changes a score, and the plan itself |
| \`input\` | what was read: files, records, a digest over all records; its configuration under \`source\`, so that images are found again |
| \`model\` | path, digest of every file that changes a number, dtype, template, execution provider |
| \`blur\` | kernel, sigma, where, and how large a view of a 640 x 480 image is |
| \`counts\` | read, scored, text-only, rejected by code, answer tokens, truncated and unknown tokens |
| \`thresholds\` | for each selection: top_percent, tau, k, samples kept, tokens active |
| \`words\` | words with the highest and the lowest mean VIG |
| \`warnings\` | as the run showed them |
| \`files\` | sha256 and size of every Parquet file beside it |
| \`inference\` | processes, time inside session.run, positions, padding |
| \`shards\`, \`spark\` | where they did the scoring: each shard's run, host and time; Spark's version, master and tasks |
| \`versions\` | this tool, Node, libraries that can change a number or a byte |

\`_SUCCESS\` is empty and written last. A folder with \`_SUCCESS\` is complete and matches its manifest.
`;
}

export function renderRejectsPage(): string {
  const rows = Object.entries(REJECT_CODES).map(([code, text]) => {
    const split = text.indexOf(": ");
    return `| \`${code}\` | ${text.slice(0, split)} | ${text.slice(split + 2)} |`;
  });
  return `${GENERATED_NOTE}

# Rejects

A sample that can't be used leaves the stream with a code and a message, and is a row of \`rejects/\`; it never costs
another sample, and it never becomes an empty row. The list is closed: an unknown failure fails the run instead.

Where rejects exceed \`max_reject_fraction\`, the run ends with exit code 3 and writes no \`_SUCCESS\`. After mending the input,
\`pipeline run FILE.yaml --retry-rejects\` scores only the splits that had rejects.

| code | what was found | what to do |
|---|---|---|
${rows.join("\n")}
`;
}

function columnTable(schema: Schema): string {
  const rows = schema.fields.map((field: Field) => {
    const meaning = (field.metadata.get("description") ?? "").replaceAll("|", "\\|").replaceAll("<image>", "`<image>`");
    return `| \`${field.name}\` | ${typeName(String(field.type))}${field.nullable ? ", null" : ""} | ${meaning} |`;
  });
  return `| column | type | meaning |\n|---|---|---|\n${rows.join("\n")}\n`;
}

const TYPE_NAMES: readonly (readonly [string, string])[] = [
  ["Utf8", "string"],
  ["Float64", "double"],
  ["Float32", "float"],
  ["Int32", "int32"],
  ["Bool", "bool"],
  ["List", "list"],
  ["Struct", "struct"],
  ["Binary", "binary"],
];

/** Arrow's name of a type as Parquet readers name it. */
function typeName(arrow: string): string {
  return TYPE_NAMES.reduce((name, [from, to]) => name.replaceAll(from, to), arrow).replaceAll("<{", "<").replaceAll("}>", ">");
}
