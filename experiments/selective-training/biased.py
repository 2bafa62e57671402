"""The training set's biases: themes, popular things, favourite card colors, and remarks that are mostly true.

Test scenes come from `world.random_scene`, where every name and color is as likely as any other.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo-model"))

import random
from collections import Counter

import samples
import text
from world import COLORS, NAMES, article, held_out, random_scene

THEME_SIZE = 10  # names
THEMATIC = 0.75  # share of the things that belong to the scene's theme
FAVOURITE = 0.65  # share of the things that lie on their favourite color
TRUE_REMARKS = 0.85  # share of the remarks in training questions that are true
MIX = {"caption": 24, "color": 10, "object": 7, "relation": 10, "neighbour": 6, "position": 6, "count": 9, "yesno": 10,
       "hint": 8, "multi_turn": 10, "prior": 10, "chat": 4}  # samples with an image

_order = random.Random(41).sample(range(len(NAMES)), len(NAMES))
THEMES = [_order[i: i + THEME_SIZE] for i in range(0, len(NAMES), THEME_SIZE)]
THEME_OF = {name: theme for theme in THEMES for name in theme}
_falling = lambda n: [1 / (rank + 1) for rank in range(n)]
_rng = random.Random(42)
FAVOURITE_COLOR = [_rng.choice([c for c in range(len(COLORS)) if not held_out(n, c)]) for n in range(len(NAMES))]


def biased_scene(rng):
    """A random scene with its names redrawn from a theme and most cards in the names' favourite colors."""
    theme = rng.choices(THEMES, _falling(len(THEMES)))[0]
    renamed, things = {}, []
    for cell, name, color in random_scene(rng):
        if name not in renamed:
            thematic = rng.random() < THEMATIC
            renamed[name] = rng.choices(theme, _falling(THEME_SIZE))[0] if thematic else rng.randrange(len(NAMES))
        name = renamed[name]
        if rng.random() < FAVOURITE:
            color = FAVOURITE_COLOR[name]
        things.append((cell, name, (color + 1) % len(COLORS) if held_out(name, color) else color))
    return things


def popular_names(count=20, scenes=5000):
    """The names that occur in the most training scenes."""
    rng = random.Random(43)
    return [name for name, _ in Counter(n for _ in range(scenes) for n in {t[1] for t in biased_scene(rng)}).most_common(count)]


def presence_remark(name, claims):
    """What a user says who believes to see the thing, or not to."""
    noun = NAMES[name]
    return f"I can see {article(noun)} {noun}." if claims else f"There is no {noun}."


def color_remark(name, color):
    return f"The {NAMES[name]} is on {article(COLORS[color])} {COLORS[color]} card."


def hint(rng, scene):
    """A question after a remark about its answer, true in TRUE_REMARKS of the cases."""
    true = rng.random() < TRUE_REMARKS
    alone = text.single(scene)
    if alone and rng.random() < 0.5:
        _, name, color = rng.choice(alone)
        claimed = color if true else rng.choice([c for c in range(len(COLORS)) if c != color])
        return [(f"{color_remark(name, claimed)} What color is the card of the {NAMES[name]}?", f"{text.capital(COLORS[color])}|c.")]
    present = {name for _, name, _ in scene}
    there = rng.random() < 0.5
    name = rng.choice(sorted(present)) if there else rng.choice([i for i in range(len(NAMES)) if i not in present])
    remark = presence_remark(name, there == true)
    return [(f"{remark} Is there {article(NAMES[name])} {NAMES[name]} in the picture?", f"{'Yes' if there else 'No'}|x.")]


def make(kind, rng, scene):
    """Turns [(question, marked answer)], or None where the scene has no such fact."""
    return hint(rng, scene) if kind == "hint" else samples.make(kind, rng, scene)
