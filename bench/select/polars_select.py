"""The same selection by Polars' expressions: `polars_select.py FOLDER TARGET [TOP_PERCENT]`. Prints one JSON line."""

import json
import math
import resource
import sys
import time
from fractions import Fraction

import polars as pl

folder, target, top_percent = [*sys.argv[1:], "70"][:3]
scores = pl.scan_parquet(f"{folder}/scores/*.parquet")

cpu, start = time.process_time(), time.perf_counter()
num_vig = scores.select(pl.col("vig").count()).collect(engine="streaming").item()
k = max(1, math.ceil(Fraction(top_percent) / 100 * num_vig))
tau = scores.select(pl.col("vig").drop_nulls().sort(descending=True).get(k - 1)).collect(engine="streaming").item()

has_vig = pl.col("vig").is_not_null()
# Stored as float32, compared as float64: a literal would be rounded to float32 otherwise.
active = pl.col("token_vig").list.eval(pl.element().cast(pl.Float64) >= tau)
loss_mask = pl.when(has_vig).then(active).otherwise(pl.col("token_id").list.eval(pl.element().is_not_null()))
(
    scores.filter(has_vig.not_() | (pl.col("vig") >= tau))
    .select(
        "sample_id",
        "source",
        "images",
        "messages",
        "vig",
        "token_id",
        "token_text",
        loss_mask.alias("loss_mask"),
        pl.when(has_vig).then(pl.lit("vig")).otherwise(pl.lit("text_only")).alias("kept_as"),
    )
    .with_columns(pl.col("loss_mask").list.sum().cast(pl.Int32).alias("num_active"))
    .sink_parquet(target, compression="zstd", row_group_size=20_000)
)
seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak_mib, "tau": tau}))
