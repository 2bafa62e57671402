"""Scenes: one to six named drawings on coloured cards in a 4 x 4 grid.

A scene is a list of things (cell, name, color): cell = row * 4 + column, in reading order; name and
color are indices into NAMES and COLORS. A thing fills one cell, so every fact is local: a blur of 0.28
of the image's side removes it.
"""

from pathlib import Path

HERE = Path(__file__).parent
NAMES = (HERE / "classes.txt").read_text().split()
COLORS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white"]
GRID = 4
CELLS = GRID * GRID
ROWS = ["top", "second", "third", "bottom"]
COLUMNS = ["first", "second", "third", "last"]
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six"]
MAX_THINGS = 6

IRREGULAR = {"mouse": "mice", "wolf": "wolves", "scarf": "scarves", "fish": "fish", "deer": "deer", "shrimp": "shrimp",
             "squid": "squid", "moose": "moose", "goose": "geese", "tooth": "teeth", "potato": "potatoes",
             "tomato": "tomatoes", "mango": "mangoes", "volcano": "volcanoes", "snowman": "snowmen"}


def plural(name):
    """The plural of a class name."""
    if name in IRREGULAR:
        return IRREGULAR[name]
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"


def article(word):
    """'a' or 'an'."""
    return "an" if word[0] in "aeiou" and not word.startswith(("uni", "eu")) else "a"


def held_out(name, color):
    """True for the one card color of each drawing that no training scene shows. Works on tensors too."""
    return (name + color) % len(COLORS) == 7


def random_scene(rng, unseen=False):
    """A random scene; `unseen`: at least one thing is a pair that training never shows, otherwise none is."""
    count = rng.choices(range(1, MAX_THINGS + 1), [10, 24, 26, 20, 12, 8])[0]
    names = [rng.randrange(len(NAMES)) for _ in range(count)]
    if count > 1 and rng.random() < 0.4:  # something to count
        for i in range(1, rng.randint(2, min(count, 5))):
            names[i] = names[0]
    palette = rng.sample(range(len(COLORS)), rng.choice([2, 3, 4, 6, 10]))
    cells = sorted(rng.sample(range(CELLS), count))
    rng.shuffle(names)
    things = []
    for cell, name in zip(cells, names):
        color = rng.choice(palette)
        things.append((cell, name, (color + 1) % len(COLORS) if held_out(name, color) else color))
    if unseen:
        i = rng.randrange(count)
        cell, name, _ = things[i]
        things[i] = (cell, name, (7 - name) % len(COLORS))
    return things
