"""Lets the demo model answer, greedily, and writes what `pipeline evaluate` reads: demo-pope.jsonl, demo-chair.jsonl.

    python examples/evaluate/demo-outputs.py      (experiments/demo-model/requirements.txt)

The scenes are fresh ones (seed 4242), each with a pair of drawing and card color that training never showed. One
question on a drawing that is there and one on a drawing that is not, drawn at random; one caption in one style.
"""

import json
import random
import sys
from collections import defaultdict
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "experiments" / "demo-model"))
import scoring  # noqa: E402
from render import Renderer, tensors  # noqa: E402
from world import NAMES, article, random_scene  # noqa: E402

SCENES, SEED, BATCH = 200, 4242, 50


def main():
    rng, generator = random.Random(SEED), torch.Generator().manual_seed(SEED)
    scorer = scoring.Scorer(HERE.parents[1] / "data" / "models" / "demo")
    scenes = [random_scene(rng, unseen=True) for _ in range(SCENES)]
    images = Renderer().draw(*tensors(scenes), generator).round().byte().permute(0, 2, 3, 1).numpy()
    pope, chair, asked = [], [], []
    for scene, image in zip(scenes, images):
        present = sorted({NAMES[name] for _, name, _ in scene})
        absent = [name for name in NAMES if name not in present]
        for label, name in (("yes", rng.choice(present)), ("no", rng.choice(absent))):
            question = f"Is there {article(name)} {name} in the picture?"
            pope.append({"question": question, "response": "", "label": label, "sampling": "random"})
            asked.append((pope[-1], image, question))
        chair.append({"response": "", "objects": present})
        asked.append((chair[-1], image, "Describe the image."))
    answer(scorer, asked)
    for name, rows in (("demo-pope", pope), ("demo-chair", chair)):
        (HERE / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@torch.no_grad()
def answer(scorer, asked):
    """Fills in the responses, in batches of prompts of one length, so that none is padded."""
    by_length = defaultdict(list)
    for row, image, question in asked:
        text = scorer.render([{"role": "user", "content": f"<image>\n{question}"}], ask=True)
        ids = scorer.tokenizer(text, add_special_tokens=False)["input_ids"]
        by_length[len(ids)].append((row, image, ids))
    for length, group in by_length.items():
        for start in range(0, len(group), BATCH):
            rows, images, ids = zip(*group[start : start + BATCH])
            ids = torch.tensor(ids)
            out = scorer.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=scorer.pixels(images),
                                        do_sample=False, max_new_tokens=96, pad_token_id=scorer.tokenizer.eos_token_id)
            for row, tokens in zip(rows, out[:, length:]):
                row["response"] = scorer.tokenizer.decode(tokens, skip_special_tokens=True).strip()


main()
