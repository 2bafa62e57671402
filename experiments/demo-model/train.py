"""Trains the demo model from nothing and writes its Hugging Face folder.

    python train.py --out out/model            # one GPU
    python train.py --out out/smoke --smoke    # a few steps on a CPU, to find bugs

Three stages, all seeded:
  encoder    the vision tower learns to name each patch's drawing, card color, row and column
  language   the decoder learns text alone, and conversations about *textual layouts*: sixteen vectors in
             place of the image, each the sum of the word embeddings of a name and a color and of a row and a
             column vector
  alignment  only the adapter is trained, on captions phrased as one-turn instructions
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from build_tokenizer import build
from model import new_model, save
from render import Renderer, blurred, normalized
from samples import IMAGE_START, LONGEST, MIX, TEXT_MIX, Factory
from world import CELLS, COLORS, GRID, MAX_THINGS, NAMES, held_out

BATCH_TOKENS = 61_440  # positions in a batch, all of one length class: few large passes, since small ones wait for launches
WIDTHS = [40, 64, LONGEST]  # tokens, the length classes


class Stage:
    """Optimizer, schedule, clock and log of one stage."""

    def __init__(self, name, parameters, steps, rate, weight_decay=0.01):
        self.name, self.steps, self.rate = name, steps, rate
        self.parameters = list(parameters)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=rate, betas=(0.9, 0.98), weight_decay=weight_decay,
                                           fused=self.parameters[0].is_cuda)
        self.start = time.time()

    def step(self, i, loss):
        """One update from the gradients; linear warm-up over 5 %, then cosine to zero."""
        warm = max(1, self.steps // 20)
        scale = (i + 1) / warm if i < warm else 0.5 * (1 + np.cos(np.pi * (i - warm) / (self.steps - warm)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * scale
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if i % max(1, self.steps // 12) == 0 or i == self.steps - 1:
            print(f"{self.name:9} step {i:5}/{self.steps} loss {loss.item():.4f} {time.time() - self.start:6.1f} s", flush=True)

    def seconds(self):
        return round(time.time() - self.start, 1)


def random_layouts(batch, rng):
    """Random scenes on the device: (name, color) int64 [batch, 16], -1 where empty; no held-out pair."""
    device = rng.device
    rand = lambda *shape: torch.rand(*shape, generator=rng, device=device)
    count = 1 + (rand(batch, 1) * MAX_THINGS).long()
    filled = rand(batch, CELLS).argsort(1) < count
    name = (rand(batch, CELLS) * len(NAMES)).long()
    name = torch.where(rand(batch, CELLS) < 0.2, name[:, :1], name)  # things that repeat
    color = (rand(batch, CELLS) * len(COLORS)).long()
    color = torch.where(held_out(name, color), (color + 1) % len(COLORS), color)
    return torch.where(filled, name, -1), torch.where(filled, color, -1)


def patch_features(model, pixels):
    """What the adapter sees: the tower's last hidden states without the class token, [batch, 16, width]."""
    return model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]


def some_blurred(image, share, rng, low):
    """Blurs the first `share` of a batch, sigma log-uniform between `low` and 40 px."""
    n = int(len(image) * share)
    if n == 0:
        return image
    sigma = low * (40 / low) ** torch.rand(n, generator=rng, device=image.device)
    return torch.cat([blurred(image[:n], sigma), image[n:]])


