/**
 * k = ceil(top_percent / 100 * n): how many of n samples the top percent are.
 *
 * `topPercent` is taken as the decimal that it is written as, not as the nearest double: 70.1 percent of 1000 is 701,
 * though 70.1 / 100 * 1000 is 700.9999999999999 in doubles and 0.07 * 100 is 7.000000000000001. Exact for every n.
 *
 * Range: 0 to 100; 0 gives 0, 100 gives n. Throws RangeError outside, and for an n that is no count.
 */
export function topPercentRank(topPercent: number, n: number): number {
  if (!(topPercent >= 0 && topPercent <= 100)) throw new RangeError(`top percent ${topPercent} is not in 0 to 100`);
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`${n} is not a number of samples`);
  const { digits, decimals } = decimal(topPercent);
  const numerator = digits * BigInt(n);
  const denominator = 100n * 10n ** BigInt(decimals);
  return Number((numerator + denominator - 1n) / denominator);
}

/** value = digits / 10^decimals, by the shortest decimal that reads back as `value`. */
function decimal(value: number): { digits: bigint; decimals: number } {
  const [mantissa = "", exponent = "0"] = String(value).split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const decimals = fraction.length - Number(exponent);
  const digits = BigInt(whole + fraction);
  return decimals >= 0 ? { digits, decimals } : { digits: digits * 10n ** BigInt(-decimals), decimals: 0 };
}
