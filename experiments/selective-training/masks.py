"""Scores a mix with an aligned checkpoint and packs the masks: `pipeline run`, `select` and `export` do all of it.

    python masks.py --model out/checkpoints/seven --mix out/mix/clean.json --out out/masks/seven-clean.npz --results out/results/masks.jsonl

No mask is computed here: the arms are what `pipeline export --to hf-parquet` writes as labels.
"""

import argparse
import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

HERE = Path(__file__).resolve().parent
PIPELINE = os.environ.get("PIPELINE", f"node {HERE.parents[1] / 'bin/pipeline.js'}").split()
IGNORED = -100
# what the pipeline is asked for: (granularity, seed, {arm: percent of samples})
SELECTIONS = [("sample", 0, {"all": 100, "samples": 70}), ("token", 0, {"tokens": 70}),
              ("sample_and_token", 0, {"vig30": 30, "vig50": 50, "vig70": 70, "vig90": 90}),
              *[("random", seed, {f"random{seed}": 70}) for seed in range(3)]]


def pipeline(*words):
    subprocess.run([*PIPELINE, *map(str, words)], check=True, stdout=subprocess.DEVNULL, env=os.environ | {"NO_COLOR": "1"})


def rows_of(folder):
    return [row for part in sorted(Path(folder).rglob("*.parquet"))
            for row in parquet.read_table(part, columns=["sample_id", "images", "input_ids", "labels"]).to_pylist()]


def export(work, arm, percent):
    folder = work.parent / f"{work.name}-{arm}"
    pipeline("export", work, "--quiet", "--to", "hf-parquet", "--dataset", f"selection@{percent}", "--out", folder)
    rows = rows_of(folder)
    shutil.rmtree(folder)
    return arm, rows


def select(work, settings):
    """({arm: exported rows}, {arm: tau})."""
    rows, taus = {}, {}
    for granularity, seed, arms in SELECTIONS:
        pipeline("select", HERE / "mix.yaml", "--quiet", "--top", ",".join(map(str, arms.values())), *settings,
                 f"--set=mask.granularity={granularity}", f"--set=mask.seed={seed}")
        found = {t["dataset"]: t["tau"] for t in json.loads((work / "manifest.json").read_text())["thresholds"]}
        with ThreadPoolExecutor() as pool:
            rows |= dict(pool.map(lambda arm: export(work, *arm), arms.items()))
        taus |= {arm: found[f"selection@{percent}"] for arm, percent in arms.items()}
    return rows, taus


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder with the ONNX graphs")
    parser.add_argument("--mix", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--results", required=True, help="JSON lines file that gets one more line: counts and thresholds")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    args = parser.parse_args()
    mix, out = Path(args.mix).resolve(), Path(args.out).resolve()
    work = out.with_suffix("")
    settings = [f"--set={key}={value}" for key, value in {
        "source.annotations": mix, "source.image_root": mix.parent / "images", "model.path": Path(args.model).resolve(),
        "output.path": work, "resources.num_workers": args.workers, "resources.num_threads": 1}.items()]
    start = time.time()
    pipeline("run", HERE / "mix.yaml", "--quiet", "--no-report", *settings)
    scoring = time.time() - start
    rows, taus = select(work, settings)
    order = {row["sample_id"]: i for i, row in enumerate(rows["all"])}
    longest = max(len(row["input_ids"]) for row in rows["all"])
    ids = np.zeros((len(order), longest), np.int16)
    for i, row in enumerate(rows["all"]):
        ids[i, : len(row["input_ids"])] = row["input_ids"]
    images = np.array([int(Path(row["images"][0]["path"]).stem) if row["images"] else -1 for row in rows["all"]])
    masks, counts = {}, {}
    for arm, kept_rows in rows.items():
        mask, kept = np.zeros(ids.shape, bool), np.zeros(len(ids), bool)
        for row in kept_rows:
            i = order[row["sample_id"]]
            mask[i, : len(row["labels"])] = np.array(row["labels"]) != IGNORED
            kept[i] = True
        masks |= {f"{arm}/mask": np.packbits(mask, axis=1), f"{arm}/kept": kept}
        counts[arm] = {"tau": taus[arm], "samples": int(kept.sum()), "with_image": int((kept & (images >= 0)).sum()),
                       "tokens": int(mask.sum()), "tokens_with_image": int(mask[images >= 0].sum())}
    about = {"name": out.stem, "date": str(date.today()), "samples": len(ids), "scoring_seconds": round(scoring, 1), "seconds": round(time.time() - start, 1), "arms": counts}
    np.savez_compressed(out, ids=ids, images=images, about=json.dumps(about), **masks)
    with open(args.results, "a") as file:
        file.write(json.dumps(about) + "\n")
    print(f"{out.name}: {len(ids)} samples, {about['scoring_seconds']} s", flush=True)


if __name__ == "__main__":
    main()
