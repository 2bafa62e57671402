import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, test } from "vitest";
import { NO_COLORS } from "../../src/cli/colors.ts";
import { renderMetrics, writeMetricsFile } from "../../src/cli/metrics-file.ts";
import { renderSummary } from "../../src/cli/summary.ts";
import type { RunSummary } from "../../src/core/plan.ts";

const summary: RunSummary = {
  run_id: "r",
  output_path: path.join(process.cwd(), "out", "select"),
  up_to_date: false,
  success: true,
  num_splits: 5,
  num_splits_reused: 0,
  counts: {
    num_read: 1280,
    num_scored: 1150,
    num_text_only: 120,
    num_rejected: 10,
    rejects_by_code: { image_corrupt: 3, image_not_found: 7 },
    num_tokens: 12_800,
    num_truncated_tokens: 0,
    num_unknown_tokens: 0,
  },
  selections: [
    {
      target: { dataset: "selection", top_percent: 70, tau: null },
      tau: 0.01234,
      k: 805,
      counts: { num_vig: 1150, num_text_only: 120, num_kept_vig: 805, num_ties: 1, num_tokens: 12_800, num_vig_tokens: 11_500, num_active: 4650, num_vig_active: 3450, near_zero: null },
    },
  ],
  words: { highest: [{ word: "teal", mean_vig: 5.4321, count: 212 }, { word: "evil\u001b[2J", mean_vig: 5, count: 10 }], lowest: [{ word: "the", mean_vig: -0.0213, count: 3120 }] },
  warnings: [],
  duration_ms: 41_200,
  duration_ms_by_phase: {},
};
const context = { name: "select", configFile: "pipelines/select.yaml", colors: NO_COLORS, width: 100, hasReport: false };

test("says how much of the inference processes' time was the model's", () => {
  expect(renderSummary(summary, context)).not.toContain("inference");
  const inference = { num_processes: 2, session_ms: 9000, host_ms: 500, idle_ms: 500, num_positions: 10, num_padding: 0 };
  expect(renderSummary({ ...summary, inference }, context)).toMatch(/inference +90.*% inside the model \(9.0 s\), 5.*% preparing its inputs, 5.*% without work; 2 process/);
});

describe("renderSummary", () => {
  it("points at the report where there is one", () => {
    expect(renderSummary(summary, { ...context, hasReport: true })).toMatch(/^report {7}out\/select\/report\.html /m);
    expect(renderSummary(summary, context)).not.toContain("report.html");
  });

  it("says what went in, what came out, and what to try next", () => {
    expect(renderSummary(summary, context)).toBe(`done select in 41 s

samples      1,280 read, 1,150 scored, 120 text-only, 10 rejected
tau          0.0123 nats (top 70 percent): 30.0 % of answer tokens active
kept         805 of 1,150 samples with an image, and 120 text-only samples whole
active       4,650 of 12,800 answer tokens keep their loss
rejects      7 image_not_found  The image file does not exist under image_root: restore it or correct the path.
             3 image_corrupt  The image can't be decoded (truncated, empty or damaged): restore the file.
words        highest mean VIG (nats, count)    lowest
             teal              5.432 x212      the             -0.0213 x3,120
             evil\ufffd[2J          5.000 x10
output       out/select/  scores, selection, rejects, manifest.json, _SUCCESS

try next
  duckdb -c "SELECT source, count(*) AS n, avg(vig) AS mean_vig FROM 'out/select/scores/*.parquet' GROUP BY source ORDER BY mean_vig DESC"
  npx pipeline select pipelines/select.yaml --top 30,50
`);
  });

  it("puts the words below each other where the terminal is narrow", () => {
    const lines = renderSummary(summary, { ...context, width: 60 }).split("\n");
    const words = lines.slice(lines.findIndex((line) => line.startsWith("words")), lines.findIndex((line) => line.startsWith("output")));
    expect(words).toHaveLength(5);
    for (const line of words) expect(line.length).toBeLessThanOrEqual(60);
  });

  it("says plainly that nothing was done, or that no _SUCCESS was written", () => {
    expect(renderSummary({ ...summary, up_to_date: true }, context)).toMatch(/^nothing to do select: out\/select is complete/);
    const failed = renderSummary({ ...summary, success: false }, context);
    expect(failed).toMatch(/^too many rejects select/);
    expect(failed).toContain("--retry-rejects");
    expect(failed).not.toContain("manifest.json, _SUCCESS");
  });

  it("quotes file names for the shell", () => {
    expect(renderSummary(summary, { ...context, configFile: "my file's.yaml" })).toContain(`npx pipeline select 'my file'\\''s.yaml' --top`);
  });
});

describe("metrics file", () => {
  const outcome = { name: 'a"b\\c', exit_code: 0, duration_ms: 1500, finished_at: 1000.5 };

  it("is Prometheus text with escaped labels", () => {
    const text = renderMetrics({ ...outcome, summary }, 1000.5);
    expect(text).toContain('vig_pipeline_duration_seconds{name="a\\"b\\\\c"} 1.5\n');
    expect(text).toContain('vig_pipeline_samples{name="a\\"b\\\\c",outcome="rejected"} 10\n');
    expect(text).toContain('vig_pipeline_tau_nats{name="a\\"b\\\\c",selection="selection"} 0.01234\n');
    for (const line of text.trimEnd().split("\n")) expect(line).toMatch(/^(# (HELP|TYPE) vig_pipeline_\w+ .+|vig_pipeline_\w+\{.*\} [-+\w.]+)$/);
  });

  it("keeps the time of the last success through failures, and leaves no temporary file", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "vig-metrics-"));
    const file = path.join(folder, "vig.prom");
    const lastSuccess = () => /last_success_timestamp_seconds\{[^}]*\} (\S+)/.exec(readFileSync(file, "utf8"))?.[1];
    await writeMetricsFile(file, { ...outcome, exit_code: 1 });
    expect(lastSuccess()).toBeUndefined();
    await writeMetricsFile(file, { ...outcome, summary });
    expect(lastSuccess()).toBe("1000.5");
    await writeMetricsFile(file, { ...outcome, exit_code: 143, finished_at: 2000 });
    expect(lastSuccess()).toBe("1000.5");
    expect(readFileSync(file, "utf8")).toContain("last_exit_code{name=\"a\\\"b\\\\c\"} 143");
    expect(readdirSync(folder)).toEqual(["vig.prom"]);
  });
});
