"""Trains and evaluates every arm, several at a time on one GPU, the most important first.

    python arms.py --checkpoint seven=out/checkpoints/seven --checkpoint eight=out/checkpoints/eight \
        --mix out/mix --masks out/masks --out out/results/arms.jsonl --deadline-s 240

Every finished arm is one JSON line. At the deadline no further arm is begun.
"""

import argparse
import json
import time
from datetime import date
from pathlib import Path

import images
import questions
import torch
import torch.multiprocessing as multiprocessing
from evaluate import evaluate
from training import Mix, Trainer
from transformers import LlavaForConditionalGeneration

SEEDS = 3
RATES = [1e-4, 3e-4, 1e-3]  # tried on the development split, with every answer token
MIXES = ["clean", "shuffled"]


def jobs(checkpoints, seeds):
    """Arms in order of importance: (checkpoint, mix or None, arm, seed, comparison)."""
    found = [(c, None, "aligned", 0, "none") for c in checkpoints]
    pairs = [(c, m) for c in checkpoints for m in MIXES]
    for seed in range(seeds):
        found += [(c, m, arm, seed, "equal_steps") for c, m in pairs for arm in ("all", "vig70", f"random{seed}")]
    for seed in range(seeds):
        found += [(c, m, "all", seed, "equal_tokens") for c, m in pairs]
    found += [(c, m, arm, 0, "equal_steps") for c, m in pairs for arm in ("tokens", "samples", "vig50", "vig90", "vig30")]
    return found


class Worker:
    """Holds one trainer, and the features of the images of each checkpoint that it has met."""

    def __init__(self, args, split):
        self.args, self.split, self.device = args, split, args.device
        self.folders = dict(c.split("=") for c in args.checkpoint)
        self.mixes, self.known = {}, {}
        self.scenes, self.items = questions.build_split(split, args.scenes)
        pictures = torch.load(Path(args.mix) / f"{split}-images.pt")
        self.pictures = {"train": torch.load(Path(args.mix) / "images.pt"), "test": pictures}
        width = max(self.mix(c, m).ids.shape[1] for c in self.folders for m in MIXES)
        self.trainer = Trainer(next(iter(self.folders.values())), width, self.device)

    def mix(self, checkpoint, name):
        key = f"{checkpoint}-{name}"
        if key not in self.mixes:
            self.mixes[key] = Mix(Path(self.args.masks) / f"{key}.npz", self.device)
        return self.mixes[key]

    def checkpoint(self, name):
        """(weights, features of the training images, of the test images, of their blurred stand-ins)."""
        if name not in self.known:
            model = LlavaForConditionalGeneration.from_pretrained(self.folders[name]).float().to(self.device)
            encode = lambda which, blur=False: images.features(model, self.pictures[which], self.device, blur)
            self.known[name] = model.state_dict(), encode("train"), encode("test"), encode("test", True)
        return self.known[name]

    def evaluate(self, clean, blurred=None):
        start = time.time()
        found = evaluate(self.trainer.model, self.scenes, self.items, clean, blurred)
        return {"evaluate_seconds": round(time.time() - start, 2), "metrics": found}

    def run(self, job, rate):
        """Yields one result a way of decoding."""
        checkpoint, mix_name, arm, seed, comparison = job
        weights, train, clean, blurred = self.checkpoint(checkpoint)
        self.trainer.load(weights)
        noted = {"checkpoint": checkpoint, "mix": mix_name, "arm": "random" if arm.startswith("random") else arm,
                 "seed": seed, "comparison": comparison, "split": self.split}
        if mix_name:
            mix = self.mix(checkpoint, mix_name)
            steps = self.args.steps if comparison == "equal_steps" else mix.equal_token_steps(arm, "vig70", self.args.steps)
            noted |= {"rate": rate, **self.trainer.train(mix, train, arm, seed, steps, rate)}
        yield noted | {"decoding": "greedy", **self.evaluate(clean)}
        if arm in ("aligned", "all", "vig70") and comparison != "equal_tokens" and self.split == "test":
            yield noted | {"decoding": "contrastive", **self.evaluate(clean, blurred)}


def work(args, split, todo, done, deadline):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.set_num_threads(2)
    start = time.time()
    worker, slowest = Worker(args, split), 0.0
    print(f"ready after {time.time() - start:.1f} s", flush=True)
    while time.time() + slowest < deadline:
        job = todo.get()
        if job is None:
            break
        begun = time.time()
        for result in worker.run(*job):
            done.put(result)
        slowest = max(slowest, time.time() - begun)
    done.put(None)


def carry_out(args, split, todo, out, deadline):
    """Runs [(job, rate)] on the workers; returns the results, each also a line of `out`."""
    context = multiprocessing.get_context("spawn")
    queue, done, results = context.Queue(), context.Queue(), []
    workers = [context.Process(target=work, args=(args, split, queue, done, deadline)) for _ in range(min(args.workers, len(todo)))]
    for job in [*todo, *[None] * len(workers)]:
        queue.put(job)
    for worker in workers:
        worker.start()
    device = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    running = len(workers)
    while running:
        result = done.get()
        if result is None:
            running -= 1
            continue
        results.append(result)
        with open(out, "a") as file:
            file.write(json.dumps(result | {"device": device, "date": str(date.today())}) + "\n")
        print(len(results), {k: v for k, v in result.items() if k not in ("metrics", "losses")}, result["metrics"]["grounded"], flush=True)
    for worker in workers:
        worker.kill()  # their queues may hold jobs that the deadline left
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--mix", required=True)
    parser.add_argument("--masks", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--rate", type=float, help="learning rate; without it the best of a few on the development split")
    parser.add_argument("--scenes", type=int, default=questions.SCENES)
    parser.add_argument("--deadline-s", type=float, default=3600)
    args = parser.parse_args()
    deadline = time.time() + args.deadline_s
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    for split, seed in questions.SEEDS.items():
        scenes, _ = questions.build_split(split, args.scenes)
        torch.save(images.draw(scenes, seed, args.device), Path(args.mix) / f"{split}-images.pt")
    names = [c.split("=")[0] for c in args.checkpoint]
    rate = args.rate
    if rate is None:
        tried = carry_out(args, "dev", [((names[0], "clean", "all", 0, "equal_steps"), r) for r in RATES], args.out, deadline)
        rate = max(tried, key=lambda r: r["metrics"]["grounded"] + r["metrics"]["pope_accuracy"])["rate"]
        print("learning rate:", rate, flush=True)
    carry_out(args, "test", [(job, rate) for job in jobs(names, args.seeds)], args.out, deadline)


if __name__ == "__main__":
    main()
