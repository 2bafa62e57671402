/** The schedules of examples/cron: the command lines run as they stand, and the files say what their readers take. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";
import { EXIT_CODE } from "../../src/core/errors.ts";
import { dataFiles, makeJob } from "../resume/job.ts";

const root = path.join(import.meta.dirname, "..", "..");
const examples = path.join(root, "examples", "cron");
const read = (name: string): string => readFileSync(path.join(examples, name), "utf8");
const folder = makeJob({ num_samples: 8 });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Where the variables of the examples point in a test. */
const PLACES: Readonly<Record<string, string>> = {
  VIG_HOME: root,
  VIG_JOB: path.join(folder, "job.yaml"),
  VIG_LOG: path.join(folder, "run.jsonl"),
  VIG_METRICS: path.join(folder, "vig.prom"),
};

function expectFinished(): void {
  expect(dataFiles(path.join(folder, "out"))).toHaveProperty("_SUCCESS");
  const metrics = readFileSync(PLACES["VIG_METRICS"]!, "utf8");
  expect(metrics).toContain('vig_pipeline_last_exit_code{name="job"} 0\n');
  expect(metrics).toMatch(/^vig_pipeline_last_success_timestamp_seconds\{name="job"\} \d+/m);
}

describe("the crontab", () => {
  const lines = read("vig.crontab").split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const variables = Object.fromEntries(lines.flatMap((line) => (/^(\w+)=(.*)$/.exec(line) ? [/^(\w+)=(.*)$/.exec(line)!.slice(1, 3) as [string, string]] : [])));
  const jobs = lines.filter((line) => !/^\w+=/.test(line)).map((line) => /^((?:[\d*/,-]+ +){5})(.*)$/.exec(line)!);

  it("has one job, at a time that cron takes, and no % in its command", () => {
    expect(jobs).toHaveLength(1);
    const [minute, hour, ...days] = jobs[0]![1]!.trim().split(/ +/);
    expect([Number(minute) < 60, Number(hour) < 24, days]).toEqual([true, true, ["*", "*", "*"]]);
    expect(jobs[0]![2]).not.toContain("%");
    expect(Object.keys(variables)).toEqual(["SHELL", "PATH", ...Object.keys(PLACES)]);
  });

  it("runs as it stands", { timeout: 120_000 }, () => {
    const env = { ...variables, ...PLACES, PATH: `${path.dirname(process.execPath)}:${variables["PATH"]}`, HOME: folder };
    const ended = spawnSync(variables["SHELL"]!, ["-c", jobs[0]![2]!], { cwd: folder, env, encoding: "utf8" });
    // Cron mails whatever is written: nothing must be.
    expect([ended.status, ended.stdout, ended.stderr]).toEqual([0, "", ""]);
    expectFinished();
    const log = readFileSync(PLACES["VIG_LOG"]!, "utf8").trim().split("\n").map((line) => JSON.parse(line) as object);
    expect(log.at(-1)).toMatchObject({ event: "finished", job: "job", exit_code: 0 });
  });
});

/** Section -> key -> values in order. */
function unitFile(text: string): Record<string, Record<string, string[]>> {
  const sections: Record<string, Record<string, string[]>> = {};
  let section: Record<string, string[]> = {};
  for (const line of text.split("\n").filter((each) => each !== "" && !each.startsWith("#"))) {
    const header = /^\[(\w+)\]$/.exec(line);
    if (header) section = sections[header[1]!] = {};
    else {
      const [, key, value] = /^(\w+)=(.*)$/.exec(line)!;
      (section[key!] ??= []).push(value!);
    }
  }
  return sections;
}

describe("the systemd units", () => {
  const service = unitFile(read("vig.service"))["Service"]!;

  it("run as they stand", { timeout: 120_000 }, () => {
    const [program, ...args] = service["ExecStart"]![0]!.split(" ").map((word) => word.replace(/\$\{(\w+)\}/g, (_, name: string) => PLACES[name]!));
    execFileSync(program!, args, { cwd: root, env: { PATH: process.env["PATH"], HOME: folder }, stdio: "ignore" });
    expectFinished();
  });

  it("know the exit codes, and that workers end with the run", () => {
    expect(service["SuccessExitStatus"]).toEqual([String(EXIT_CODE.locked)]);
    expect(service["RestartPreventExitStatus"]).toEqual([`${EXIT_CODE.badConfiguration} ${EXIT_CODE.tooManyRejects}`]);
    expect(service["KillMode"]).toEqual(["mixed"]);
    expect(unitFile(read("vig.timer"))["Timer"]).toMatchObject({ OnCalendar: ["*-*-* 03:17:00"], Persistent: ["true"] });
  });

  it("are sound for systemd itself", (context) => {
    const present = spawnSync("systemd-analyze", ["--version"]).status === 0;
    if (!present) return context.skip("systemd-analyze is not installed");
    const units = mkdtempSync(path.join(tmpdir(), "vig-units-"));
    onTestFinished(() => rmSync(units, { recursive: true }));
    for (const name of ["vig.service", "vig.timer"]) writeFileSync(path.join(units, name), read(name).replace(/^User=.*$/m, "User=root"));
    const verified = spawnSync("systemd-analyze", ["verify", "--man=no", path.join(units, "vig.service"), path.join(units, "vig.timer")], { encoding: "utf8" });
    expect(verified.stderr.split("\n").filter((line) => line.includes("vig."))).toEqual([]);
  });
});

describe("the Kubernetes CronJob", () => {
  it("runs one at a time, and gives up on exit codes that want a person", () => {
    const job = parse(read("cronjob.yaml")) as {
      kind: string;
      spec: { schedule: string; concurrencyPolicy: string; jobTemplate: { spec: { podFailurePolicy: { rules: { action: string; onExitCodes?: { values: number[] } }[] }; template: { spec: { restartPolicy: string; containers: { command: string[] }[] } } } } };
    };
    expect(job).toMatchObject({ kind: "CronJob", spec: { concurrencyPolicy: "Forbid" } });
    const { podFailurePolicy, template } = job.spec.jobTemplate.spec;
    // podFailurePolicy is refused with any other.
    expect(template.spec.restartPolicy).toBe("Never");
    expect(podFailurePolicy.rules.map(({ action, onExitCodes }) => [action, onExitCodes?.values])).toEqual([
      ["FailJob", [EXIT_CODE.badConfiguration, EXIT_CODE.tooManyRejects]],
      ["Ignore", undefined],
      ["Ignore", [EXIT_CODE.locked]],
    ]);
    const crontab = /bin\/(pipeline)\.js" (run) .* (--log-format json) (--metrics-file)/.exec(read("vig.crontab"))!.slice(1).join(" ");
    const command = template.spec.containers[0]!.command;
    expect(command.filter((word) => !word.startsWith("/")).join(" ")).toBe(crontab);
  });
});
