"""Writes the instruction mix: LLaVA JSON with right images, the same with a quarter of the images shuffled, and the images.

    python make_mix.py --out out/mix

The aligned models saw none of these samples.
"""

import argparse
import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image

import biased
import text
from images import draw

SHUFFLED = 0.25  # share of the images that are wrong in the second mix


def turns_of(kind, rng):
    while True:
        scene = biased.biased_scene(rng)
        turns = biased.make(kind, rng, scene)
        if turns:
            return scene, turns


def record(key, source, turns, image):
    conversations = []
    for i, (question, answer) in enumerate(turns):
        lead = "<image>\n" if image and i == 0 else ""
        conversations += [{"from": "human", "value": lead + question}, {"from": "gpt", "value": text.plain(answer)}]
    return {"id": key} | ({"image": image} if image else {}) | {"source": source, "conversations": conversations}


def save_png(image, path):
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, compress_level=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--images", type=int, default=15_200, help="samples with an image (default %(default)s)")
    parser.add_argument("--texts", type=int, default=800, help="samples without one (default %(default)s)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()
    out, rng = Path(args.out), random.Random(args.seed)
    (out / "images").mkdir(parents=True, exist_ok=True)
    scenes, clean = [], []
    for i in range(args.images):
        kind = rng.choices(list(biased.MIX), biased.MIX.values())[0]
        scene, turns = turns_of(kind, rng)
        scenes.append(scene)
        clean.append(record(f"m{i:05}", kind, turns, f"{i:05}.png"))
    for i in range(args.texts):
        turns = rng.choice([text.prior, text.prior, text.chat])(rng)
        clean.append(record(f"t{i:05}", "text_only", turns, None))
    wrong = rng.sample(range(args.images), int(args.images * SHUFFLED))
    shuffled = [dict(r) for r in clean]
    for here, there in zip(wrong, wrong[1:] + wrong[:1]):
        shuffled[here]["image"] = clean[there]["image"]
    order = rng.sample(range(len(clean)), len(clean))
    for name, mix in (("clean", clean), ("shuffled", shuffled)):
        (out / f"{name}.json").write_text("[\n" + ",\n".join(json.dumps(mix[i]) for i in order) + "\n]\n")
    images = draw(scenes, args.seed, args.device)
    torch.save(images, out / "images.pt")  # the same pixels for the training
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda i: save_png(images[i], out / "images" / f"{i:05}.png"), range(len(images))))
    print(f"{len(clean)} samples, {len(scenes)} images, {len(wrong)} of them swapped in shuffled.json")


if __name__ == "__main__":
    main()
