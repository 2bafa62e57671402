/**
 * The capacity plan of docs/scaling.md as a Markdown table, from one measured row and stated assumptions:
 *
 *     node --import tsx bench/spark/capacity.ts
 */

/** A 7B model in the LLaVA-1.5 shape, bf16, on one H100: length-sorted batches of 16, head on answer rows only (PyTorch). */
const MEASURED = { samplesPerSecond: 21.2, positions: 715, answerTokens: 89, tflops: 416 };

const PARAMETERS = 6.74e9;
const WEIGHTS_BYTES = 14.1e9;
/** Share of GPU time that is left where loading, stragglers and retries are paid for. */
const EFFICIENCY = 0.9;
/** id, float32 nll, float32 VIG and about five characters of text with their offset. */
const BYTES_A_TOKEN = 4 + 4 + 4 + 5 + 4;
const TEXT_BYTES_A_SAMPLE = 1_100;
const ZSTD = 0.45;
const IMAGE_BYTES = 150e3;
const SPLIT_SAMPLES = [256, 1_000, 10_000];
const ROWS_IN_PART = 100_000;
/** A journal line: fixed fields, and some 150 digits of a split's VIG histogram. */
const JOURNAL_LINE_BYTES = 2_500;
const SPLIT_IN_MEMORY_BYTES = 400;
/** Ids of all samples, for duplicates: 16 bytes each in a table that is at most 3/4 full. */
const ID_BYTES = 16 / 0.75;
const SCAN_BYTES_A_SECOND = 100e6;

const sizes = [665e3, 10e6, 1e9];
const gpus = [8, 512];

const number = (value: number, digits = 3): string => Number(value.toPrecision(digits)).toLocaleString("en");
const bytes = (value: number): string => {
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  const power = Math.max(0, Math.min(units.length - 1, Math.floor(Math.log10(value) / 3)));
  return `${number(value / 1000 ** power)} ${units[power]!}`;
};
const time = (hours: number): string => (hours < 1 ? `${number(hours * 60)} min` : hours < 72 ? `${number(hours)} h` : `${number(hours / 24)} days`);

const hours = (samples: number, cards: number): number => samples / (MEASURED.samplesPerSecond * cards * EFFICIENCY) / 3600;
const rowBytes = TEXT_BYTES_A_SAMPLE + MEASURED.answerTokens * BYTES_A_TOKEN;
const flopsASample = 2 * 2 * PARAMETERS * MEASURED.positions;

const rows: [string, (samples: number, column: number) => string][] = [
  ["useful FLOPs (2 forwards x 2 x parameters x positions)", (n) => `${(n * flopsASample).toExponential(2)}`],
  ...gpus.map((cards): [string, (n: number) => string] => [`scoring on ${cards} H100s`, (n) => time(hours(n, cards))]),
  ["H100 hours", (n) => number(hours(n, 1))],
  ["images read", (n) => bytes(n * IMAGE_BYTES)],
  ["images read, by a host of 8 GPUs", () => `${bytes((MEASURED.samplesPerSecond * 8 * IMAGE_BYTES))}/s`],
  ["answer tokens", (n) => number(n * MEASURED.answerTokens)],
  ["staged rows on the shared folder (Arrow, until the merge)", (n) => bytes(n * rowBytes)],
  ["scores/ (ZSTD)", (n) => bytes(n * rowBytes * ZSTD)],
  ["parts of scores/", (n) => number(Math.ceil(n / ROWS_IN_PART))],
  ["split_samples", (_, column) => number(SPLIT_SAMPLES[column]!)],
  ["splits = files staged = journal lines", (n, column) => number(n / SPLIT_SAMPLES[column]!)],
  ["journal", (n, column) => bytes((n / SPLIT_SAMPLES[column]!) * JOURNAL_LINE_BYTES)],
  ["memory of a shard or merge: splits and ids", (n, column) => bytes((n / SPLIT_SAMPLES[column]!) * (SPLIT_IN_MEMORY_BYTES + JOURNAL_LINE_BYTES) + n * ID_BYTES)],
  ["driver memory of Spark: the list of splits, twice", (n, column) => bytes(2 * (n / SPLIT_SAMPLES[column]!) * SPLIT_IN_MEMORY_BYTES)],
  ["scan of the annotations, by every shard", (n) => time((n * TEXT_BYTES_A_SAMPLE) / SCAN_BYTES_A_SECOND / 3600)],
  ["tau: the vig column, read at most 4 times", (n) => bytes(n * 8)],
  ["select: tokens at 12M/s a core, one core", (n) => time((n * MEASURED.answerTokens) / 12e6 / 3600)],
];

const lines = [
  `| | ${sizes.map((n) => `${number(n)} samples`).join(" | ")} |`,
  `|---|${sizes.map(() => "---:").join("|")}|`,
  ...rows.map(([label, value]) => `| ${label} | ${sizes.map((n, column) => value(n, column)).join(" | ")} |`),
];
process.stdout.write(`${lines.join("\n")}\n\nweights: ${bytes(WEIGHTS_BYTES)} a GPU, read once each; ${gpus.map((cards) => `${cards} GPUs read ${bytes(cards * WEIGHTS_BYTES)}`).join(", ")}\n`);
process.stdout.write(`measured: ${MEASURED.samplesPerSecond} samples/s and ${MEASURED.tflops} useful TFLOP/s a card; the arithmetic here gives ${number((flopsASample * MEASURED.samplesPerSecond) / 1e12)} TFLOP/s\n`);
