import { defineConfig } from "vitest/config";

/** `npm run test:package`: packs, installs the tarball in an empty folder (which asks npm's registry or its cache) and uses it there. */
export default defineConfig({
  test: { include: ["test/package/**/*.package.ts"], testTimeout: 300_000, hookTimeout: 600_000, maxWorkers: 1 },
});
