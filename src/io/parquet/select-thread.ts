/** A thread that makes row groups by copying rows: no Arrow, no Parquet library, only bytes. */
import { serveThread } from "../../core/thread-pool.ts";
import type { NewChunk } from "./select-pages.ts";
import { makeRowGroup, type RowGroupTask } from "./select-row-group.ts";
import { loadZstd } from "./zstd.ts";

const zstd = loadZstd();
const none = { compress: (bytes: Uint8Array) => bytes, decompress: (bytes: Uint8Array) => bytes };

serveThread<RowGroupTask, NewChunk[]>(async (task) => makeRowGroup(task, task.compression === "zstd" ? await zstd : none));
