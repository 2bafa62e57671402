"""Writes the demonstration data set: LLaVA JSON, images, ground truth, triples and broken records.

    python make_data.py --out ../../data/demo

CPU only, seeded, about ten seconds. Each of the SCENES scenes holds at least one drawing on a card color
that training never showed for that drawing (`world.held_out`), so none of them was seen in training. The
scenes changed from them on purpose (wrong images, triples) may hold no such pair.
"""

import argparse
import json
import random
import re
import shutil
from pathlib import Path

import torch
from PIL import Image

import text
import world
from render import Renderer, tensors
from world import CELLS, COLORS, NAMES, article, held_out

PLAN = {"caption": 330, "color": 140, "object": 60, "relation": 130, "neighbour": 30, "position": 70, "count": 120,
        "yesno": 120, "multi_turn": 110}  # samples that need the image
REST = {"prior": 130, "chat": 70, "text_only": 70}
SCENES = 560
TRIPLES = 220
SOURCES = {"neighbour": "demo_relation", "multi_turn": "demo_conversation", "text_only": "demo_text"}
WRONG_SHARE = {"caption": 0.08}  # of the others 0.125; some tries fail, and a tenth of all end with a wrong image
STYLE_WEIGHTS = {"colored_list": 4, "counted_list": 7, "names": 2, "rows": 4, "places": 3, "cards": 3, "relation": 3, "sides": 2,
                 "card_colors": 1, "tally": 1, "sums": 1}
# "an" gives away the word after it, so the shipped scenes have no noun or color that needs it
AFTER_A = [i for i, noun in enumerate(NAMES) if article(noun) == "a"]
SHADES = [i for i, shade in enumerate(COLORS) if article(shade) == "a"]
WRONG_STYLES = ["colored_list", "counted_list", "names", "rows", "places"]


def answers(kind, scene, rng, draws=400):
    """{question: answer} that this kind's templates can ask about the scene."""
    return {q: a for _ in range(draws) for q, a in (text.VISUAL[kind](rng, scene) or [])}


def named(question):
    """The class names in a question."""
    return {i for i, noun in enumerate(NAMES) if noun in question.lower().replace("?", " ").replace("'", " ").split()}


def false_in(scene, kind, question, answer, rng):
    """True if the answer is not true of the scene: it has another one, or the things asked about are not there."""
    present = {n for _, n, _ in scene}
    if kind == "caption":
        said = {i for i, noun in enumerate(NAMES) if noun in text.plain(answer).lower().replace(".", " ").replace(",", " ").split()}
        return not said & present
    if kind == "yesno":
        if answer.startswith("Yes"):
            return not named(question) & present
        return bool(named(question)) and named(question) <= present and ("there" in question or "see" in question or "show" in question)
    other = answers(kind, scene, rng).get(question)
    if other is not None:
        return other != answer
    return bool(named(question)) and not named(question) <= present


def demo_scene(rng):
    """A scene of `world.random_scene` with every "an" word replaced, and at least one pair that training never showed."""
    while True:
        scene = [(cell, n if n in AFTER_A else rng.choice(AFTER_A), c if c in SHADES else rng.choice(SHADES))
                 for cell, n, c in world.random_scene(rng, unseen=True)]
        if any(held_out(n, c) for _, n, c in scene):
            return scene


def shaken(scene, rng):
    """The same drawings with other card colors in other cells."""
    cells = sorted(rng.sample(range(CELLS), len(scene)))
    order = rng.sample(scene, len(scene))
    return [(cell, n, rng.choice([k for k in SHADES if k != c])) for cell, (_, n, c) in zip(cells, order)]


def with_thing(name, rng):
    scene = demo_scene(rng)
    cell, _, color = scene[0]
    return [(cell, name, color), *scene[1:]]


def repeats(turns):
    """True if an answer says an object or a color that stood in the conversation before."""
    before = ""
    for question, answer in turns:
        before += " " + question.lower()
        for _, _, word, tag, _ in text.words(answer):
            if tag in ("object", "color") and re.search(rf"\b{word.lower()}\b", before):
                return True
        before += " " + text.plain(answer).lower()
    return False


