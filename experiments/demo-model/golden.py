"""Writes the golden token NLLs that the pipeline is held against: transformers, float32, eager, CPU, batch 1.

    python golden.py --model ../../data/models/demo --data ../../data/demo --out ../../test/golden/demo-nlls.json

SAMPLES samples of train.json, some of every source. The blurred pixels come from scipy.ndimage (float64
Gaussian, sigma 0.28 of the shorter side, mode "nearest", truncate 4, on the uint8 RGB image of the model's
input size), rounded to uint8 before they are rescaled and normalised.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from scipy.ndimage import gaussian_filter

import scoring

SAMPLES = 50


def choose(samples):
    """SAMPLES records, the sources in turn, in file order; the longest conversation is among them."""
    by_source = {}
    for sample in samples:
        by_source.setdefault(sample["source"], []).append(sample)
    for group in by_source.values():
        longest = max(group, key=lambda s: len(s["conversations"]))
        group.remove(longest)
        group.insert(0, longest)
    turns = zip(*(group[:SAMPLES] for group in by_source.values()))
    return [s for turn in turns for s in turn][:SAMPLES]


def blur(image):
    sigma = scoring.SIGMA_FRACTION * min(image.shape[:2])
    channels = [gaussian_filter(image[..., c].astype(np.float64), sigma, mode="nearest", truncate=4) for c in range(3)]
    return np.rint(np.stack(channels, -1)).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    data, scorer = Path(args.data), scoring.Scorer(args.model)
    records = []
    for sample in choose(scoring.load(data / "train.json")):
        ids, positions = scorer.tokens(sample["conversations"])
        record = {"id": sample["id"], "image": sample.get("image"), "input_ids": ids, "positions": positions,
                  "token_ids": [ids[i] for i in positions]}
        image = scoring.read(data / "images" / sample["image"]) if "image" in sample else None
        record["nll_image"] = scorer.nlls([(ids, positions, image)])[0].tolist()
        blurred = None if image is None else scorer.nlls([(ids, positions, blur(image))])[0].tolist()
        records.append(record | {"nll_blur": blurred})
    head = {
        "note": "input_ids: after image expansion. positions: of the supervised tokens in input_ids. NLLs in nats, one a "
                "supervised token; for a text-only sample nll_image is its NLL without an image and nll_blur is null.",
        "sigma_fraction": scoring.SIGMA_FRACTION, "transformers": transformers.__version__, "torch": torch.__version__,
    }
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in records)
    out.write_text(json.dumps(head, indent=1)[:-2] + f',\n "samples": [\n{lines}\n]}}\n')
    print(f"{len(records)} samples, {sum(len(r['positions']) for r in records)} tokens")


if __name__ == "__main__":
    main()
