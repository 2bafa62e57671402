import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { EXAMPLE_FILE, generatedFiles } from "../../src/config/generated-files.ts";

const root = path.join(import.meta.dirname, "..", "..");
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

it.each(Object.entries(generatedFiles(read(EXAMPLE_FILE))))("%s is fresh (else: npm run generate)", (file, content) => {
  expect(read(file)).toBe(content);
});
