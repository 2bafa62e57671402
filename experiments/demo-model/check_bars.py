"""Checks the quality bars of the demo model and data set, and prints one table.

    python check_bars.py --scores ../../out/select/scores [--triples ../../out/triples/scores]
    python check_bars.py --torch --model ../../data/models/demo

The first reads what the pipeline wrote; the second computes VIG with transformers, and adds
restricted-choice accuracies on fresh held-out scenes. The token bars are over samples whose image is the
right one (kind "grounded"); a word's tokens are those that overlap its span.
"""

import argparse
import random
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import scoring
import text
from world import COLORS, COLUMNS, NAMES, NUMBERS, ROWS, random_scene

VISUAL = {"object", "color", "count", "relation", "background"}


def auc(positive, negative):
    """Probability that a random positive is larger than a random negative; ties count half."""
    positive, negative = np.asarray(positive), np.asarray(negative)
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    return float((ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2) / len(positive) / len(negative))


def word_tokens(texts, values, words):
    """For each word the indices of its tokens. texts: token texts, '</s>' ends a turn; values: {turn: answer}."""
    spans, turn_tokens, turns = {}, [], iter(sorted(values))
    for i, token in enumerate(texts):
        if token != "</s>":
            turn_tokens.append(i)
            continue
        turn = next(turns)
        joined = "".join(texts[k] for k in turn_tokens)
        assert joined.endswith(values[turn]), (joined, values[turn])
        at = len(values[turn]) - len(joined)  # negative: the space before the answer
        for k in turn_tokens:
            spans[turn, k] = at, at + len(texts[k])
            at += len(texts[k])
        turn_tokens = []
    return [[k for (turn, k), (a, b) in spans.items() if turn == w["turn"] and a < w["end"] and b > w["start"]] for w in words]


def from_parquet(folder):
    """{id: (token texts, token VIG or None, VIG or None)} from the pipeline's scores."""
    import pyarrow.parquet as parquet
    rows = [r for part in sorted(Path(folder).glob("*.parquet"))
            for r in parquet.read_table(part, columns=["sample_id", "token_text", "token_vig", "vig"]).to_pylist()]
    return {r["sample_id"]: (r["token_text"], None if r["vig"] is None else np.array(r["token_vig"]), r["vig"]) for r in rows}


def from_torch(scorer, samples, root):
    """The same, computed with transformers."""
    found = {}
    for key, (texts, clean, blurred) in scoring.score(scorer, samples, root).items():
        vig = None if blurred is None else blurred - clean
        found[key] = texts, vig, None if vig is None else float(vig.mean())
    return found


def token_vigs(samples, truth, scores):
    """[(kind, type, tag, determined, token VIG)] of every word's tokens, word by word."""
    found = []
    for sample in samples:
        texts, vig, _ = scores[sample["id"]]
        known = truth[sample["id"]]
        if vig is None:
            continue
        values = {i: t["value"] for i, t in enumerate(sample["conversations"]) if t["from"] == "gpt"}
        for word, tokens in zip(known["words"], word_tokens(texts, values, known["words"])):
            found += [(known["kind"], known["type"], word["tag"], word["determined"], float(vig[k])) for k in tokens]
    return found


def bars(samples, grounding, scores, triple_scores):
    """[(bar, value, limit, at least?)]."""
    truth = grounding["samples"]
    tokens = token_vigs(samples, truth, scores)
    grounded = [t for t in tokens if t[0] == "grounded"]
    function = [t[4] for t in grounded if t[2] == "function"]
    pick = lambda rows, tags, determined=None: [t[4] for t in rows if t[2] in tags and determined in (None, t[3])]
    vig = lambda *kinds: [scores[s["id"]][2] for s in samples if truth[s["id"]]["kind"] in kinds]
    wrong_types = {truth[s["id"]]["type"] for s in samples if truth[s["id"]]["kind"] == "wrong_image"}
    right = [scores[s["id"]][2] for s in samples
             if truth[s["id"]]["kind"] == "grounded" and truth[s["id"]]["type"] in wrong_types]
    table = [
        ("token AUC: object and color words / function words", auc(pick(grounded, {"object", "color"}), function), 0.92, True),
        ("token AUC: all visual words not determined by text / function", auc(pick(grounded, VISUAL, False), function), 0.90, True),
        ("sample AUC: grounded / prior and chat", auc(vig("grounded"), vig("prior", "chat")), 0.90, True),
        ("sample AUC: right image / wrong image, same kinds", auc(right, vig("wrong_image")), 0.90, True),
    ]
    if triple_scores:
        ordered = [triple_scores[t["match"]][2] > triple_scores[t["partial"]][2] > triple_scores[t["contra"]][2]
                   for t in grounding["triples"]]
        table.append(("triples in the order match > partial > contra", float(np.mean(ordered)), 0.95, True))
    table.append(("mean |VIG| of prior-answerable samples", float(np.mean(np.abs(vig("prior")))), 0.02, False))
    notes = [
        ("token AUC, words of every kind: object and color / function",
         auc(pick(tokens, {"object", "color"}), pick(tokens, {"function"}))),
        ("token AUC, words of every kind: visual not determined / function",
         auc(pick(tokens, VISUAL, False), pick(tokens, {"function"}))),
    ]
    notes += [(f"token AUC: {tag} / function", auc(pick(grounded, {tag}, False), function)) for tag in sorted(VISUAL - {"background"})]
    notes += [(f"mean token VIG: {tag}", float(np.mean(pick(grounded, {tag})))) for tag in ("object", "color", "count", "relation", "other", "function")]
    by_type = defaultdict(lambda: ([], []))
    for s in samples:
        known = truth[s["id"]]
        if known["kind"] in ("grounded", "wrong_image"):
            by_type[known["type"]][known["kind"] == "wrong_image"].append(scores[s["id"]][2])
    notes += [(f"sample AUC right / wrong: {kind}", auc(*pair)) for kind, pair in sorted(by_type.items())]
    notes += [(f"mean VIG of grounded {kind}", float(np.mean(pair[0]))) for kind, pair in sorted(by_type.items())]
    notes += [(f"mean VIG of {kind}", float(np.mean(vig(kind)))) for kind in ("grounded", "wrong_image", "prior", "chat")]
    if triple_scores:
        notes += [(f"mean VIG of triples, {part}", float(np.mean([triple_scores[t[part]][2] for t in grounding["triples"]])))
                  for part in ("match", "partial", "contra")]
    return table, notes


