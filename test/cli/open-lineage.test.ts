import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { OpenLineage } from "../../src/cli/open-lineage.ts";
import { InterruptedError } from "../../src/core/errors.ts";
import type { RunSummary } from "../../src/core/plan.ts";

const job = { name: "job", run_id: "0b4dbc4e-2c39-4a8b-9d8b-6d7d30f4b1c5", inputs: ["/data/train *.json"], output: "/data/out" };
const summary = {
  success: true,
  counts: { num_read: 10, num_scored: 8, num_text_only: 1, num_rejected: 1 },
  selections: [{ target: { dataset: "selection@30" }, counts: { num_kept_vig: 3, num_text_only: 1 } }],
} as unknown as RunSummary;

function file(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "vig-lineage-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return path.join(folder, "events.jsonl");
}

const eventsIn = (target: string) => readFileSync(target, "utf8").trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
const unexpected = (message: string): void => expect.fail(message);

describe("OpenLineage events", () => {
  it("START and COMPLETE share the run and the job, and name every data set with its rows", async () => {
    const target = file();
    await new OpenLineage(target, job, unexpected).ended({ summary });
    const [start, complete] = eventsIn(target);
    for (const event of [start, complete]) {
      expect(event).toMatchObject({ run: { runId: job.run_id }, job: { namespace: "vig-pipeline", name: "job" }, schemaURL: expect.stringContaining("RunEvent") as string, producer: expect.stringMatching(/^urn:/) as string });
      expect(event!["inputs"]).toEqual([{ namespace: "file", name: "/data/train *.json", facets: {} }]);
      expect(new Date(event!["eventTime"] as string).toISOString()).toBe(event!["eventTime"]);
    }
    expect([start!["eventType"], complete!["eventType"]]).toEqual(["START", "COMPLETE"]);
    expect(complete!["outputs"]).toMatchObject([
      { name: "/data/out/scores", outputFacets: { outputStatistics: { rowCount: 9 } } },
      { name: "/data/out/selection@30", outputFacets: { outputStatistics: { rowCount: 4 } } },
    ]);
  });

  it.each([
    ["FAIL", "an error", { error: new Error("the disk is full") }, /the disk is full/],
    ["ABORT", "an interruption", { error: new InterruptedError("SIGTERM") }, /SIGTERM/],
    ["FAIL", "too many rejects", { summary: { ...summary, success: false } }, /1 of 10 samples were rejected/],
  ] as const)("%s for %s, with its reason", async (type, _, outcome, reason) => {
    const target = file();
    await new OpenLineage(target, job, unexpected).ended(outcome);
    const last = eventsIn(target).at(-1)!;
    expect(last["eventType"]).toBe(type);
    expect((last["run"] as { facets: { errorMessage: { message: string } } }).facets.errorMessage.message).toMatch(reason);
  });

  it("are posted to an address, one behind the other", async () => {
    const received: string[] = [];
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        received.push(`${request.method} ${request.url} ${(JSON.parse(body) as { eventType: string }).eventType}`);
        setTimeout(() => response.writeHead(201).end(), received.length === 1 ? 50 : 0);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    await new OpenLineage(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1/lineage`, job, unexpected).ended({ summary });
    expect(received).toEqual(["POST /api/v1/lineage START", "POST /api/v1/lineage COMPLETE"]);
  });

  it("that can't be sent are a problem to tell, not an error", async () => {
    const problems: string[] = [];
    await new OpenLineage("http://127.0.0.1:9/", job, (message) => problems.push(message)).ended({ summary });
    await new OpenLineage(path.join(file(), "not-a-folder"), job, (message) => problems.push(message)).ended({ summary });
    const pipe = file();
    execFileSync("mkfifo", [pipe]);
    await new OpenLineage(pipe, job, (message) => problems.push(message)).ended({ summary });
    expect(problems).toHaveLength(6);
    for (const problem of problems) expect(problem).toMatch(/^no OpenLineage event could be sent to/);
  });
});
