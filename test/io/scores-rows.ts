import type { RecordBatch } from "apache-arrow";
import { scoresSchema } from "../../src/core/columns.ts";
import { float32ListColumn, float64Column, int32Column, int32ListColumn, makeRecordBatch, messagesColumn, utf8Column, utf8ListColumn } from "../../src/core/record-batch.ts";

/** Rows with scoresSchema for the sample numbers [start, end): content depends on the number alone; every fifth is text-only. */
export function scoresRows(start: number, end: number, tokens = 5): RecordBatch {
  const numbers = Array.from({ length: end - start }, (_, i) => start + i);
  const textOnly = (n: number) => n % 5 === 4;
  const length = (n: number) => 1 + (n % tokens);
  const values = (n: number, phase: number) => Float32Array.from({ length: length(n) }, (_, t) => Math.sin(n * 31 + t * 7 + phase));
  const mean = (n: number, phase: number) => (textOnly(n) ? null : values(n, phase).reduce((sum, value) => sum + value, 0) / length(n));
  return makeRecordBatch(scoresSchema, {
    sample_id: utf8Column(numbers.map((n) => `sample-${n}`)),
    source: utf8Column(numbers.map((n) => (n % 2 ? "caption" : ""))),
    images: utf8ListColumn(numbers.map((n) => (textOnly(n) ? [] : [`image-${n}.png`]))),
    messages: messagesColumn(numbers.map((n) => [
      { role: "user", content: `<image>\nWhat is ${n}? é` },
      { role: "assistant", content: `It is ${"so ".repeat(n % 7)}${n}.` },
    ])),
    num_tokens: int32Column(Int32Array.from(numbers, length)),
    nll_image: float64Column(numbers.map((n) => mean(n, 0))),
    nll_blur: float64Column(numbers.map((n) => mean(n, 1))),
    vig: float64Column(numbers.map((n) => mean(n, 2))),
    token_id: int32ListColumn(numbers.map((n) => Int32Array.from({ length: length(n) }, (_, t) => n + t))),
    token_text: utf8ListColumn(numbers.map((n) => Array.from({ length: length(n) }, (_, t) => `t${n + t} `))),
    token_nll_image: float32ListColumn(numbers.map((n) => (textOnly(n) ? null : values(n, 0)))),
    token_vig: float32ListColumn(numbers.map((n) => (textOnly(n) ? null : values(n, 2)))),
  });
}