SIDES = ["left", "right", "above", "below"]


def choices(word, after):
    """The words of the same kind as `word` (with its capital or not), or None."""
    groups = [NAMES, COLORS, NUMBERS[1:], SIDES, ["yes", "no"], ROWS if after.startswith(" row") else COLUMNS]
    for group in groups:
        if word.lower() in group:
            return [w.capitalize() for w in group] if word[0].isupper() else group
    return None


def restricted_choice(scorer, per_kind=300, seed=99):
    """{question type: (accuracy, words)}: the model chooses among words of the same kind, on fresh held-out scenes."""
    import torch
    from render import Renderer, tensors
    rng, renderer = random.Random(seed), Renderer()
    generator = torch.Generator().manual_seed(seed)
    accuracy = {}
    for kind, make in text.VISUAL.items():
        right = []
        while len(right) < per_kind:
            scenes, made = [], []
            while len(made) < 50:
                scene = random_scene(rng, unseen=True)
                turns = make(rng, scene)
                if turns:
                    scenes.append(scene), made.append(turns[0])
            images = renderer.draw(*tensors(scenes), generator, noise=0).round().byte().permute(0, 2, 3, 1).numpy()
            prepared = [scorer.tokens([{"from": "human", "value": "<image>\n" + q}, {"from": "gpt", "value": text.plain(a)}]) for q, a in made]
            longest = max(len(ids) for ids, _ in prepared)
            ids = torch.tensor([row + [0] * (longest - len(row)) for row, _ in prepared], device=scorer.device)
            with torch.no_grad():
                logits = scorer.model(input_ids=ids, attention_mask=(ids != 0).long(), pixel_values=scorer.pixels(images).to(scorer.device)).logits.cpu()
            for i, ((_, answer), (row, positions)) in enumerate(zip(made, prepared)):
                value, texts = text.plain(answer), [scorer.tokenizer.decode([row[k]]) for k in positions]
                spans = [{"turn": 1, "start": a, "end": b, "text": w} for a, b, w, tag, determined in text.words(answer) if not determined]
                for word, tokens in zip(spans, word_tokens(texts, {1: value}, spans)):
                    options = choices(word["text"], value[word["end"]:])
                    if options is None:
                        continue
                    pieces = [scorer.tokenizer(" " + o, add_special_tokens=False)["input_ids"] for o in options]
                    assert all(len(p) == 1 for p in pieces) and len(tokens) == 1, (options, "are not one piece each")
                    best = int(logits[i, positions[tokens[0]] - 1, [p[0] for p in pieces]].argmax())
                    right.append(options[best] == word["text"])
        accuracy[kind] = float(np.mean(right)), len(right)
    return accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--data", default=root / "data/demo")
    parser.add_argument("--scores", help="the pipeline's scores folder of train.json")
    parser.add_argument("--triples", help="the pipeline's scores folder of triples.json")
    parser.add_argument("--torch", action="store_true", help="compute VIG with transformers instead")
    parser.add_argument("--model", default=root / "data/models/demo")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    data = Path(args.data)
    samples, grounding = scoring.load(data / "train.json"), scoring.load(data / "grounding.json")
    accuracy = {}
    if args.torch:
        scorer = scoring.Scorer(args.model, args.device)
        scores = from_torch(scorer, samples, data / "images")
        triple_scores = from_torch(scorer, scoring.load(data / "triples.json"), data / "images")
        accuracy = restricted_choice(scorer)
    elif args.scores:
        scores = from_parquet(args.scores)
        triple_scores = from_parquet(args.triples) if args.triples else None
    else:
        parser.error("give --scores FOLDER or --torch")
    table, notes = bars(samples, grounding, scores, triple_scores)
    passed = lambda value, limit, above: value >= limit if above else value < limit
    print("| bar | value | limit | |\n|---|---|---|---|")
    for name, value, limit, above in table:
        print(f"| {name} | {value:.4f} | {'>=' if above else '<'} {limit} | {'pass' if passed(value, limit, above) else 'MISSED'} |")
    print("\n| for information | value |\n|---|---|")
    for name, value in notes:
        print(f"| {name} | {value:.4f} |")
    for kind, (value, number) in accuracy.items():
        print(f"| restricted-choice accuracy: {kind} ({number} words) | {value:.4f} |")
    sys.exit(0 if all(passed(*row[1:]) for row in table) else 1)


if __name__ == "__main__":
    main()
