/** Inputs that mean harm: what is read stays inside its folder, and nothing takes memory or time beyond its limits. */
import { execFileSync } from "node:child_process";
import { createWriteStream, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { describe, expect, it } from "vitest";
import { ConfigError, StageError } from "../../src/core/errors.ts";
import { parseConfig } from "../../src/config/load-config.ts";
import { ImageFolder } from "../../src/io/sources/image-folder.ts";
import { llavaJsonConfig, openLlavaJson } from "../../src/io/sources/llava-json.ts";
import { openWebdataset, webdatasetConfig } from "../../src/io/sources/webdataset.ts";
import { readAll, readSplit, splitsOf } from "../io/sources/read-all.ts";
import { temporaryFolder } from "../io/temporary-folder.ts";

describe("image paths", () => {
  const outside = [
    "../secret.png", "sub/../../secret.png", "/etc/passwd", "\\etc\\passwd", "..\\secret.png", "C:\\secret.png", "file:///etc/passwd", "http://127.0.0.1/a.png", "data:image/png;base64,AA==",
    "link.png", "linked/secret.png", "chain.png", "", "a\0.png",
  ];

  it.each(outside)("%j is never read", async (key) => {
    const folder = temporaryFolder();
    const root = join(folder, "images");
    mkdirSync(join(root, "sub"), { recursive: true });
    writeFileSync(join(folder, "secret.png"), "secret");
    symlinkSync("../secret.png", join(root, "link.png"));
    symlinkSync("..", join(root, "linked"));
    symlinkSync("link.png", join(root, "chain.png"));
    expect(await new ImageFolder(root, 1_000).read(key)).toMatchObject({ code: "image_path_outside_root" });
  });

  it.skipIf(process.platform === "win32")("of a pipe, a device or a folder are not waited for", async () => {
    const root = temporaryFolder();
    mkdirSync(join(root, "folder.png"));
    execFileSync("mkfifo", [join(root, "pipe.png")]);
    const images = new ImageFolder(root, 1_000);
    for (const key of ["folder.png", "pipe.png", "x".repeat(5_000), "a/".repeat(3_000)]) expect(await images.read(key), key.slice(0, 20)).toMatchObject({ code: "image_not_found" });
  });
});

describe("annotations", () => {
  const open = (content: string) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "a.json"), content);
    return openLlavaJson(llavaJsonConfig.parse({ kind: "llava_json", annotations: join(folder, "a.json"), image_root: folder, max_record_bytes: 65_536 }));
  };
  const sound = '{"id": "sound", "conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]}';

  it.each([
    ["nested without end", `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
    ["nested and never closed", `{"a":${'{"a":'.repeat(50_000)}`],
    ["one endless string", `{"a":"${"x".repeat(1_000_000)}"}`],
    ["one endless key", `{"${"k".repeat(1_000_000)}":1}`],
    ["an endless number", `{"a":${"9".repeat(1_000_000)}}`],
    ["a prototype", '{"__proto__": {"conversations": []}, "id": "p"}'],
  ])("%s are few rejects, and the next record is read", async (_, record) => {
    const { samples, rejects } = await readAll(await open(`[${record},\n${sound}]`));
    expect(samples.map(({ sample_id }) => sample_id)).toEqual(["sound"]);
    for (const { code, message } of rejects) expect([code, message.length < 400]).toEqual(["malformed_record", true]);
    // What is longer than a record may be, or takes long to search, is a few.
    expect(rejects.length).toBeGreaterThan(0);
    expect(rejects.length).toBeLessThan(40);
  });
});

describe("archives", () => {
  /** One header block of a tar archive (ustar). */
  function header(name: string, size: number, type: string): Buffer {
    const block = Buffer.alloc(512);
    block.write(name, 0);
    block.write("0000644\0", 100);
    block.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
    block.write("        ", 148);
    block.write(type, 156);
    block.write("ustar\x0000", 257, "latin1");
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return block;
  }

  it.each(["x", "L", "g"])("whose header of type %s unpacks to half a gigabyte are refused before it is in memory", async (type) => {
    const path = join(temporaryFolder(), "bomb.tar.gz");
    const zeros = Buffer.alloc(2 ** 20);
    const content = Readable.from((function* () {
      yield header("long", 2 ** 29, type);
      for (let i = 0; i < 512; i++) yield zeros;
    })());
    await pipeline(content, createGzip({ level: 1 }), createWriteStream(path));
    const source = await openWebdataset(webdatasetConfig.parse({ kind: "webdataset", shards: path }));
    const before = process.memoryUsage().rss;
    const [split] = await splitsOf(source);
    await expect(readSplit(source, split!)).rejects.toThrow(StageError);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 2 ** 20);
  });
});

describe("configurations", () => {
  const refused = (text: string): string => {
    try {
      parseConfig(text, "job.yaml");
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
    }
    return "taken";
  };

  it.each([
    ["tags", "version: !!js/function 'function () {}'", /the tag .* is not allowed/],
    ["binary", "version: !!binary aGk=", /the tag !!binary is not allowed/],
    ["an alias bomb", `a: &a [x, x, x, x, x, x, x, x, x, x]\n${"bcdefgh".split("").map((key, i) => `${key}: &${key} [${Array(10).fill(`*${"abcdefgh"[i]}`).join(", ")}]`).join("\n")}`, /values \(aliases written out\)/],
    ["endless nesting", `a: ${"[".repeat(5_000)}`, /./],
    ["endless length", `a: ${"x".repeat(300_000)}`, /characters, more than/],
    ["merge keys", "a: &a {version: 1}\n<<: *a", /./],
  ])("with %s are refused", (_, text, message) => {
    expect(refused(text)).toMatch(message);
    expect(refused(text)).not.toBe("taken");
  });
});
