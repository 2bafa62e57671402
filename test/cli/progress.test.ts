import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NO_COLORS, printable } from "../../src/cli/colors.ts";
import { formatBytes, formatClock, formatCount, formatDuration, formatNats, formatShare, formatShort } from "../../src/cli/format-numbers.ts";
import { JsonLog } from "../../src/cli/json-log.ts";
import { renderProgress } from "../../src/cli/progress-line.ts";
import { ProgressMeter } from "../../src/cli/progress-meter.ts";
import { TextLog } from "../../src/cli/text-log.ts";
import type { ProgressEvent } from "../../src/core/progress.ts";
import { fakeShell } from "./fake-shell.ts";

const committed = (split: number, num_scored: number, rejects = 0): ProgressEvent => ({
  event: "split_committed",
  split,
  num_records: num_scored + rejects,
  num_scored,
  num_text_only: 0,
  num_tokens: num_scored * 10,
  rejects_by_code: rejects > 0 ? { image_corrupt: rejects } : {},
  duration_ms: 12.3456,
});

describe("ProgressMeter", () => {
  it("counts batches until their split is committed, then the split", () => {
    let now = 0;
    const meter = new ProgressMeter(() => now);
    meter.add({ event: "phase_started", phase: "score", num_records: 100, num_records_done: 20 });
    expect(meter.state()).toMatchObject({ phase: "score", num_records: 100, num_records_done: 20, samples_per_second: undefined, eta_seconds: undefined });
    now = 2000;
    meter.add({ event: "batch_scored", num_samples: 6, num_tokens: 60 });
    meter.add({ event: "batch_scored", num_samples: 4, num_tokens: 40 });
    expect(meter.state()).toMatchObject({ num_records_done: 30, samples_per_second: 5, tokens_per_second: 50, eta_seconds: 14 });
    meter.add(committed(0, 10, 2));
    expect(meter.state()).toMatchObject({ num_records_done: 32, num_rejects: 2 });
  });

  it("measures the last seconds alone", () => {
    let now = 0;
    const meter = new ProgressMeter(() => now);
    meter.add({ event: "phase_started", phase: "score", num_records: 1000 });
    meter.add({ event: "batch_scored", num_samples: 500, num_tokens: 500 });
    now = 60_000;
    meter.add({ event: "batch_scored", num_samples: 30, num_tokens: 30 });
    expect(meter.state().samples_per_second).toBe(2);
  });

  it("goes back to the outer phase when an inner one ends", () => {
    let now = 0;
    const meter = new ProgressMeter(() => now);
    meter.add({ event: "phase_started", phase: "score", num_records: 10 });
    meter.add({ event: "phase_started", phase: "load" });
    expect(meter.state()).toMatchObject({ phase: "load", num_records: undefined });
    now = 5000;
    meter.add({ event: "phase_finished", phase: "load", duration_ms: 5000 });
    now = 6000;
    meter.add({ event: "batch_scored", num_samples: 5, num_tokens: 5 });
    expect(meter.state()).toMatchObject({ phase: "score", num_records: 10, num_records_done: 5, samples_per_second: 5 });
  });

  it("never shows more than all, whatever is repeated", () => {
    const meter = new ProgressMeter(() => 0);
    meter.add({ event: "phase_started", phase: "score", num_records: 10 });
    for (let i = 0; i < 5; i++) meter.add({ event: "batch_scored", num_samples: 8, num_tokens: 8 });
    expect(meter.state().num_records_done).toBe(10);
  });
});

describe("renderProgress", () => {
  const state = { phase: "score", num_records: 1280, num_records_done: 512, num_rejects: 3, samples_per_second: 38.24, tokens_per_second: 1234, eta_seconds: 20.4 } as const;

  it("shows phase, bar, count, time left, rates, rejects and memory", () => {
    expect(renderProgress(state, 431e6, 120)).toBe("scoring  ██████░░░░░░░░░░  512/1,280  ETA 0:20  38.2 samples/s  1.23k tokens/s  3 rejected  431 MB".replace("██████░░░░░░░░░░", "█".repeat(12) + "░".repeat(18)));
  });

  it("never exceeds the width, and keeps the count where it can", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.nat(1e12), (width, bytes) => {
        const line = renderProgress(state, bytes, width);
        expect(line.length).toBeLessThanOrEqual(width);
        if (width >= 20) expect(line).toContain("512/1,280");
      }),
    );
  });
});

describe("JsonLog", () => {
  it("writes one object a line with run id, level and the event's fields", () => {
    const shell = fakeShell();
    const log = new JsonLog(shell.stderr, { run_id: "r1", job: "j" }, false);
    log.report({ event: "phase_started", phase: "score", num_records: 3 });
    log.report({ event: "batch_scored", num_samples: 1, num_tokens: 1 });
    log.report(committed(7, 3));
    log.report({ event: "warning", code: "model", message: "line one\nline two" });
    log.close();
    const lines = shell.err().trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).toMatchObject({ run_id: "r1", job: "j", time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown });
    expect(lines[1]).toMatchObject({ level: "info", event: "split_committed", split: 7, num_scored: 3, duration_ms: 12.346 });
    expect(lines[2]).toMatchObject({ level: "warn", event: "warning", code: "model", msg: "line one\nline two" });
    expect(lines[2]).not.toHaveProperty("message");
  });

  it("keeps warnings when quiet", () => {
    const shell = fakeShell();
    const log = new JsonLog(shell.stderr, {}, true);
    log.report({ event: "phase_started", phase: "score" });
    log.report({ event: "warning", code: "model", message: "m" });
    log.close();
    expect(shell.err().trim().split("\n")).toHaveLength(1);
  });
});

describe("TextLog", () => {
  it("writes plain lines without control characters from data", () => {
    const shell = fakeShell();
    const log = new TextLog(shell.stderr, NO_COLORS, false);
    log.report({ event: "phase_finished", phase: "scan", duration_ms: 1234 });
    log.report({ event: "warning", code: "model", message: "evil \u001b[31mred\u0007" });
    expect(shell.err()).toBe("scan: 1.2 s\nwarning evil \ufffd[31mred\ufffd\n");
  });
});

describe("numbers", () => {
  it.each([
    [formatCount(1234567), "1,234,567"],
    [formatShort(0), "0"],
    [formatShort(7), "7"],
    [formatShort(9.996), "10.0"],
    [formatShort(48231), "48.2k"],
    [formatShort(999_600), "1.00M"],
    [formatClock(75.2), "1:15"],
    [formatClock(4000), "1:06:40"],
    [formatDuration(9960), "10 s"],
    [formatDuration(1234), "1.2 s"],
    [formatDuration(75_000), "1 min 15 s"],
    [formatDuration(3_700_000), "1 h 1 min"],
    [formatShare(1, 3), "33.3 %"],
    [formatShare(0, 0), "-"],
    [formatBytes(431_000_000), "431 MB"],
    [formatBytes(1_240_000_000), "1.2 GB"],
    [formatNats(-0.00123), "-0.0012"],
    [formatNats(5.4321), "5.432"],
    [formatNats(Infinity), "infinite"],
    [printable("a\u202eb\u001b]0;title\u0007c"), "a\ufffdb\ufffd]0;title\ufffdc"],
  ])("%s", (actual, expected) => expect(actual).toBe(expected));
});
