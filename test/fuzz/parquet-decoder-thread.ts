/** Decodes mutated Parquet files one after the other, without a message to another thread for each step. */
import { writeFileSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { FileDecoder } from "../../src/io/parquet/file-decoder.ts";
import { inputOf } from "./fuzz.ts";

export interface DecoderTask {
  readonly file: string;
  readonly corpus: readonly Uint8Array[];
  readonly dictionary: readonly (string | Buffer)[];
  readonly first: number;
}

const { file, corpus, dictionary, first } = workerData as DecoderTask;
const target = { corpus: corpus.map((bytes) => Buffer.from(bytes)), dictionary: dictionary.map((word) => Buffer.from(word)) };

// Its rejection, which nobody handles, ends the thread.
void decodeForEver();

async function decodeForEver(): Promise<never> {
  for (let n = first; ; n++) {
    writeFileSync(file, inputOf(n, target));
    parentPort!.postMessage(n);
    await decode(file).catch((error: unknown) => {
      if (error instanceof Error && error.name === "RuntimeError") throw error; // as in the Parquet thread: this instance is spent
    });
    // A panic in the middle of a promise is told by the thread's end alone, when it has the chance.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function decode(path: string): Promise<void> {
  const decoder = await FileDecoder.open(path);
  try {
    decoder.metadata();
    const stream = await decoder.stream({ batch_rows: 4 });
    while (await stream.next());
    await stream.close();
  } finally {
    decoder.close();
  }
}