class Builder:
    """Collects scenes, samples and ground truth."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.scenes, self.samples, self.truth = [], [], {}

    def add_scene(self, scene):
        self.scenes.append(scene)
        return len(self.scenes) - 1

    def file(self, index):
        return f"scene-{index:04}.{'png' if index % 4 == 0 else 'jpg'}"

    def add(self, key, source, kind, type_, turns, scene):
        """One sample; scene is an index or None. Returns the LLaVA record."""
        conversations, spans = [], []
        for i, (question, answer) in enumerate(turns):
            if i == 0 and scene is not None:
                question = f"{question}\n<image>" if self.rng.random() < 0.2 else f"<image>\n{question}"
            conversations += [{"from": "human", "value": question}, {"from": "gpt", "value": text.plain(answer)}]
            spans += [{"turn": 2 * i + 1, "start": a, "end": b, "text": w, "tag": t, "determined": d}
                      for a, b, w, t, d in text.words(answer)]
        record = {"id": key} | ({"image": self.file(scene)} if scene is not None else {})
        self.truth[key] = {"kind": kind, "type": type_, "words": spans}
        return record | {"source": source, "conversations": conversations}

    def wrong_scene(self, asked, scene):
        """A scene of which every asked (kind, question, answer) is false; None if 60 tries find none."""
        rng = self.rng
        for attempt in range(60):
            kind, question, answer = asked[0]
            if kind == "yesno" and answer.startswith("No") and len(asked) == 1:
                found = with_thing(rng.choice(sorted(named(question)) or [0]), rng)
            elif kind not in ("caption", "yesno") and attempt % 2 == 0:
                found = shaken(scene, rng)
            else:
                found = demo_scene(rng)
            if all(false_in(found, *turn, rng) for turn in asked):
                return found
        return None

    def visual(self, kind, number, scene_index):
        """A sample of one kind about a scene, sometimes with a wrong image; None if the scene has no such fact."""
        rng, scene = self.rng, self.scenes[scene_index]
        wrong = rng.random() < WRONG_SHARE.get(kind, 0.125)
        if kind == "multi_turn":
            kinds = []
            turns = text.multi_turn(rng, scene, kinds)
            if turns and ("caption" in kinds or repeats(turns)):
                return None  # an earlier turn would answer a later one
        elif kind == "caption" and wrong:
            turns, kinds = text.caption(rng, scene, rng.choice(WRONG_STYLES)), ["caption"]
        else:
            style = rng.choices(list(STYLE_WEIGHTS), STYLE_WEIGHTS.values())[0] if kind == "caption" else None
            turns, kinds = text.caption(rng, scene, style) if style else text.VISUAL[kind](rng, scene), [kind]
        if not turns or any("|O" in answer for _, answer in turns):  # no answer repeats the question's noun
            return None
        if wrong:
            found = self.wrong_scene([(k, *turn) for k, turn in zip(kinds, turns)], scene)
            if found is None:
                return None
            scene_index = self.add_scene(found)
        source = SOURCES.get(kind, f"demo_{kind}")
        return self.add(f"{source[5:]}-{number:04}", source, "wrong_image" if wrong else "grounded",
                        "conversation" if kind == "multi_turn" else SOURCES.get(kind, f"demo_{kind}")[5:], turns, scene_index)

    def build(self):
        rng = self.rng
        for _ in range(SCENES):
            self.add_scene(demo_scene(rng))
        order = []
        pool = lambda: order.pop() if order else (order.extend(rng.sample(range(SCENES), SCENES)) or order.pop())
        numbers = {}
        for kind, count in PLAN.items():
            source = SOURCES.get(kind, f"demo_{kind}")
            for _ in range(count):
                numbers[source] = numbers.get(source, 0) + 1
                record = None
                while record is None:
                    record = self.visual(kind, numbers[source], pool())
                self.samples.append(record)
        for kind, count in REST.items():
            for i in range(1, count + 1):
                made = [text.prior, text.chat][kind == "chat"]
                if kind == "text_only":
                    turns = [rng.choice([text.prior, text.prior, text.chat])(rng)[0] for _ in range(rng.choice([1, 1, 2, 3]))]
                else:
                    turns = made(rng)
                source = SOURCES.get(kind, f"demo_{kind}")
                key = f"{source[5:]}-{i:04}"
                type_ = "prior" if kind == "text_only" else kind
                self.samples.append(self.add(key, source, kind, type_, turns, None if kind == "text_only" else pool()))
        rng.shuffle(self.samples)

    def replaced(self, scene, keep):
        """The scene with all but `keep` of its things replaced: other names, other colors, other cells."""
        rng = self.rng
        kept = rng.sample(scene, keep)
        names = {n for _, n, _ in scene}
        fresh = rng.sample([n for n in AFTER_A if n not in names], len(scene) - keep)
        taken = {cell for cell, _, _ in scene}
        cells = rng.sample([c for c in range(CELLS) if c not in taken], len(fresh))
        used = {c for _, _, c in scene}
        colors = [c for c in SHADES if c not in used] or SHADES
        return sorted(kept + [(cell, n, rng.choice(colors)) for cell, n in zip(cells, fresh)])

    def triples(self):
        """([records], [{match, partial, contra}]) of TRIPLES questions with three images each."""
        rng, records, listed = self.rng, [], []
        fit = [i for i in range(SCENES) if len(self.scenes[i]) >= 2 and len(text.single(self.scenes[i])) == len(self.scenes[i])]
        for number, index in enumerate(rng.sample(fit, TRIPLES), 1):
            scene = self.scenes[index]
            turns = text.caption(rng, scene, rng.choice(["colored_list", "names", "rows", "places"]))
            images = {"match": index, "partial": self.add_scene(self.replaced(scene, (len(scene) + 1) // 2)),
                      "contra": self.add_scene(self.replaced(scene, 0))}
            keys = {part: f"t{number:04}-{part}" for part in images}
            state = rng.getstate()
            for part, image in images.items():
                rng.setstate(state)  # the same place for the image placeholder in all three
                kind = "grounded" if part == "match" else "wrong_image"
                records.append(self.add(keys[part], "demo_triple", kind, "caption", turns, image))
            listed.append(keys)
        return records, listed

    def draw(self, folder, seed):
        """Writes every scene as an image of the model's input size: PNG, or JPEG without chroma subsampling."""
        folder.mkdir(parents=True)
        renderer, generator = Renderer(), torch.Generator().manual_seed(seed)
        for i in range(0, len(self.scenes), 50):
            images = renderer.draw(*tensors(self.scenes[i: i + 50]), generator, noise=0)
            for j, image in enumerate(images.round().byte().permute(0, 2, 3, 1).numpy(), i):
                picture = Image.fromarray(image)
                if self.file(j).endswith("png"):
                    picture.save(folder / self.file(j), optimize=True)
                else:
                    picture.save(folder / self.file(j), quality=92, subsampling=0, optimize=True)


