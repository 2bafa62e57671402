import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import path from "node:path";

const root = path.join(import.meta.dirname, "..", "..");

/** The compiled command as an installed package has it, which starts in half the time. Made in `folder`, which is returned. */
export function buildPackage(folder: string): string {
  mkdirSync(folder);
  execFileSync(process.execPath, [path.join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.build.json", "--outDir", path.join(folder, "dist")], { cwd: root, stdio: "inherit" });
  for (const name of ["bin", "schemas", "assets", "package.json"]) cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"));
  return folder;
}
