"""What a model gets right on an evaluation split, with and without visual contrastive decoding."""

from collections import defaultdict

import questions
import torch
from build_tokenizer import EOS, IMAGE, PAD, build
from samples import IMAGE_START
from transformers import DynamicCache
from world import CELLS

BATCH = 1024  # rows
LONGEST_CAPTION = 100  # tokens
CONTRAST = 1.0  # alpha of visual contrastive decoding: (1 + alpha) clean - alpha blurred
PLAUSIBLE = 0.1  # its beta: words less likely than this share of the likeliest are out


def embed(model, ids, features):
    """Input embeddings of rows, with the image's in their places; features: [rows, 16, width] of the vision tower."""
    embeds = model.get_input_embeddings()(ids)
    seen = model.model.multi_modal_projector(features).to(embeds.dtype)
    middle = torch.where((ids[:, IMAGE_START: IMAGE_START + CELLS] == IMAGE)[..., None], seen, embeds[:, IMAGE_START: IMAGE_START + CELLS])
    return torch.cat([embeds[:, :IMAGE_START], middle, embeds[:, IMAGE_START + CELLS:]], 1)


def contrasted(clean, blurred):
    """Logits of visual contrastive decoding."""
    low = clean < clean.max(-1, keepdim=True).values + torch.log(torch.tensor(PLAUSIBLE))
    return ((1 + CONTRAST) * clean - CONTRAST * blurred).masked_fill(low, -1e9)


def padded(rows, device):
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows], device=device)


def chosen(model, items, features, blurred=None):
    """Whether each item is right, and for choices the index of the chosen word: two lists."""
    right, picks = [], []
    device = features.device
    for start in range(0, len(items), BATCH):
        part = items[start: start + BATCH]
        ids, scene = padded([i.ids for i in part], device), torch.tensor([i.scene for i in part], device=device)
        logits = [model.model.language_model(inputs_embeds=embed(model, ids, f[scene]), use_cache=False).last_hidden_state
                  for f in (features, blurred) if f is not None]
        row = torch.arange(len(part), device=device)
        at = torch.tensor([i.at for i in part], device=device)
        if part[0].options:
            said = [model.lm_head(x[row, at]) for x in logits]
            said = (contrasted(*said) if blurred is not None else said[0]).cpu()
            pick = [int(said[i, item.options].argmax()) for i, item in enumerate(part)]
            picks += pick
            right += [p == item.right for p, item in zip(pick, part)]
            continue
        said = [model.lm_head(x) for x in logits]
        greedy = (contrasted(*said) if blurred is not None else said[0]).argmax(-1)
        position = torch.arange(ids.shape[1] - 1, device=device)
        last = torch.tensor([len(i.ids) - 1 for i in part], device=device)
        answer = (position >= at[:, None]) & (position < last[:, None])
        right += ((greedy[:, :-1] == ids[:, 1:]) | ~answer).all(1).tolist()
    return right, picks


def captions(model, prompt, features, blurred=None):
    """Greedy answers to one prompt about every image, as texts."""
    count, tokenizer = len(features), build()
    ids = torch.tensor([prompt], device=features.device).expand(count, -1)
    views = [f for f in (features, blurred) if f is not None]
    caches = [DynamicCache() for _ in views]
    embeds = [embed(model, ids, f) for f in views]
    ended = torch.zeros(count, dtype=torch.bool, device=features.device)
    said = []
    for step in range(LONGEST_CAPTION):
        logits = [model.lm_head(model.model.language_model(inputs_embeds=e, past_key_values=c, use_cache=True).last_hidden_state[:, -1])
                  for e, c in zip(embeds, caches)]
        token = (contrasted(*logits) if blurred is not None else logits[0]).argmax(-1).masked_fill(ended, PAD)
        said.append(token)
        ended |= token == EOS
        if step % 8 == 7 and bool(ended.all()):
            break
        embeds = [model.get_input_embeddings()(token)[:, None]] * len(views)
    return [tokenizer.decode(row).strip() for row in torch.stack(said, 1).tolist()]


def chair(model, scenes, features, blurred=None):
    """CHAIR on greedy captions, beside recall and the share of wrong colors said of present things."""
    total, bad = torch.zeros(6, dtype=torch.long), 0
    for question in questions.CAPTION_PROMPTS:
        for caption, scene in zip(captions(model, questions.prompt(question), features, blurred), scenes):
            found = torch.tensor(questions.judge_caption(caption, scene))
            total, bad = total + found, bad + bool(found[1])
    said, false, named, here, colored, wrong = total.tolist()
    return {"chair_i": false / max(1, said), "chair_s": bad / len(scenes) / len(questions.CAPTION_PROMPTS), "recall": named / here,
            "caption_color_error": wrong / max(1, colored)}


def pope_metrics(items, right, picks):
    """Accuracy, F1 of "yes" and the share of "yes"; the options are Yes and No."""
    yes, true = [p == 0 for p in picks], [i.right == 0 for i in items]
    hits = sum(a and b for a, b in zip(yes, true))
    return {"accuracy": sum(right) / len(right), "f1": 2 * hits / max(1, sum(yes) + sum(true)), "yes": sum(yes) / len(yes)}


@torch.no_grad()
def attention(model, items, features):
    """Mean attention mass on the image's tokens, by layer, where answers to grounded questions are chosen."""
    items = items[:: max(1, len(items) // 512)]
    ids, device = padded([i.ids for i in items], features.device), features.device
    scene = torch.tensor([i.scene for i in items], device=device)
    row, at = torch.arange(len(items), device=device), torch.tensor([i.at for i in items], device=device)
    model.set_attn_implementation("eager")
    maps = model.model.language_model(inputs_embeds=embed(model, ids, features[scene]), use_cache=False, output_attentions=True).attentions
    model.set_attn_implementation("sdpa")
    return [float(a[row, :, at, IMAGE_START: IMAGE_START + CELLS].sum(-1).mean()) for a in maps]


@torch.no_grad()
def evaluate(model, scenes, items, features, blurred=None):
    """{metric: value}. With `blurred` features the answers are those of visual contrastive decoding."""
    groups, found = defaultdict(list), {}
    for item in items:
        groups[item.kind].append(item)
    for kind, group in groups.items():
        right, picks = chosen(model, group, features, blurred)
        if kind.startswith("pope"):
            found |= {f"{kind}_{name}": value for name, value in pope_metrics(group, right, picks).items()}
        else:
            found[kind] = sum(right) / len(right)
    found |= chair(model, scenes[: len(features)], features, blurred)
    if blurred is None:
        grounded = [i for i in items if i.kind in questions.GROUNDED]
        found |= {f"attention_{layer}": mass for layer, mass in enumerate(attention(model, grounded, features))}
    found["grounded"] = sum(found[k] for k in questions.GROUNDED) / len(questions.GROUNDED)
    for name in ("accuracy", "f1", "yes"):
        found[f"pope_{name}"] = sum(found[f"{k}_{name}"] for k in questions.POPE) / len(questions.POPE)
    found["faith"] = sum(found[k] for k in questions.FAITH) / len(questions.FAITH)
    return {name: round(value, 5) for name, value in found.items()}