def dump(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def lines(path, records):
    """A JSON array with one record a line, so that changes can be read."""
    path.write_text("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in records) + "\n]\n")


def broken(out):
    """Records that can't be used, each for another reason, and the files that they name (image root: broken/)."""
    folder = out / "broken"
    folder.mkdir()
    whole = (out / "images" / "scene-0001.jpg").read_bytes()
    (folder / "good.jpg").write_bytes(whole)
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "truncated.png").write_bytes((out / "images" / "scene-0000.png").read_bytes()[:900])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "not-an-image.png").write_text("This is text.\n")
    turn = lambda q="<image>\nWhat do you see?", a="A cat on a red card.": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]
    make = lambda key, image="good.jpg", conversations=None: {"id": key} | ({"image": image} if image else {}) | {
        "source": "demo_broken", "conversations": turn() if conversations is None else conversations}
    lines(out / "broken.json", [
        make("good"),
        make("missing-image", "nowhere.jpg"),
        make("truncated-jpeg", "truncated.jpg"),
        make("truncated-png", "truncated.png"),
        make("zero-bytes", "empty.jpg"),
        make("not-an-image", "not-an-image.png"),
        make("empty-answer", conversations=turn(a="")),
        make("unknown-role", conversations=[{"from": "narrator", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cat."}]),
        make("placeholder-without-image", None),
        make("image-without-placeholder", conversations=turn(q="What do you see?")),
        make("outside-the-root", "../images/scene-0001.jpg"),
        make("no-conversations", conversations=[]),
        make("good"),
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=2024)
    args = parser.parse_args()
    out = Path(args.out)
    for name in ("images", "broken"):
        shutil.rmtree(out / name, ignore_errors=True)
    builder = Builder(args.seed)
    builder.build()
    records, listed = builder.triples()
    builder.draw(out / "images", args.seed)
    used = {r.get("image") for r in builder.samples + records}
    for path in (out / "images").iterdir():
        if path.name not in used:
            path.unlink()
    lines(out / "train.json", builder.samples)
    lines(out / "triples.json", records)
    dump(out / "grounding.json", {"version": 1, "samples": builder.truth, "triples": listed})
    broken(out)
    kinds = [builder.truth[s["id"]]["kind"] for s in builder.samples]
    print(f"{len(builder.samples)} samples over {len({s['image'] for s in builder.samples if 'image' in s})} images,",
          {k: kinds.count(k) for k in sorted(set(kinds))}, f"{len(listed)} triples,",
          f"{len(used - {None})} images of {sum(p.stat().st_size for p in (out / 'images').iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