def train_encoder(model, renderer, rng, steps, batch):
    device, width = rng.device, model.config.vision_config.hidden_size
    sizes = [len(NAMES) + 1, len(COLORS) + 1, GRID, GRID]
    heads = nn.Linear(width, sum(sizes)).to(device)
    cell = torch.arange(CELLS, device=device)
    stage = Stage("encoder", [*model.model.vision_tower.parameters(), *heads.parameters()], steps, 1.5e-3, 0.02)
    for i in range(steps):
        name, color = random_layouts(batch, rng)
        with torch.no_grad():
            pixels = normalized(some_blurred(renderer.draw(name, color, rng), 0.15, rng, 1.0))
        with torch.autocast(device.type, torch.bfloat16):
            logits = heads(patch_features(model, pixels)).float().split(sizes, -1)
        truth = [name + 1, color + 1, (cell // GRID).expand(batch, -1), (cell % GRID).expand(batch, -1)]
        loss = sum(F.cross_entropy(x.flatten(0, 1), t.flatten()) for x, t in zip(logits, truth))
        loss.backward()
        stage.step(i, loss)
    with torch.no_grad():  # on clean, unblurred images
        name, color = random_layouts(batch, rng)
        logits = heads(patch_features(model, normalized(renderer.draw(name, color, rng)))).split(sizes, -1)
        filled = name >= 0
        right = [float((logits[0].argmax(-1) == name + 1)[filled].float().mean()),
                 float((logits[1].argmax(-1) == color + 1)[filled].float().mean())]
        misses = (logits[0].argmax(-1) != name + 1) & filled
        print("confused:", [(NAMES[a], NAMES[b - 1] if b else "empty") for a, b in zip(name[misses].tolist(), logits[0].argmax(-1)[misses].tolist())][:20])
    return {"seconds": stage.seconds(), "name_accuracy": right[0], "color_accuracy": right[1]}


class Layouts(nn.Module):
    """Textual layouts: stand-ins for the image, in the decoder's embedding space. Thrown away after the stage."""

    def __init__(self, width):
        super().__init__()
        tokenizer = build()
        pieces = [tokenizer.encode(f" {n}").ids for n in NAMES]
        assert all(len(p) == 1 for p in pieces), "every name is one piece"
        self.register_buffer("names", torch.tensor(pieces)[:, 0])
        self.register_buffer("colors", torch.tensor([tokenizer.encode(f" {c}").ids[0] for c in COLORS]))
        table = lambda n: nn.Parameter(torch.randn(n, width) * 0.02)
        self.row, self.column, self.empty, self.unknown = table(GRID), table(GRID), table(1), table(1)
        cell = torch.arange(CELLS)
        self.register_buffer("place", torch.stack([cell // GRID, cell % GRID]))

    def forward(self, embed, name, color, rng):
        """[batch, 16, width] from the scenes; 10 % of the layouts are blank, some patches or their parts are missing.

        Without `rng` nothing is blank or missing and there is no noise.
        """
        batch, device = name.shape[0], name.device
        if rng is None:
            content = torch.where((name >= 0)[..., None], embed(self.names)[name.clamp(min=0)] + embed(self.colors)[color.clamp(min=0)], self.empty)
            return content + self.row[self.place[0]] + self.column[self.place[1]]
        rand = lambda *shape: torch.rand(*shape, generator=rng, device=device)
        filled = (name >= 0)[..., None]
        words = embed(self.names)[name.clamp(min=0)] * (rand(batch, CELLS, 1) > 0.02)
        shades = embed(self.colors)[color.clamp(min=0)] * (rand(batch, CELLS, 1) > 0.02)
        content = torch.where(filled, words + shades, self.empty)
        blank = (rand(batch, 1, 1) < 0.1) | (rand(batch, CELLS, 1) < 0.02)
        vectors = torch.where(blank, self.unknown, content) + self.row[self.place[0]] + self.column[self.place[1]]
        scale = vectors.detach().pow(2).mean().sqrt()
        return vectors + torch.randn(vectors.shape, generator=rng, device=device) * scale * 0.3


class Sampler:
    """Random batches on the device, each of one length class (WIDTHS), the classes in proportion to their tokens."""

    def __init__(self, data, batch_tokens, rng):
        data = [torch.from_numpy(x).to(rng.device) for x in data]
        lengths, self.classes, self.rng, low = data[2], [], rng, 0
        self.order = np.random.default_rng(rng.initial_seed())
        for width in WIDTHS:
            inside = (lengths > low) & (lengths <= width)
            low = width
            if inside.any():
                self.classes.append((width, max(1, batch_tokens // width), [x[inside] for x in data]))
        shares = np.array([len(rows[0]) * width for width, _, rows in self.classes], float)
        self.shares = shares / shares.sum()
        print("tokens, samples a batch, share of steps:", [(w, n, round(s, 2)) for (w, n, _), s in zip(self.classes, self.shares)], flush=True)

    def take(self, width=None, count=None):
        """ids, labels int64 [count, width], name, color int64 [count, 16]; of the given or a random length class."""
        if width is None:
            width, count, rows = self.classes[self.order.choice(len(self.classes), p=self.shares)]
        else:
            rows = self.classes[0][2]
        ids, labels, _, name, color = rows
        pick = torch.randint(len(ids), (count,), generator=self.rng, device=ids.device)
        return ids[pick, :width].long(), labels[pick, :width].long(), name[pick].long(), color[pick].long()


def answer_loss(model, ids, labels, image):
    """Mean cross-entropy of the labelled tokens. The first len(image) rows have an image: [rows, 16, width]."""
    embeds = model.get_input_embeddings()(ids)
    rows, end = len(image), IMAGE_START + CELLS
    with_image = torch.cat([embeds[:rows, :IMAGE_START], image.to(embeds.dtype), embeds[:rows, end:]], 1)
    embeds = torch.cat([with_image, embeds[rows:]])
    with torch.autocast(ids.device.type, torch.bfloat16):
        hidden = model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
        at = labels[:, 1:] >= 0  # position t predicts token t + 1
        logits = model.lm_head(hidden[:, :-1][at])
    return F.cross_entropy(logits.float(), labels[:, 1:][at])


def train_language(model, data, text_data, rng, steps, batch_tokens):
    layouts = Layouts(model.config.text_config.hidden_size).to(rng.device)
    scenes, texts = Sampler(data, batch_tokens, rng), Sampler(text_data, batch_tokens, rng)
    stage = Stage("language", [*model.model.language_model.parameters(), *layouts.parameters()], steps, 2e-3)
    embed = model.get_input_embeddings()
    for i in range(steps):
        ids, labels, name, color = scenes.take()
        text_ids, text_labels, _, _ = texts.take(ids.shape[1], max(1, len(ids) // 8))
        loss = answer_loss(model, torch.cat([ids, text_ids]), torch.cat([labels, text_labels]), layouts(embed, name, color, rng))
        loss.backward()
        stage.step(i, loss.detach())
    with torch.no_grad():
        clean = [answer_loss(model, ids, labels, layouts(embed, name, color, None)) for ids, labels, name, color in (scenes.take() for _ in range(20))]
    return {"seconds": stage.seconds(), "answer_loss_on_clean_layouts": round(float(sum(clean)) / 20, 4)}


def align(model, renderer, data, mixed, rng, steps, batch_tokens):
    """Trains the adapter alone. `mixed`: samples of every kind, to measure what carries over to questions."""
    captions, others = Sampler(data, batch_tokens, rng), Sampler(mixed, batch_tokens, rng)
    model.requires_grad_(False)
    adapter = model.model.multi_modal_projector.requires_grad_(True)
    stage = Stage("alignment", adapter.parameters(), steps, 3e-3, 0.0)

    def loss_of(batch, blurred_share):
        ids, labels, name, color = batch
        with torch.no_grad(), torch.autocast(rng.device.type, torch.bfloat16):
            pixels = normalized(some_blurred(renderer.draw(name, color, rng), blurred_share, rng, 4.0))
            features = patch_features(model, pixels)
        with torch.autocast(rng.device.type, torch.bfloat16):
            image = adapter(features)
        return answer_loss(model, ids, labels, image)

    for i in range(steps):
        loss = loss_of(captions.take(), 0.1)
        loss.backward()
        stage.step(i, loss.detach())
    with torch.no_grad():
        found = {key: round(float(sum(loss_of(sampler.take(), 0) for _ in range(20))) / 20, 4)
                 for key, sampler in (("caption_loss", captions), ("answer_loss_of_every_kind", others))}
    return {"seconds": stage.seconds()} | found


def checkpoint(model, path):
    torch.save({k: v.half() for k, v in model.state_dict().items() if k != "lm_head.weight"}, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--smoke", action="store_true", help="a few tiny steps on the CPU")
    parser.add_argument("--steps", type=int, nargs=3, default=[1500, 6000, 2000], metavar=("ENCODER", "LANGUAGE", "ALIGNMENT"))
    parser.add_argument("--align-only", action="store_true", help="start from OUT/before-alignment.pt of an earlier run")
    args = parser.parse_args()
    if args.smoke:
        args.steps = [3, 3, 3]
    samples = (600, 200, 300) if args.smoke else (1_600_000, 200_000, 400_000)
    encoder_batch, batch_tokens = (8, 640) if args.smoke else (768, BATCH_TOKENS)
    start = time.time()
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device = torch.device("cuda" if torch.cuda.is_available() and not args.smoke else "cpu")
    factory = Factory(1 if args.smoke else max(1, (os.cpu_count() or 2) - 1))
    factory.order("scenes", args.seed, MIX, True, samples[0])
    factory.order("texts", args.seed + 1, TEXT_MIX, False, samples[1])
    factory.order("captions", args.seed + 2, {"caption": 1}, True, samples[2])
    model = new_model().to(device)
    rng = torch.Generator(device).manual_seed(args.seed)
    renderer = Renderer(device)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    kept = Path(args.out) / "before-alignment.pt"
    report = {"seed": args.seed, "steps": args.steps, "encoder_batch": encoder_batch, "batch_tokens": batch_tokens,
              "samples": samples, "parameters": sum(p.numel() for p in model.parameters())}
    if args.align_only:
        model.load_state_dict(torch.load(kept), strict=False)
        mixed = factory.take("scenes")
    else:
        report["encoder"] = train_encoder(model, renderer, rng, args.steps[0], encoder_batch)
        mixed = factory.take("scenes")
        report["language"] = train_language(model, mixed, factory.take("texts"), rng, args.steps[1], batch_tokens)
        checkpoint(model, kept)
        print(json.dumps(report), flush=True)
    report["alignment"] = align(model, renderer, factory.take("captions"), mixed, rng, args.steps[2], batch_tokens)
    factory.close()
    report["seconds"] = round(time.time() - start, 1)
    report["device"] = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    model.requires_grad_(True)
    save(model.cpu(), args.out)
    (Path(args.out) / "training.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
