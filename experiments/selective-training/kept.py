"""What a selection keeps: by how sure the aligned model was, for yes and no, and for right and wrong images.

    python kept.py out/masks/seven-shuffled --mix out/mix --results out/results/kept.jsonl

Reads the run's scores and the labels' masks of its selection at 70 percent, as the pipeline wrote them.
"""

import argparse
import json
from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

BINS = [0, 0.1, 0.69, 2, np.inf]  # nats; 0.69 = ln 2: the model gave the token less than one half
PRESENCE = ("yesno", "hint")  # one-word answers


def rows(folder, columns):
    return [r for part in sorted(Path(folder).glob("*.parquet")) for r in parquet.read_table(part, columns=columns).to_pylist()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="output folder of pipeline run")
    parser.add_argument("--mix", required=True)
    parser.add_argument("--results", required=True, help="JSON lines file that gets one more line")
    args = parser.parse_args()
    run = Path(args.run)
    images = {name: {s["id"]: s.get("image") for s in json.loads((Path(args.mix) / f"{name}.json").read_text())} for name in ("clean", "shuffled")}
    name = next(n for n in images if n in run.name)
    folder = "selection@70" if (run / "selection@70").exists() else "selection"
    masks = {r["sample_id"]: r["loss_mask"] for r in rows(run / folder, ["sample_id", "loss_mask"])}
    groups = defaultdict(list)  # group: [active?]
    for r in rows(run / "scores", ["sample_id", "source", "vig", "token_text", "token_nll_image"]):
        if r["vig"] is None:
            continue
        right = "right image" if images[name][r["sample_id"]] == images["clean"][r["sample_id"]] else "wrong image"
        mask = masks.get(r["sample_id"]) or [False] * len(r["token_text"])
        groups[f"samples kept, {right}"].append(r["sample_id"] in masks)
        for token, nll, active in zip(r["token_text"], r["token_nll_image"], mask):
            low = np.searchsorted(BINS, nll, "right") - 1
            groups[f"tokens, {right}, NLL {BINS[low]} to {BINS[low + 1]}"].append(active)
            if r["source"] in PRESENCE and token.strip() in ("Yes", "No"):
                groups[f"{token.strip()}, {right}, aligned model {'right' if nll < np.log(2) else 'wrong'}"].append(active)
    found = {group: {"count": len(active), "active": round(float(np.mean(active)), 4)} for group, active in sorted(groups.items())}
    with open(args.results, "a") as file:
        file.write(json.dumps({"run": run.name, "groups": found, "date": str(date.today())}) + "\n")


if __name__ == "__main__":
    main()
