import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type JsonRow, readJsonRows } from "../../../src/io/sources/json-rows.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "json-rows-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function rowsOf(text: string): Promise<JsonRow[]> {
  const file = path.join(folder, "rows");
  await writeFile(file, text);
  const rows: JsonRow[] = [];
  for await (const row of readJsonRows(file)) rows.push(row);
  return rows;
}

/** Files of several megabytes are read in pieces. */
const NUM_ROWS = 3_000;
const filler = "x".repeat(900);

describe("rows of JSON", () => {
  it("lines have their numbers, blank ones counted, whatever the file's length", async () => {
    const rows = await rowsOf(Array.from({ length: NUM_ROWS }, (_, i) => `${JSON.stringify({ i, filler })}\n${i % 3 === 0 ? "\r\n\n" : ""}`).join(""));
    expect(rows).toHaveLength(NUM_ROWS);
    for (const [i, { line, fields }] of rows.entries()) {
      expect(fields!.i).toBe(i);
      expect(line).toBe(1 + i + 2 * Math.ceil(i / 3));
    }
  });

  it("elements of an array have the line that they begin on", async () => {
    const rows = await rowsOf(`\n\n${JSON.stringify(Array.from({ length: NUM_ROWS }, (_, i) => ({ i, filler })), null, 1)}`);
    expect(rows).toHaveLength(NUM_ROWS);
    // Each takes four lines, behind the one with the bracket.
    for (const [i, { line, fields }] of rows.entries()) expect([line, fields!.i]).toEqual([4 + 4 * i, i]);
  });

  it("a byte order mark is passed over", async () => {
    expect(await rowsOf('\ufeff{"a": 1}')).toEqual([{ line: 1, fields: { a: 1 } }]);
    expect(await rowsOf('\ufeff[{"a": 1}]')).toEqual([{ line: 1, fields: { a: 1 } }]);
  });

  it("a damaged line costs itself alone", async () => {
    const rows = await rowsOf('{"a": 1}\n{"a": \n3\n{"a": 4} x\n{"a": 5}\n{"a": ');
    expect(rows.map(({ line, fields }) => [line, fields?.a])).toEqual([[1, 1], [2, undefined], [3, undefined], [4, undefined], [5, 5], [6, undefined]]);
    for (const { fields, problem } of rows) expect(problem === undefined).toBe(fields !== undefined);
  });

  it("nothing has no rows", async () => {
    for (const text of ["", "\n \n", "[]", "[ ]\n"]) expect(await rowsOf(text)).toEqual([]);
  });

  it.each([
    ['[{"a": 1},\n{"a": 2', /rows:2: the JSON array is damaged: the file ends inside/],
    ['[{"a": 1},\n\n3]', /rows:3: the JSON array is damaged: not an object/],
  ])("a damaged array %j ends the reading", async (text, message) => {
    await expect(rowsOf(text)).rejects.toThrow(message);
  });

  it("a missing file is named", async () => {
    await expect(async () => {
      for await (const row of readJsonRows(path.join(folder, "none"))) void row;
    }).rejects.toThrow(/can't read .*none: it does not exist/);
  });
});
