import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { main } from "../../src/cli/main.ts";
import { temporaryFolder } from "../io/temporary-folder.ts";
import { fixtureFolder } from "../model/golden.ts";
import { fakeShell } from "./fake-shell.ts";

const example = "pipelines/select.yaml";

async function doctor(args: readonly string[]) {
  const shell = fakeShell();
  const exitCode = await main(["doctor", example, "--log-format", "text", ...args], shell);
  return { exitCode, out: shell.out(), err: shell.err() };
}

interface GoldenFile {
  samples: { id: string; input_ids: number[]; positions: number[]; nll_image: number[]; nll_blur: number[] | null }[];
}

/** The shipped golden file with its first samples only, changed. */
function changedGolden(change: (golden: GoldenFile) => void): string {
  const golden = JSON.parse(readFileSync("test/golden/demo-nlls.json", "utf8")) as GoldenFile;
  golden.samples = golden.samples.slice(0, 4);
  change(golden);
  const file = path.join(temporaryFolder(), "golden.json");
  writeFileSync(file, JSON.stringify(golden));
  return file;
}

describe("doctor", () => {
  it("prints graphs, provider, head, speed, and the first sample's tokens with its answer marked", async () => {
    const { exitCode, out, err } = await doctor(["--samples", "3"]);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    expect(out).toMatch(/^provider {3}cpu, \d+ process\(es\) of \d+ thread\(s\); head: answer rows only$/m);
    expect(out).toMatch(/^ +in {3}inputs_embeds float32 .* and 9 more of the past$/m);
    expect(out).toMatch(/^speed +[\d.]+k? samples\/s/m);
    expect(out).toContain("tokens of caption-0244: position, id, text; > is supervised");
    expect(out).toMatch(/^ {6}4 {7}3 "<image>" x 16$/m);
    expect(out).toMatch(/^> {4}31 {5}864 " camel"$/m);
    expect(out).toMatch(/^49 tokens, 19 supervised \(>\)$/m);
  });
});

describe("--threads", () => {
  it("sets the threads of an inference process, over the configuration's own", async () => {
    const { exitCode, out } = await doctor(["--samples", "1", "--set", "resources.num_threads=2", "--threads", "3"]);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^provider .* of 3 thread\(s\);/m);
  });
});

describe("doctor --golden", () => {
  it("finds the shipped model's numbers equal to transformers'", async () => {
    const { exitCode, out } = await doctor(["--samples", "1", "--golden", changedGolden(() => undefined)]);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^golden {5}4 samples; tokens equal$/m);
    expect(out).toMatch(/^nll_image +worst \|difference\| \S+e-[4-9] nats .*: within 0\.001$/m);
    expect(out).toMatch(/^nll_blur +worst \|difference\| \S+e-[4-9] nats .*: within 0\.001$/m);
  });

  it.each(["llava", "smolvlm", "qwen2_vl"])("takes the cases of the test models: %s", async (family) => {
    const model = path.resolve(fixtureFolder(family));
    const { exitCode, out, err } = await doctor(["--samples", "1", "--set", `model.path=${model}`, "--golden", path.join(model, "cases.json")]);
    expect(exitCode, err).toBe(0);
    expect(out.match(/: within 0\.001$/gm)).toHaveLength(2);
  });

  it("fails with variant, sample and token where an NLL is off by more than the tolerance", async () => {
    const file = changedGolden(({ samples }) => (samples[1]!.nll_blur![2]! += 0.5));
    const { exitCode, out, err } = await doctor(["--samples", "1", "--golden", file]);
    expect(exitCode).toBe(1);
    expect(out).toMatch(/^nll_image .*: within 0\.001$/m);
    expect(out).toMatch(/^nll_blur .*: over 0\.001$/m);
    expect(err).toMatch(/nll_blur of sample \S+, answer token 2 "[^"]+", is .*0\.500 nats apart, over the tolerance of 0\.001/);
    expect((await doctor(["--samples", "1", "--golden", file, "--tolerance", "0.6"])).exitCode).toBe(0);
  });

  it("fails with the sample and the place where token ids differ", async () => {
    const file = changedGolden(({ samples }) => (samples[2]!.input_ids[21]! += 1));
    const { exitCode, err } = await doctor(["--samples", "1", "--golden", file]);
    expect(exitCode).toBe(1);
    expect(err).toMatch(/1 golden sample\(s\) have other tokens here; the first is \S+: input_ids\[21\] is \d+, \d+ in the golden file/);
  });

  it("names a sample that the source lacks", async () => {
    const { exitCode, err } = await doctor(["--samples", "1", "--golden", changedGolden(({ samples }) => (samples[3]!.id = "nobody"))]);
    expect(exitCode).toBe(2);
    expect(err).toMatch(/the source has no sample nobody/);
  });
});
