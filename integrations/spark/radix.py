"""The exact k-th largest of a column of doubles, spread over a cluster, in four passes of counts that merge by addition.

Keys and digits are those of src/kernels/radix-quantile.ts; the first pass is the worker's own histogram.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from math import ceil

import numpy as np
import pyarrow as pa

DIGIT_BITS = 16
NUM_DIGITS = 1 << DIGIT_BITS
PASSES = 64 // DIGIT_BITS

#: (leading digits, next digit) -> how many values.
Counts = dict[tuple[int, int], int]


def top_percent_rank(top_percent: float, n: int) -> int:
    """k = ceil(top_percent / 100 * n), with the percentage as the decimal that it is written as."""
    return ceil(Fraction(repr(top_percent)) * n / 100)


def keys(values: np.ndarray) -> np.ndarray:
    """Unsigned 64-bit integers in the values' order; -0 has the key of 0."""
    bits = (values.astype(np.float64) + 0.0).view(np.uint64)
    return np.where(bits >> np.uint64(63) == 1, ~bits, bits | np.uint64(1 << 63))


def key_to_float(key: int) -> float:
    bits = key ^ (1 << 63) if key >> 63 else ~key & (2**64 - 1)
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def count_digits(values: np.ndarray, prefixes: Iterable[int], num_digits: int) -> Counts:
    """Counts of the digit behind the first `num_digits`, of the values whose first ones are among the prefixes."""
    of_values = keys(values)
    leading = of_values >> np.uint64(64 - DIGIT_BITS * num_digits) if num_digits else np.zeros_like(of_values)
    digits = (of_values >> np.uint64(64 - DIGIT_BITS * (num_digits + 1))) & np.uint64(NUM_DIGITS - 1)
    counts: Counts = {}
    for prefix in prefixes:
        found, times = np.unique(digits[leading == np.uint64(prefix)], return_counts=True)
        counts.update({(prefix, int(digit)): int(count) for digit, count in zip(found, times)})
    return counts


def kth_largest(first: dict[int, int], ranks: Iterable[int], count: Callable[[list[int], int], Counts]) -> dict[int, float]:
    """rank -> value. `first`: counts of the leading digit; `count(prefixes, num_digits)`: a pass over all values."""
    counts: Counts = {(0, digit): num for digit, num in first.items()}
    #: rank -> (leading digits, rank among the values that begin so)
    open_ranks = {rank: (0, rank) for rank in ranks}
    for num_digits in range(PASSES):
        if num_digits > 0:
            counts = count(sorted({prefix for prefix, _ in open_ranks.values()}), num_digits)
        open_ranks = {rank: narrow(counts, prefix, within) for rank, (prefix, within) in open_ranks.items()}
    return {rank: key_to_float(key) for rank, (key, _) in open_ranks.items()}


def narrow(counts: Counts, prefix: int, within: int) -> tuple[int, int]:
    for digit in sorted((digit for of, digit in counts if of == prefix), reverse=True):
        size = counts[prefix, digit]
        if within <= size:
            return prefix << DIGIT_BITS | digit, within
        within -= size
    raise ValueError(f"rank beyond the values that begin with {prefix:#x}: the data changed between two passes")


def counter(prefixes: list[int], num_digits: int) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow over a column `vig`: the counts of one task, as rows prefix, digit, num."""

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        total: Counts = {}
        for batch in batches:
            values = batch.column(0).drop_null().to_numpy(zero_copy_only=False)
            for key, num in count_digits(values, prefixes, num_digits).items():
                total[key] = total.get(key, 0) + num
        columns = [[prefix for prefix, _ in total], [digit for _, digit in total], list(total.values())]
        yield pa.RecordBatch.from_arrays([pa.array(column, pa.int64()) for column in columns], names=["prefix", "digit", "num"])

    return count
