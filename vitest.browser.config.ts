import { defineConfig } from "vitest/config";

/** Tests that need a browser: `npm run test:browser`. CHROMIUM names it; Debian's is looked for otherwise. */
export default defineConfig({
  test: {
    include: ["test/browser/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 1,
  },
});
