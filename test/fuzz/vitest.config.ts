import { defineConfig } from "vitest/config";

/** `npm run test:fuzz`: every parser of user bytes for a few seconds. See fuzz.ts. */
export default defineConfig({
  test: { include: ["test/fuzz/**/*.fuzz.ts"], testTimeout: 600_000, maxWorkers: 2 },
});
