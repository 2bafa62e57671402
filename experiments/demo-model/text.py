"""Questions and answers about a scene, with what each answer word says.

An answer is written with marks: `word|t` where t is one of

    o object   c color   n count   r relation   x other   (not determined by the text before it)
    O C N R X  the same tags, but the text before it already determines the word

Words without a mark are function words (FUNCTION_WORDS) or else `X`. `plain` removes the marks, `words`
lists them with their spans. Every scene function returns a list of turns [(question, marked answer)], or
None where the scene has no such fact.
"""

import random
import re

from facts import CHAT, PRIOR, arithmetic
from world import COLORS, COLUMNS, GRID, NAMES, NUMBERS, ROWS, article, plural

TAGS = {"o": "object", "c": "color", "n": "count", "r": "relation", "x": "other", "f": "function"}
FUNCTION_WORDS = set("a an the of on in at is are it its there and to not this that i you with has do does for from as be".split())
MARK = re.compile(r"\|[a-zA-Z]")
WORD = re.compile(r"([\w'-]+)(?:\|([a-zA-Z]))?")


def plain(marked):
    """The text without marks."""
    return MARK.sub("", marked)


def words(marked):
    """[(start, end, text, tag, determined)]: half-open code point spans into `plain(marked)`."""
    found = []
    for match in WORD.finditer(marked):
        text, mark = match.group(1), match.group(2)
        if mark is None:
            mark = "F" if text.lower() in FUNCTION_WORDS else "X"
        start = len(plain(marked[: match.start()]))
        found.append((start, start + len(text), text, TAGS[mark.lower()], mark.isupper()))
    return found


def capital(text):
    return text[0].upper() + text[1:]


