"""Training samples as token ids, made by worker processes."""

import random
from multiprocessing import get_context

import numpy as np

import text
from build_tokenizer import BOS, EOS, IMAGE, PAD, build
from render import tensors
from world import CELLS, random_scene

SHARD = 20_000  # samples
LONGEST = 160  # tokens; longer samples are left out
IMAGE_START = 4  # position of the first image token: <s> USER : _ <image>
MIX = {"caption": 24, "color": 11, "object": 8, "relation": 14, "neighbour": 8, "position": 8, "count": 11, "yesno": 12,
       "multi_turn": 10, "prior": 6, "chat": 2}  # with an image
TEXT_MIX = {"prior": 6, "chat": 2, "echo": 4}  # without
TYPO = 0.03  # share of questions with a misspelt word
STRAY = 0.3  # share of the presence questions to be answered with no that name something outside the world

_tokenizer = None


def encode(pieces):
    global _tokenizer
    _tokenizer = _tokenizer or build()
    return [e.ids for e in _tokenizer.encode_batch(pieces)]


def make(kind, rng, scene):
    if kind == "multi_turn":
        return text.multi_turn(rng, scene)
    if kind == "yesno":
        return text.yes_no(rng, scene, STRAY)
    return {**text.VISUAL, "prior": text.prior, "chat": text.chat, "echo": text.echo}[kind](rng, scene)


def shard(args):
    """(ids, labels, length, name, color) of SHARD samples.

    args: (seed, mix, with image). ids, labels: int16 [samples, LONGEST]; labels are the ids of the answer
    tokens (</s> included; without an image, of all tokens), -1 elsewhere. name, color: int16 [samples, 16].
    """
    seed, mix, image, size = args
    rng = random.Random(seed)
    kinds, weights = list(mix), list(mix.values())
    pieces, layout, scenes = [], [], []
    while len(scenes) < size:
        scene = random_scene(rng)
        turns = make(rng.choices(kinds, weights)[0], rng, scene)
        if not turns:
            continue
        spans = []
        for i, (question, answer) in enumerate(turns):
            if rng.random() < TYPO:
                question = text.misspelt(rng, question)
            lead = "<s>USER: " + ("<image>" * CELLS + "\n" if image else "") if i == 0 else "USER: "
            pieces.append(f"{lead}{question} ASSISTANT:")
            pieces.append(f" {text.plain(answer)}</s>")
            spans.append(len(pieces))
        layout.append(len(turns))
        scenes.append(scene)
    encoded = iter(encode(pieces))
    ids = np.full((size, LONGEST), PAD, np.int16)
    labels = np.full((size, LONGEST), -1, np.int16)
    length = np.zeros(size, np.int16)
    for i, turns in enumerate(layout):
        row, supervised = [], []
        for _ in range(turns):
            question, answer = next(encoded), next(encoded)
            row += question + answer
            supervised += ([-1] * len(question) if image else question) + answer
        if len(row) <= LONGEST:
            length[i] = len(row)
            ids[i, : len(row)], labels[i, : len(row)] = row, supervised
    keep = length > 0
    name, color = (t.numpy().astype(np.int16)[keep] for t in tensors(scenes))
    return ids[keep], labels[keep], length[keep], name, color


class Factory:
    """Makes sample sets in the background; `take` waits for one."""

    def __init__(self, workers):
        self.pool = get_context("spawn").Pool(workers)
        self.jobs = {}

    def order(self, key, seed, mix, image, count):
        size = min(SHARD, count)
        tasks = [(seed * 1_000_003 + i, mix, image, size) for i in range(max(1, count // size))]
        self.jobs[key] = self.pool.map_async(shard, tasks, chunksize=1)

    def take(self, key):
        parts = self.jobs.pop(key).get()
        return [np.concatenate(column) for column in zip(*parts)]

    def close(self):
        self.pool.terminate()


assert (PAD, BOS, EOS, IMAGE) == (0, 1, 2, 3)
