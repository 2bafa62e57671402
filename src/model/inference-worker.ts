/**
 * The inference process: dies with its parent, whatever it is doing. The rest is loaded once that is seen to: loading
 * onnxruntime takes most of a second, in which the parent may go.
 */
import { Worker } from "node:worker_threads";

const parent = Number(process.argv[2]);

/** At once and without onnxruntime's or Node's own way out, which may wait for threads; nothing here is left half written. */
function die(): void {
  process.kill(process.pid, "SIGKILL");
}

// A terminal sends Ctrl-C to the whole process group; what it means is the parent's decision.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
process.on("disconnect", die);
// The channel says nothing to who listens after it closed.
if (process.ppid !== parent || !process.connected) die();
// Nor while another process still has its end open, nor while onnxruntime loads or runs a graph, which holds this
// thread for as long as that takes, and the device's memory with it: another thread looks.
const watch = `
  const { workerData: parent } = require("node:worker_threads");
  setInterval(() => process.ppid === parent || process.kill(process.pid, "SIGKILL"), 1000);`;
new Worker(watch, { eval: true, workerData: parent, execArgv: [] }).unref();
const { serveInference } = await import("./serve-inference.ts");
serveInference();
