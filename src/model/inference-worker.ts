/**
 * The inference process: dies with its parent, whatever it is doing. The rest is loaded once that is seen to: loading
 * onnxruntime takes most of a second, in which the parent may go.
 */
const parent = Number(process.argv[2]);

/** At once and without onnxruntime's or Node's own way out, which may wait for threads; nothing here is left half written. */
function die(): void {
  process.kill(process.pid, "SIGKILL");
}

// A terminal sends Ctrl-C to the whole process group; what it means is the parent's decision.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
process.on("disconnect", die);
// The channel says nothing to who listens after it closed, nor while another process still has its end open.
const checkParent = () => void (process.ppid === parent && process.connected ? undefined : die());
setInterval(checkParent, 1000).unref();
checkParent();
const { serveInference } = await import("./serve-inference.ts");
serveInference();
