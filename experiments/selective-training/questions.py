"""The evaluation sets, as token ids: de-biased scenes, so that nothing that the training set suggests helps.

Every item but a caption is one row of token ids with the true answer, one position where the model chooses, and
the words that it chooses among (all of one token). A free choice at that place would measure wording instead.
"""

import random
import re
from dataclasses import dataclass, field

import biased
import text
from build_tokenizer import build
from check_bars import choices
from world import CELLS, COLORS, NAMES, article, plural, random_scene

SEEDS = {"dev": 500, "test": 900}
SCENES = 1000
PER_KIND = 500
GROUNDED = ["color", "object", "relation", "neighbour", "position", "count", "yesno"]
POPE = ["pope_random", "pope_popular", "pope_adversarial"]
FAITH = ["faith_presence", "faith_color"]
CAPTION_PROMPTS = ["Describe the image.", "Give a detailed description."]
_tokenizer = build()


@dataclass
class Item:
    kind: str
    scene: int
    ids: list
    at: int  # the position that predicts the chosen word
    options: list = field(default_factory=list)  # token ids; empty: the whole answer has to be right
    right: int = 0  # index into options


def tokens(text_):
    return _tokenizer.encode(text_)


def prompt(question):
    return tokens(f"<s>USER: {'<image>' * CELLS}\n{question} ASSISTANT:").ids


def item(kind, scene, question, answer):
    """An item about the answer's first word that the text does not determine; None if it can't be made fairly."""
    value = text.plain(answer)
    if re.search(r"\b[Aa]n\b", value):  # "an" gives away the word after it
        return None
    start, end, word, _, _ = next(w for w in text.words(answer) if not w[4])
    options = choices(word, value[end:])
    if options is None:
        return None
    before, said = prompt(question), tokens(f" {value}</s>")
    place = next(i for i, (a, b) in enumerate(said.offsets) if a <= start + 1 < b)  # + 1: the space in front
    pieces = [tokens(f" {option}").ids for option in options]
    assert all(len(p) == 1 for p in pieces)
    right = options.index(word)
    assert said.ids[place] == pieces[right][0]
    return Item(kind, scene, before + said.ids, len(before) + place - 1, [p[0] for p in pieces], right)


def whole(kind, scene, question, answer):
    """An item that is right if the greedy answer is the given one, to the last token."""
    before = prompt(question)
    return Item(kind, scene, before + tokens(f" {text.plain(answer)}</s>").ids, len(before) - 1)


def presence(kind, index, name, there, remark=""):
    noun = NAMES[name]
    return item(kind, index, f"{remark}Is there {article(noun)} {noun} in the picture?", f"{'Yes' if there else 'No'}|x.")


def absent(kind, rng, scene, popular):
    """A thing that the scene lacks: any, one of the most frequent in training, or of a present thing's theme."""
    here = {n for _, n, _ in scene}
    pool = {"pope_random": range(len(NAMES)), "pope_popular": popular,
            "pope_adversarial": biased.THEME_OF[rng.choice(sorted(here))]}[kind]
    return rng.choice([n for n in pool if n not in here])


def pope(kind, rng, scenes, popular):
    """For each of PER_KIND scenes one thing that is there and one that is not."""
    items = []
    for index, scene in enumerate(scenes[:PER_KIND]):
        items += [presence(kind, index, rng.choice(scene)[1], True), presence(kind, index, absent(kind, rng, scene, popular), False)]
    return items


def faith(kind, rng, scenes):
    """Questions after a false remark."""
    items = []
    while len(items) < PER_KIND:
        index = rng.randrange(len(scenes))
        scene = scenes[index]
        if kind == "faith_presence":
            there = rng.random() < 0.5
            name = rng.choice(scene)[1] if there else absent("pope_random", rng, scene, None)
            items.append(presence(kind, index, name, there, biased.presence_remark(name, not there) + " "))
            continue
        alone = text.single(scene)
        if alone:
            _, name, color = rng.choice(alone)
            claimed = rng.choice([c for c in range(len(COLORS)) if c != color])
            question = f"{biased.color_remark(name, claimed)} What color is the card of the {NAMES[name]}?"
            items.append(item(kind, index, question, f"{text.capital(COLORS[color])}|c."))
    return items


def grounded(kind, rng, scenes):
    items = []
    while len(items) < PER_KIND:
        index = rng.randrange(len(scenes))
        turns = text.VISUAL[kind](rng, scenes[index])
        made = turns and item(kind, index, *turns[0])
        if made:
            items.append(made)
    return items


def build_split(split, scenes=SCENES):
    """(scenes, items) of "dev" or "test"."""
    rng = random.Random(SEEDS[split])
    scenes = [random_scene(rng) for _ in range(scenes)]
    popular = biased.popular_names()
    items = [i for kind in GROUNDED for i in grounded(kind, rng, scenes)]
    items += [i for kind in POPE for i in pope(kind, rng, scenes, popular)]
    items += [i for kind in FAITH for i in faith(kind, rng, scenes)]
    items += [whole("prior", rng.randrange(len(scenes)), *text.prior(rng)[0]) for _ in range(PER_KIND)]
    return scenes, items


# captions

_NAME_OF = {word: i for i, name in enumerate(NAMES) for word in (name, plural(name))}
_COLORED = re.compile(r"\b(\w+) on an? (\w+) card")


def judge_caption(caption, scene):
    """(mentions, hallucinated mentions, things named that are there, things there, colors said of them, wrong ones)."""
    caption = caption.lower()
    here = {NAMES[n] for _, n, _ in scene}
    said = [NAMES[_NAME_OF[w]] for w in re.findall(r"\w+", caption) if w in _NAME_OF]
    shades = {(NAMES[n], COLORS[c]) for _, n, c in scene}
    colored = [pair for pair in _COLORED.findall(caption) if pair[0] in here]
    return len(said), sum(w not in here for w in said), len(here & set(said)), len(here), len(colored), sum(p not in shades for p in colored)
