/**
 * Composition of stages into one stream. The only module that knows Highland: it gives back-pressure by pull and
 * ordered parallelism with a cap; what it lacks (closing the source after an error, errors without unhandled
 * rejections) is added here.
 */
import highland from "highland";

/** One step of a flow: at most `concurrency` items are in it at once, and they leave in the order they came. */
export interface FlowStep<T> {
  readonly concurrency: number;
  run(item: T): Promise<T>;
}

type Outcome<T> = { readonly item: T } | { readonly error: unknown };

/**
 * The source's items after every step, in the source's order.
 * Memory bound: no more than the sum of the steps' concurrencies plus one item between neighbours is in flight,
 * however slow the consumer. Errors: the first one ends the stream; it is thrown once no step is running any more.
 * However the stream ends (end, error, early return, abort), the source is closed before the iterator is done.
 */
export async function* flow<T>(source: AsyncIterable<T>, steps: readonly FlowStep<T>[], signal: AbortSignal): AsyncGenerator<T, void> {
  const iterator = source[Symbol.asyncIterator]();
  let stopped = false;

  const next = async (): Promise<Outcome<T> | null> => {
    if (stopped) return null;
    try {
      signal.throwIfAborted();
      const result = await iterator.next();
      return result.done ? null : { item: result.value };
    } catch (error) {
      return { error };
    }
  };
  const runStep = async (step: FlowStep<T>, outcome: Outcome<T>): Promise<Outcome<T>> => {
    if ("error" in outcome) return outcome;
    if (stopped) return { error: new Error("the flow was stopped") };
    try {
      signal.throwIfAborted();
      return { item: await step.run(outcome.item) };
    } catch (error) {
      return { error };
    }
  };

  let stream: Highland.Stream<Outcome<T>> = highland<Outcome<T>>((push, proceed) => {
    void next().then((outcome) => {
      if (outcome === null) return push(null, highland.nil);
      push(null, outcome);
      // Nothing useful can follow a failed source.
      return "error" in outcome ? push(null, highland.nil) : proceed();
    });
  });
  for (const step of steps) {
    stream = stream.map((outcome) => highland(runStep(step, outcome))).parallel(step.concurrency);
  }

  let ended = false;
  try {
    for (;;) {
      const outcome = await pull(stream);
      if (outcome === END) {
        ended = true;
        return;
      }
      if ("error" in outcome) throw outcome.error;
      yield outcome.item;
    }
  } finally {
    // Not stream.destroy(): Highland's parallel() writes into a destroyed stream when its work in flight settles.
    // A stopped source ends at once and a stopped step does nothing, so draining waits only for what is running.
    stopped = true;
    while (!ended) ended = (await pull(stream)) === END;
    await iterator.return?.();
  }
}

const END = Symbol("end of stream");

function pull<T>(stream: Highland.Stream<T>): Promise<T | typeof END> {
  return new Promise((resolve, reject) => {
    stream.pull((error, value) => {
      if (error) reject(error);
      else resolve(highland.isNil(value) ? END : (value));
    });
  });
}
