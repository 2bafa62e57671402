import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** The `pipeline` commands of the pages a newcomer reads, carried out in their order where the files they name exist. */
const root = path.join(import.meta.dirname, "..", "..");
const folder = mkdtempSync(path.join(tmpdir(), "documented-"));
const fixture = path.join(root, "test", "fixtures", "models", "llava");
const place = (name: string) => path.join(folder, name);

beforeAll(() => {
  for (const model of ["models/my-aligned-llava", "data/models/demo"]) cpSync(fixture, place(model), { recursive: true });
  for (const images of ["data/images", "data/demo/images"]) cpSync(path.join(fixture, "images"), place(images), { recursive: true });
  // Ids that the pages name.
  const ids = ["caption-0041", "count-0008", ...Array.from({ length: 10 }, (_, i) => `sample-${i}`)];
  const records = ids.map((id, i) => ({
    id,
    image: ["photo.png", "square.png"][i % 2],
    conversations: [{ from: "human", value: "<image>\nWhat do you see?" }, { from: "gpt", value: `It is ${["red", "green", "blue"][i % 3]!}.` }],
  }));
  for (const file of ["data/train.json", "data/demo/train.json"]) writeFileSync(place(file), JSON.stringify(records));
  mkdirSync(place("pipelines"));
  cpSync(path.join(root, "pipelines", "select.yaml"), place("pipelines/select.yaml"));
  run("npx pipeline run pipelines/select.yaml");
  run("npx pipeline select pipelines/select.yaml --top 30,50,90");
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(command: string): string {
  const words = command.replace(/^npx pipeline /, "").split(/\s+/);
  return execFileSync(process.execPath, [path.join(root, "bin", "pipeline.js"), ...words], { cwd: folder, encoding: "utf8", stdio: "pipe" });
}

function commandsOf(file: string): string[] {
  const text = readFileSync(path.join(root, file), "utf8");
  const lines = [...text.matchAll(/^```sh\n(.*?)^```/gms)].flatMap((match) => match[1]!.split("\n"));
  // Whatever lies outside of the folder, in it.
  return lines.filter((line) => line.startsWith("npx pipeline ")).map((line) => line.replace(/\s+#.*$/, "").replace(" /data/", " elsewhere/").trim());
}

describe.each(["README.md", "docs/report.md", "docs/trainers.md"])("%s", (file) => {
  const commands = commandsOf(file);
  it("has commands", () => expect(commands.length).toBeGreaterThan(1));
  it.each(commands)("%s", (command) => {
    expect(() => run(command)).not.toThrow();
  }, 240_000);
});

describe("what they leave", () => {
  it("is there", () => {
    for (const name of ["mine.yaml", "two.html", "report.html", "out/select/export/llava-json/train.json", "elsewhere/vig30"]) expect(existsSync(place(name)), name).toBe(true);
  });
});