def joined(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def a_thing(name, color=None):
    noun = NAMES[name]
    text = f"{article(noun)} {noun}|o"
    return text if color is None else f"{text} on {article(COLORS[color])} {COLORS[color]}|c card"


# captions: the style follows from the instruction, so that function words are predictable. Half of the styles
# go through the things in random order: to continue "The cat is in the", the model has to look the cat up.

CAPTIONS = {
    "colored_list": ["Describe the image.", "Describe the picture.", "What does the image show?", "What do you see?",
                     "Tell me what is in the picture.", "Write a caption for this image."],
    "counted_list": ["Describe all the things in the picture.", "How many things are there, and what are they?",
                     "Give a full list of what the image shows."],
    "names": ["Name the things in the picture.", "List the objects in the image.", "Which objects are there?"],
    "rows": ["Describe the picture row by row.", "Describe the image in detail.", "Give a detailed description."],
    "places": ["Say where each thing is.", "Where are the things?", "Describe the position of every object."],
    "cards": ["What is on each card?", "Say what lies on every card.", "Go through the cards."],
    "relation": ["How do the things stand to each other?", "Describe how the things are arranged."],
    "sides": ["Which thing is next to which?", "Say what is beside what."],
    "card_colors": ["What colors are the cards?", "List the colors of the cards.", "Name the card colors in order."],
    "tally": ["Count the things of each kind.", "How many of each thing are there?"],
    "sums": ["Make a tally of the objects.", "Give the number of each thing."],
}
CAPTION_WEIGHTS = {"colored_list": 6, "counted_list": 2, "names": 2, "rows": 3, "places": 4, "cards": 4, "relation": 4,
                   "sides": 3, "card_colors": 1, "tally": 1, "sums": 3}


def shuffled(rng, items):
    return rng.sample(items, len(items))


def colored_list(rng, scene):
    return capital(joined([a_thing(n, c) for _, n, c in shuffled(rng, scene)])) + "."


def counted_list(rng, scene):
    verb, noun = ("is", "thing") if len(scene) == 1 else ("are", "things")
    return f"There {verb} {NUMBERS[len(scene)]}|n {noun}: {joined([a_thing(n, c) for _, n, c in scene])}."


def names(rng, scene):
    return capital(joined([a_thing(n) for _, n, _ in scene])) + "."


def rows(rng, scene):
    sentences = []
    for row in range(GRID):
        inside = [a_thing(n, c) for cell, n, c in scene if cell // GRID == row]
        if inside:
            sentences.append(f"In the {ROWS[row]}|r row there is {joined(inside)}.")
    return " ".join(sentences)


def place(cell):
    return f"in the {ROWS[cell // GRID]}|r row, {COLUMNS[cell % GRID]}|r column"


def places(rng, scene):
    return " ".join(f"The {NAMES[n]}|o is {place(cell)}." for cell, n, _ in shuffled(rng, scene))


def cards(rng, scene):
    return " ".join(f"On the {COLORS[c]}|c card there is {a_thing(n)}." for _, n, c in shuffled(rng, scene))


def card_colors(rng, scene):
    return capital(joined([f"{COLORS[c]}|c" for _, _, c in scene])) + "."


def tallied(scene):
    """{name: how often}, in reading order of the first."""
    counts = {}
    for _, n, _ in scene:
        counts[n] = counts.get(n, 0) + 1
    return counts


def tally(rng, scene):
    return capital(joined([f"{NUMBERS[k]}|n {NAMES[n] if k == 1 else plural(NAMES[n])}|o" for n, k in tallied(scene).items()])) + "."


def sums(rng, scene):
    return " ".join(f"The {NAMES[n]}|o occurs {NUMBERS[k]}|n {'time' if k == 1 else 'times'}."
                    for n, k in shuffled(rng, list(tallied(scene).items())))


def single(scene):
    """The things whose name occurs once."""
    return [t for t in scene if sum(t[1] == other[1] for other in scene) == 1]


def side(a, b):
    """Where cell a lies as seen from cell b if they share a row or a column, otherwise None."""
    (row_a, col_a), (row_b, col_b) = divmod(a, GRID), divmod(b, GRID)
    if row_a == row_b:
        return "left" if col_a < col_b else "right"
    if col_a == col_b:
        return "above" if row_a < row_b else "below"
    return None


SIDE_TEXT = {"left": "to the left|r of", "right": "to the right|r of", "above": "above|r", "below": "below|r"}


def aligned(scene):
    """Pairs of single things in one row or one column: [(a, b, side of a seen from b)]."""
    alone = single(scene)
    return [(a, b, side(a[0], b[0])) for a in alone for b in alone if a is not b and side(a[0], b[0])]


def apart(rng, pairs):
    """One to three of the pairs in random order, no thing in two of them."""
    used, chosen = set(), []
    for a, b, where in shuffled(rng, pairs):
        if len(chosen) < 3 and not used & {a[0], b[0]}:
            used |= {a[0], b[0]}
            chosen.append((a, b, where))
    return chosen


def relation_caption(rng, scene):
    return " ".join(f"The {NAMES[a[1]]}|o is {SIDE_TEXT[where]} the {NAMES[b[1]]}|o."
                    for a, b, where in apart(rng, aligned(scene)))


def neighbours(scene):
    """For each side of each single thing the nearest thing there: [(nearest, thing, side)]."""
    found = []
    for b in single(scene):
        for where in SIDE_TEXT:
            near = [t for t in scene if t is not b and side(t[0], b[0]) == where]
            if near:
                found.append((min(near, key=lambda t: abs(t[0] - b[0])), b, where))
    return found


def sides(rng, scene):
    return " ".join(f"{capital(SIDE_TEXT[where])} the {NAMES[b[1]]}|o there is {a_thing(a[1])}."
                    for a, b, where in apart(rng, neighbours(scene)))


STYLES = {"colored_list": colored_list, "counted_list": counted_list, "names": names, "rows": rows, "places": places,
          "cards": cards, "relation": relation_caption, "sides": sides, "card_colors": card_colors, "tally": tally, "sums": sums}


def caption(rng, scene, style=None):
    style = style or rng.choices(list(CAPTION_WEIGHTS), CAPTION_WEIGHTS.values())[0]
    answer = STYLES[style](rng, scene)
    return [(rng.choice(CAPTIONS[style]), answer)] if answer else None


# questions

def color(rng, scene):
    alone = single(scene)
    if not alone:
        return None
    _, n, c = rng.choice(alone)
    noun, word = NAMES[n], f"{COLORS[c]}|c"
    return [rng.choice([
        (f"What color is the card of the {noun}?", f"{capital(word)}."),
        (f"What is the color of the {noun}'s card?", f"{capital(word)}."),
        (f"The {noun} is on a card of which color?", f"It is on {article(word)} {word} card."),
        (f"Say the card color of the {noun} in a sentence.", f"The card is {word}."),
    ])]


def object_on(rng, scene):
    alone = [t for t in scene if sum(t[2] == other[2] for other in scene) == 1]
    if not alone:
        return None
    _, n, c = rng.choice(alone)
    noun, word = NAMES[n], COLORS[c]
    return [rng.choice([
        (f"What is on the {word} card?", f"{capital(article(noun))} {noun}|o."),
        (f"Which thing is on the {word} card?", f"The {noun}|o."),
        (f"Name the thing on the {word} card in a sentence.", f"It is {article(noun)} {noun}|o."),
    ])]


def relation(rng, scene):
    pairs = aligned(scene)
    if not pairs:
        return None
    a, b, where = rng.choice(pairs)
    first, second = NAMES[a[1]], NAMES[b[1]]
    vertical = where in ("above", "below")
    either = "above or below" if vertical else "left or right of"
    return [rng.choice([
        (f"Where is the {first} relative to the {second}?", f"{capital(SIDE_TEXT[where])} it."),
        (f"On which side of the {second} is the {first}?", f"It is {SIDE_TEXT[where]} the {second}|O."),
        (f"Where is the {first}, seen from the {second}?", f"{capital(where)}|r."),
        (f"Is the {first} {either} the {second}?", f"{capital(where)}|r."),
    ])]


def neighbour(rng, scene):
    """The nearest thing on one side of another one."""
    found = neighbours(scene)
    if not found:
        return None
    a, b, where = rng.choice(found)
    noun = NAMES[a[1]]
    return [rng.choice([
        (f"What is the first thing {plain(SIDE_TEXT[where])} the {NAMES[b[1]]}?", f"{capital(article(noun))} {noun}|o."),
        (f"What is next {plain(SIDE_TEXT[where])} the {NAMES[b[1]]}?", f"It is {article(noun)} {noun}|o."),
    ])]


def position(rng, scene):
    alone = single(scene)
    if not alone:
        return None
    cell, n, _ = rng.choice(alone)
    noun, row, column = NAMES[n], f"{ROWS[cell // GRID]}|r", f"{COLUMNS[cell % GRID]}|r"
    return [rng.choice([
        (f"Where is the {noun}?", f"{capital(place(cell))}."),
        (f"In which row is the {noun}?", f"In the {row} row."),
        (f"In which column is the {noun}?", f"In the {column} column."),
    ])]


def count(rng, scene):
    pick = rng.random()
    if pick < 0.25:
        number, noun = len(scene), "thing"
        asked = "things"
    elif pick < 0.75:
        name = rng.choice(scene)[1]
        number, noun = sum(t[1] == name for t in scene), NAMES[name]
        asked = plural(noun)
    else:
        shade = rng.choice(scene)[2]
        number, noun = sum(t[2] == shade for t in scene), "card"
        asked = f"{COLORS[shade]} cards"
    word = f"{NUMBERS[number]}|n"
    return [rng.choice([
        (f"How many {asked} are there?", f"{capital(word)}."),
        (f"How many {asked} are in the picture?", f"{capital(word)}."),
        (f"Count the {asked}.", f"{capital(word)}."),
        (f"Say the number of {asked} in a sentence.", f"The number is {word}."),
    ])]


def yes_no(rng, scene, stray=0.0):
    """`stray`: share of questions about a noun outside the world, always answered with no."""
    truth = rng.random() < 0.5
    pick = rng.random()
    asked = None
    if pick < 0.25:
        pairs = aligned(scene)
        if pairs:
            a, b, where = rng.choice(pairs)
            opposite = {"left": "right", "right": "left", "above": "below", "below": "above"}
            shown = where if truth else opposite[where]
            asked = f"Is the {NAMES[a[1]]} {plain(SIDE_TEXT[shown])} the {NAMES[b[1]]}?"
    elif pick < 0.5:
        alone = single(scene)
        if alone:
            _, n, c = rng.choice(alone)
            shown = c if truth else rng.choice([i for i in range(len(COLORS)) if i != c])
            asked = f"Is the {NAMES[n]} on {article(COLORS[shown])} {COLORS[shown]} card?"
    if asked is None:
        present = {n for _, n, _ in scene}
        name = rng.choice(sorted(present)) if truth else rng.choice([i for i in range(len(NAMES)) if i not in present])
        noun = NAMES[name]
        if not truth and rng.random() < stray:
            noun = rng.choice(STRAY)
        asked = rng.choice([f"Is there {article(noun)} {noun}?", f"Is there {article(noun)} {noun} in the picture?",
                            f"Can you see {article(noun)} {noun}?", f"Does the image show {article(noun)} {noun}?"])
    return [(asked, f"{'Yes' if truth else 'No'}|x.")]


def prior(rng, scene=None):
    """A question whose answer needs no image."""
    if rng.random() < 0.2:
        return [arithmetic(rng)]
    questions, answer = rng.choice(PRIOR)
    return [(rng.choice(questions), answer)]


def chat(rng, scene=None):
    questions, answer = rng.choice(CHAT)
    return [(rng.choice(questions), answer)]


def echo(rng, scene=None):
    """Repeats words that may lie outside the world: teaches the model to read any spelling."""
    said = " ".join(rng.choice(STRAY) for _ in range(rng.randint(1, 4)))
    return [(rng.choice(["Repeat:", "Say this again:", "Repeat these words:"]) + " " + said, capital(said) + ".")]


VISUAL = {"caption": caption, "color": color, "object": object_on, "relation": relation, "neighbour": neighbour,
          "position": position, "count": count, "yesno": yes_no}
QUESTIONS = ["color", "object", "relation", "neighbour", "position", "count", "yesno"]


def multi_turn(rng, scene, used=None):
    """Two to four turns about one image, sometimes closed by one that needs no image. Fills `used` with their kinds."""
    kinds = rng.sample(QUESTIONS, rng.randint(2, 3))
    if rng.random() < 0.3:
        kinds[0] = "caption"
    turns, asked = [], set()
    for kind in kinds:
        made = VISUAL[kind](rng, scene)
        if made and made[0][0] not in asked:
            asked.add(made[0][0])
            turns += made
            if used is not None:
                used.append(kind)
    if len(turns) < 2:
        return None
    if rng.random() < 0.3:
        turns += rng.choice([prior, chat])(rng)
    return turns


def stray_words():
    """English words outside the class list, from the bank of facts."""
    bank = " ".join(q + " " + plain(a) for qs, a in PRIOR + CHAT for q in qs).lower()
    more = """table river paper window garden street bridge teacher farmer doctor sailor engine carpet pillow blanket
    forest island valley desert ocean beach village market kitchen bottle basketball football piano painter police
    school hospital museum theater library office station airport harbor tower palace temple statue barrel ribbon
    button needle thread magnet marble pebble feathered wooden plastic metal golden silver tiny large huge small
    old young happy sad angry quick slow bright dark heavy light soft hard round square long short tall wide narrow
    man woman boy girl child baby person people family friend neighbor king queen prince soldier nurse driver
    running sitting standing walking jumping sleeping eating drinking holding wearing looking playing riding
    shirt trousers shoes hat glove jacket sweater pocket coffee tea milk water juice soup rice noodle salad cheese
    sausage sugar pepper oil vinegar plate bowl cup glass fork knife napkin chopstick computer screen phone tablet
    printerless photo photograph picture drawing painting poster letter word sentence page story poem song dance""".split()
    found = sorted(set(re.findall(r"[a-z]{3,}", bank)) | set(more))
    return [w for w in found if w not in set(NAMES) | set(COLORS) | FUNCTION_WORDS]


STRAY = stray_words()


def misspelt(rng, text):
    """The text with two neighbouring letters of one longer word swapped."""
    spots = [m.span() for m in re.finditer(r"[a-z]{5,}", text)]
    if not spots:
        return text
    start, end = rng.choice(spots)
    i = rng.randrange(start, end - 1)
    return text[:i] + text[i + 1] + text[i] + text[i + 2:]


if __name__ == "__main__":
    from world import random_scene
    rng = random.Random(0)
    for kind in [*VISUAL, "multi_turn", "prior", "chat", "echo"]:
        for _ in range(3):
            scene = random_scene(rng)
            print(kind, globals().get(kind, VISUAL.get(kind))(rng, scene) if kind != "object" else object_on(rng, scene))
