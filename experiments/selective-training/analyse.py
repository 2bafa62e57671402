"""Prints the study's tables, in Markdown, from the committed results.

    python analyse.py [results]

Intervals are 95 % t-intervals over paired runs: the same checkpoint, mix and seed, so the same batches where the kept
samples are the same, and the same test items. With 2 checkpoints x 3 seeds that is 6 pairs, which are no 6 independent
checkpoints: read the signs of both beside the interval.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import t as student

HERE = Path(__file__).resolve().parent
LAYERS = [f"attention_{i}" for i in range(5)]
LABELS = {"grounded": "grounded QA", "pope_accuracy": "POPE acc.", "pope_f1": "POPE F1", "pope_yes": "says yes", "chair_i": "CHAIR_I",
          "chair_s": "CHAIR_S", "recall": "recall", "object_f1": "object F1", "caption_color_error": "wrong color", "prior": "prior",
          "faith": "after a false remark", "attention": "attention on image"}
KINDS = ["color", "object", "relation", "neighbour", "position", "count", "yesno", "faith_presence", "faith_color"]
POPE = [f"pope_{kind}_{name}" for kind in ("random", "popular", "adversarial") for name in ("accuracy", "f1")]
ARMS = [("aligned", "none"), ("all", "equal_steps"), ("all", "equal_tokens"), ("random", "equal_steps"), ("vig70", "equal_steps")]
SWEEP = ["all", "samples", "tokens", "vig30", "vig50", "vig70", "vig90"]


def read(folder):
    """{(checkpoint, mix, arm, comparison, decoding): {seed: metrics}} of the test split."""
    found = defaultdict(dict)
    for line in (folder / "arms.jsonl").read_text().splitlines():
        run = json.loads(line)
        if run["split"] != "test":
            continue
        metrics = run["metrics"]
        precision = 1 - metrics["chair_i"]
        metrics["object_f1"] = 2 * precision * metrics["recall"] / (precision + metrics["recall"])
        if LAYERS[0] in metrics:
            metrics["attention"] = float(np.mean([metrics[layer] for layer in LAYERS]))
        metrics["active_tokens"] = run.get("active_tokens", 0)
        found[run["checkpoint"], run["mix"], run["arm"], run["comparison"], run["decoding"]][run["seed"]] = metrics
    return found


class Study:
    def __init__(self, folder):
        self.runs = read(folder)
        self.checkpoints = sorted({key[0] for key in self.runs}, reverse=True)
        self.masks = {m["name"]: m for m in map(json.loads, (folder / "masks.jsonl").read_text().splitlines())}

    def get(self, checkpoint, mix, arm, comparison, decoding="greedy"):
        return self.runs.get((checkpoint, None if arm == "aligned" else mix, arm, comparison, decoding), {})

    def mean(self, checkpoint, mix, arm, comparison, metric, decoding="greedy"):
        values = [m[metric] for m in self.get(checkpoint, mix, arm, comparison, decoding).values() if metric in m]
        return np.mean(values) if values else None

    def differences(self, mix, ours, theirs, metric):
        """{checkpoint: [ours - theirs, seed by seed]}; ours, theirs: (arm, comparison, decoding)."""
        found = {}
        for checkpoint in self.checkpoints:
            a, b = self.get(checkpoint, mix, *ours), self.get(checkpoint, mix, *theirs)
            found[checkpoint] = [a[s][metric] - b[s][metric] for s in sorted(a.keys() & b.keys()) if metric in a[s] and metric in b[s]]
        return found


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def number(value, digits=3):
    return "" if value is None else f"{value:.{digits}f}"


def interval(values):
    """'mean [low, high]' of the 95 % t-interval."""
    mean, half = np.mean(values), student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


def selections(study):
    print("## What the pipeline selected\n")
    arms = ["all", "vig30", "vig50", "vig70", "vig90", "samples", "tokens", "random0"]
    rows = []
    for name, about in sorted(study.masks.items(), reverse=True):
        for arm in arms:
            c, everything = about["arms"][arm], about["arms"]["all"]
            rows.append([name, arm, f"{c['tau']:.5f}" if arm != "all" else "", f"{c['samples']:,}", f"{c['tokens']:,}",
                         f"{100 * (c['tokens'] / everything['tokens'] - 1):+.0f} %"])
    table(["checkpoint, mix", "arm", "tau", "samples", "active tokens", "against all"], rows)


def levels(study, mix, metrics, title):
    print(f"## {title}: {mix} mix\n\nMeans of the seeds: {' / '.join(study.checkpoints)}.\n")
    rows = []
    for arm, comparison in ARMS:
        cells = [" / ".join(number(study.mean(c, mix, arm, comparison, m)) for c in study.checkpoints) for m in metrics]
        rows.append([arm + (", tokens of vig70" if comparison == "equal_tokens" else ""), *cells])
    table(["arm", *[LABELS.get(m, m) for m in metrics]], rows)


def contrasts(study, mix, pairs, metrics, title):
    """pairs: {heading: (ours, theirs)}, each (arm, comparison, decoding)."""
    print(f"## {title}: {mix} mix\n\nMean difference [95 % interval], pairs in which it is positive.\n")
    rows = []
    for metric in metrics:
        cells = []
        for ours, theirs in pairs.values():
            pooled = [d for values in study.differences(mix, ours, theirs, metric).values() for d in values]
            cells.append(f"{interval(pooled)} {sum(d > 0 for d in pooled)}/{len(pooled)}" if len(pooled) > 1 else "")
        rows.append([LABELS.get(metric, metric), *cells])
    table(["metric", *pairs], rows)


def sweep(study, mix, metrics):
    print(f"## Share and granularity, seed 0: {mix} mix\n")
    rows = []
    for checkpoint in study.checkpoints:
        for arm in SWEEP:
            runs = study.get(checkpoint, mix, arm, "equal_steps")
            if 0 in runs:
                rows.append([checkpoint, arm, f"{study.masks[f'{checkpoint}-{mix}']['arms'][arm]['tokens']:,}", *[number(runs[0][m]) for m in metrics]])
    table(["checkpoint", "arm", "active tokens of the mix", *[LABELS.get(m, m) for m in metrics]], rows)


def kept(folder):
    print("## What the selections at 70 percent keep, shipped checkpoint\n")
    runs = {r["run"]: r["groups"] for r in map(json.loads, (folder / "kept.jsonl").read_text().splitlines())}
    cell = lambda group: f"{100 * group['active']:.1f} % of {group['count']:,}" if group else ""
    groups = sorted({g for groups in runs.values() for g in groups})
    table(["", *runs], [[g, *[cell(groups.get(g)) for groups in runs.values()]] for g in groups])


def trainings(folder):
    print("## Learning rate on the development split, and steps of equal_tokens\n")
    runs = [json.loads(line) for line in (folder / "arms.jsonl").read_text().splitlines()]
    table(["learning rate", "grounded QA", "POPE acc."], [[f"{r['rate']:g}", number(r["metrics"]["grounded"]), number(r["metrics"]["pope_accuracy"])]
                                                         for r in runs if r["split"] == "dev"])
    steps = {(r["checkpoint"], r["mix"]): [r["steps"], r["active_tokens"]] for r in runs if r["comparison"] == "equal_tokens"}
    table(["checkpoint", "mix", "steps", "active tokens"], [[*key, *map(str, value)] for key, value in steps.items()])
    seconds = lambda key, part: np.median([r[key] for r in part])
    full = [r for r in runs if r["comparison"] == "equal_steps" and r["decoding"] == "greedy"]
    print(f"{len(runs)} lines; median seconds of an arm, six at a time: training {seconds('train_seconds', full):.1f}, evaluation {seconds('evaluate_seconds', full):.1f}\n")


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results"
    study, metrics = Study(folder), list(LABELS)
    greedy = lambda arm, comparison="equal_steps": (arm, comparison, "greedy")
    vig, pairs = greedy("vig70"), {"vig70 - all, equal steps": greedy("all"), "vig70 - all, equal active tokens": greedy("all", "equal_tokens"),
                                   "vig70 - random": greedy("random")}
    pairs = {heading: (vig, theirs) for heading, theirs in pairs.items()}
    decoding = {arm: ((arm, "equal_steps", "contrastive"), greedy(arm)) for arm in ("all", "vig70")}
    trainings(folder)
    selections(study)
    kept(folder)
    for mix in ("clean", "shuffled"):
        for names, title in ((metrics, "All metrics"), (KINDS, "Questions by kind"), (POPE, "POPE by its negatives"), (LAYERS, "Attention mass on the image by layer")):
            levels(study, mix, names, title)
            contrasts(study, mix, pairs, names, f"{title}, differences")
        sweep(study, mix, metrics)
        contrasts(study, mix, decoding, metrics[:-1], "Contrastive - greedy decoding")


if __name__ == "__main__":
    main()
