/** Interruptible work that no abort ends, with a thread of libuv's waiting for the named pipe. */
import { open } from "node:fs/promises";
import { interruptible } from "../../src/cli/interruption.ts";

void open(process.argv[2]!);
await interruptible(
  () => new Promise(() => setTimeout(() => process.send!("works"), 200)),
  (name) => process.send!(name),
);
