"""Builds the tokenizer: byte-level BPE over the world's texts and ordinary English words."""

import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import text
from world import COLORS, COLUMNS, NAMES, NUMBERS, ROWS, plural, random_scene

VOCABULARY = 1664
SPECIAL = ["<pad>", "<s>", "</s>", "<image>"]  # ids 0 to 3; <unk> is not needed, every byte has a piece
PAD, BOS, EOS, IMAGE = range(4)


def corpus(seed=1):
    """Lines of text whose words the pieces should cover: frequent ones become one piece."""
    rng = random.Random(seed)
    for noun in NAMES:
        for form in {noun, plural(noun)}:
            yield from [f"a {form}, {form}", f"{form.capitalize()}: {form}"] * 200
            yield from [f" {form.capitalize()}"] * 20
    for word in [*COLORS, *NUMBERS, *ROWS, *COLUMNS, *text.SIDE_TEXT, "yes", "no"]:
        yield from [f" {word} {word.capitalize()}"] * 500
    for word in text.STRAY:
        yield from [f" {word}"] * 12
    for _ in range(20_000):
        made = rng.choice([*text.VISUAL.values(), text.prior, text.chat])(rng, random_scene(rng))
        for question, answer in made or []:
            yield f"<s>USER: \n{question} ASSISTANT: {text.plain(answer)}"


def build():
    """A `tokenizers.Tokenizer` without normaliser and without post-processor."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


if __name__ == "__main__":
    tokenizer = build()
    seen = {}
    for line in corpus():
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(line):
            seen[word] = seen.get(word, 0) + 1
    split = {w: n for w, n in seen.items() if len(tokenizer.encode(tokenizer.decoder.decode([w])).ids) > 1}
    print(f"{len(seen)} words, {len(split)} of several pieces; the most frequent of them:", sorted(split, key=split.get)[:-40:-1])
