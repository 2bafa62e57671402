"""The Spark job: scores by one mapInArrow, tau by counts that Spark adds up, masks by a second mapInArrow."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import IntegerType, StructField, StructType

import manifest
from job_failed import EXIT_BAD_CONFIGURATION, EXIT_DONE, EXIT_TOO_MANY_REJECTS, JobFailed
from output import ROWS_IN_PART, SparkOutput
from pipeline_command import PipelineCommand
from radix import counter, kth_largest, top_percent_rank
from worker_process import asker, split_scorer

SPLIT_SCHEMA = pa.schema([("split", pa.int32()), ("location", pa.string()), ("num_records", pa.int32()), ("digest", pa.string())])
RECORD_SCHEMA = (
    "split_digest string, num_records bigint, num_scored bigint, num_text_only bigint, num_tokens bigint, rejects_by_code map<string,bigint>, "
    "num_truncated_tokens bigint, num_unknown_tokens bigint, vig_histogram array<array<bigint>>"
)


def check(described: dict) -> SparkOutput:
    """Where the job will write. Raises JobFailed for what would fail later, before Spark is started."""
    if described["mask"]["granularity"] == "random":
        raise JobFailed("mask.granularity random draws over the whole data: use `pipeline select` on a local or merged run", EXIT_BAD_CONFIGURATION)
    output = SparkOutput(Path(described["output"]["path"]), described["output"]["compression"])
    output.refuse_local()
    return output


def run(session: SparkSession, command: PipelineCommand, described: dict, output: SparkOutput, num_tasks: int | None) -> int:
    started = time.time()
    splits = list(command.splits())
    if not splits:
        raise JobFailed("the source has no records", EXIT_BAD_CONFIGURATION)
    digest = hashlib.sha256("".join(split["digest"] for split in splits).encode()).hexdigest()
    worker = command.worker(int(session.conf.get("spark.task.cpus", "1")))
    with output:
        run = Run(session, described, worker, output)
        phases = {"scan": time.time()}
        scored = run.scored(splits, digest, num_tasks)
        phases["score"] = time.time()
        counts = run.counts(scored, splits)
        run.write_scores(scored, counts)
        phases["publish"] = time.time()
        thresholds = [run.select(scored, target, tau, k) for target, tau, k in run.thresholds(scored, counts)]
        phases["select"] = time.time()
        success = counts["num_rejected"] <= described["max_reject_fraction"] * counts["num_read"]
        written = manifest.make(
            described, run_id=str(uuid.uuid4()), started=started, phases=phases, success=success, counts=counts, thresholds=thresholds,
            input_identity={"num_splits": len(splits), "num_records": counts["num_read"], "digest": digest},
            spark={"version": session.version, "master": session.sparkContext.master, "tasks": scored.rdd.getNumPartitions()},
        )
        output.finish(written, [threshold["dataset"] for threshold in thresholds], success)
    print(manifest.summary(written, output.path))
    return EXIT_DONE if success else EXIT_TOO_MANY_REJECTS


class Run:
    def __init__(self, session: SparkSession, described: dict, worker: tuple[str, ...], output: SparkOutput) -> None:
        self._session = session
        self._described = described
        self._worker = worker
        self._output = output

    def scored(self, splits: list[dict], digest: str, num_tasks: int | None) -> DataFrame:
        """Everything that the workers said: durable, since it is what costs. Made before where plan and input are the same."""
        path = self._output.work / f"scored-{self._described['scores_hash'][:16]}-{digest[:16]}"
        if not (path / "_SUCCESS").exists():
            context = self._session.sparkContext
            tasks = min(len(splits), num_tasks or 8 * context.defaultParallelism)
            sent = context.broadcast(as_ipc(pa.Table.from_pylist(splits, schema=SPLIT_SCHEMA)))
            numbers = self._session.range(0, tasks, 1, tasks)
            answers = numbers.mapInArrow(split_scorer(self._worker, sent, tasks), self._schema("scoring"))
            answers.write.mode("overwrite").option("compression", "zstd").parquet(str(path))
        return self._session.read.parquet(str(path))

    def counts(self, scored: DataFrame, splits: list[dict]) -> dict:
        """What became of all records. Raises JobFailed where a split is missing or came twice."""
        records = scored.filter("kind = 'split'").select("split", F.from_json("record", RECORD_SCHEMA).alias("r"))
        sums = [F.sum(f"r.{name}").alias(name) for name in ("num_records", "num_scored", "num_text_only", "num_tokens", "num_truncated_tokens", "num_unknown_tokens")]
        total = records.agg(F.count("*").alias("rows"), F.countDistinct("split").alias("splits"), *sums).first().asDict()
        rejects = records.select(F.explode("r.rejects_by_code").alias("code", "num")).groupBy("code").agg(F.sum("num")).collect()
        score_rows = scored.filter("kind = 'score'").count()
        wanted = {"rows": len(splits), "splits": len(splits), "num_records": sum(split["num_records"] for split in splits)}
        found = {name: total[name] for name in wanted}
        if found != wanted or score_rows != total["num_scored"] + total["num_text_only"]:
            raise JobFailed(f"the scores under {self._output.work} are not those of the input: {found} and {score_rows} scores, where {wanted} belong; remove the folder and run again")
        by_code = {row[0]: row[1] for row in rejects}
        return {
            "num_read": total["num_records"], "num_scored": total["num_scored"], "num_text_only": total["num_text_only"],
            "num_rejected": sum(by_code.values()), "rejects_by_code": by_code, "num_tokens": total["num_tokens"],
            "num_truncated_tokens": total["num_truncated_tokens"], "num_unknown_tokens": total["num_unknown_tokens"],
        }

    def thresholds(self, scored: DataFrame, counts: dict) -> list[tuple[dict, float, int | None]]:
        """Each target with its tau (inf: nothing passes) and k; exact."""
        targets = self._described["targets"]
        ranks = {t["top_percent"]: top_percent_rank(t["top_percent"], counts["num_scored"]) for t in targets if t["top_percent"] is not None}
        asked = sorted({k for k in ranks.values() if k > 0})
        values: dict[int, float] = {}
        if asked:
            pairs = scored.filter("kind = 'split'").select(F.explode(F.from_json("record", RECORD_SCHEMA)["vig_histogram"]).alias("pair"))
            first = pairs.groupBy(F.col("pair")[0]).agg(F.sum(F.col("pair")[1])).collect()
            vigs = scored.filter("kind = 'score' AND vig IS NOT NULL").select("vig")

            def count(prefixes: list[int], num_digits: int) -> dict[tuple[int, int], int]:
                rows = vigs.mapInArrow(counter(prefixes, num_digits), "prefix bigint, digit bigint, num bigint").groupBy("prefix", "digit").agg(F.sum("num"))
                return {(row[0], row[1]): row[2] for row in rows.collect()}

            values = kth_largest({row[0]: row[1] for row in first}, asked, count)
        found = []
        for target in targets:
            k = ranks.get(target["top_percent"]) if target["top_percent"] is not None else None
            tau = target["tau"] if k is None else values.get(k, float("inf"))
            found.append((target, tau, k))
        return found

    def select(self, scored: DataFrame, target: dict, tau: float, k: int | None) -> dict:
        metadata = {"vig_pipeline.mode": "mask", "vig_pipeline.tau": repr(float(tau))}
        rows = scored.filter("kind = 'score'")
        names = self._schema("scores").names
        masking = self._schema("masking")
        tagged = StructType([*masking.fields[:-1], StructField("split", IntegerType()), StructField("row", IntegerType()), masking.fields[-1]])
        masked = rows.select(*names, "split", "row").mapInArrow(asker(self._worker, metadata), tagged).filter("kind = 'selected'").drop("kind", "record")
        counting = rows.select("vig", "num_tokens", "token_vig").mapInArrow(asker(self._worker, {**metadata, "vig_pipeline.emit": "counts"}), "kind string, record string")
        counts = manifest.add_counts([row.record for row in counting.collect()])
        num_kept = counts["num_kept_vig"] + counts["num_text_only"]
        self._output.write(target["dataset"], in_order(masked, num_kept))
        return {"dataset": target["dataset"], "top_percent": target["top_percent"], "tau": None if tau == float("inf") else tau, "k": k, "counts": counts}

    def write_scores(self, scored: DataFrame, counts: dict) -> None:
        names = self._schema("scores").names
        self._output.write("scores", in_order(scored.filter("kind = 'score'").select("split", "row", *names), counts["num_scored"] + counts["num_text_only"]))
        rejects = scored.filter("kind = 'reject'").select("row", "sample_id", "split", "stage", "code", "message")
        self._output.write("rejects", in_order(rejects, counts["num_rejected"], keeps=("split",)))

    def _schema(self, name: str) -> StructType:
        return from_arrow_schema(pa.ipc.open_stream(base64.b64decode(self._described["schemas"][name])).schema)


def as_ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def in_order(frame: DataFrame, num_rows: int, keeps: tuple[str, ...] = ()) -> DataFrame:
    """Rows in input order, in as many files as a local run would write."""
    num_parts = max(1, -(-num_rows // ROWS_IN_PART))
    # Ranges are found by a sample, for which Spark runs what comes before twice; one part needs none.
    parted = frame.repartition(1) if num_parts == 1 else frame.repartitionByRange(num_parts, "split")
    ordered = parted.sortWithinPartitions("split", "row")
    return ordered.drop(*(name for name in ("split", "row") if name not in keeps))
