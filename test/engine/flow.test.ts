import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { flow, type FlowStep } from "../../src/engine/flow.ts";

const never = new AbortController().signal;
const tick = (ms = 0) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function counting(length: number) {
  const state = { produced: 0, closed: 0 };
  async function* generate() {
    try {
      for (let i = 0; i < length; i++) {
        state.produced++;
        yield i;
      }
    } finally {
      state.closed++;
    }
  }
  return { state, source: generate() };
}

const step = (concurrency: number, run: (item: number) => Promise<number>): FlowStep<number> => ({ concurrency, run });

async function collect(items: AsyncIterable<number>): Promise<number[]> {
  const all: number[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("flow", () => {
  it("keeps order whatever the concurrency and the delays", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), async (delays, concurrency) => {
        const { source, state } = counting(delays.length);
        const slow = step(concurrency, async (i) => (await tick(delays[i]), i * 2));
        const out = await collect(flow(source, [slow, step(2, async (i) => i + 1)], never));
        expect(out).toEqual(delays.map((_, i) => i * 2 + 1));
        expect(state.closed).toBe(1);
      }),
      { numRuns: 30 },
    );
  });

  it("never runs more items at once than a step allows, and really runs that many", async () => {
    let running = 0;
    let most = 0;
    const busy = step(3, async (i) => {
      most = Math.max(most, ++running);
      await tick(2);
      running--;
      return i;
    });
    await collect(flow(counting(40).source, [busy], never));
    expect(most).toBe(3);
  });

  it("holds a fast source back for a slow consumer", async () => {
    const { source, state } = counting(1000);
    const items = flow(source, [step(2, async (i) => i), step(2, async (i) => i)], never);
    let ahead = 0;
    let taken = 0;
    for await (const item of items) {
      taken++;
      await tick(1);
      ahead = Math.max(ahead, state.produced - taken);
      if (item === 50) break;
    }
    expect(ahead).toBeLessThanOrEqual(8);
    expect(state.closed).toBe(1);
  });

  it.each([
    ["a step", [step(2, async (i) => (i === 5 ? Promise.reject(new Error("boom")) : i))]],
    ["a later step, with others in flight", [step(4, async (i) => (await tick(3), i)), step(1, async (i) => (i === 5 ? Promise.reject(new Error("boom")) : i))]],
  ])("closes the source and waits for what runs when %s fails", async (_, steps) => {
    const { source, state } = counting(100);
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const item of flow(source, steps, never)) seen.push(item);
      })(),
    ).rejects.toThrow("boom");
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    expect(state.closed).toBe(1);
  });

  it("passes a failure of the source on, behind the items before it", async () => {
    async function* failing() {
      yield 1;
      yield 2;
      throw new Error("torn");
    }
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const item of flow(failing(), [step(2, async (i) => (await tick(2), i))], never)) seen.push(item);
      })(),
    ).rejects.toThrow("torn");
    expect(seen).toEqual([1, 2]);
  });

  it("ends within a step's time after an abort", async () => {
    const { source, state } = counting(1_000_000);
    const controller = new AbortController();
    let taken = 0;
    await expect(
      (async () => {
        for await (const item of flow(source, [step(2, async (i) => i)], controller.signal)) {
          expect(item).toBe(taken);
          if (++taken === 10) controller.abort(new Error("enough"));
        }
      })(),
    ).rejects.toThrow("enough");
    expect(taken).toBeLessThan(20);
    expect(state.closed).toBe(1);
  });

  it("does nothing before the first pull", async () => {
    const { source, state } = counting(3);
    const items = flow(source, [step(1, async (i) => i)], never);
    await tick(5);
    expect(state.produced).toBe(0);
    expect(await collect(items)).toEqual([0, 1, 2]);
  });
});
