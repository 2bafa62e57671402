/** Tries to take the lock of the folder given, says how it went, and holds what it got until it is killed. */
import { FolderLock } from "../../../src/io/output/lock.ts";

try {
  await FolderLock.acquire(process.argv[2]!);
  process.send!("held");
} catch (error) {
  process.send!((error as Error).name);
}
setInterval(() => undefined, 1_000);
