"""Reference scoring with transformers: NLL of every supervised answer token, clean and blurred image.

Plain and slow on purpose; the pipeline is held against it.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

SIGMA_FRACTION = 0.28  # of the shorter side


class Scorer:
    """A model folder loaded with transformers, upcast to float32, eager attention."""

    def __init__(self, folder, device="cpu"):
        self.processor = AutoProcessor.from_pretrained(folder)
        self.tokenizer = self.processor.tokenizer
        model = LlavaForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
        self.model = model.float().eval().to(device)
        self.device = device

    def render(self, messages, ask=False):
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
        return text.replace("<image>", "<image>" * self.model.config.image_seq_length)

    def tokens(self, conversations):
        """(input ids, positions of the supervised tokens) of a LLaVA conversation, image tokens expanded.

        The image placeholder is moved to the front of its turn, followed by a newline. Supervised are every
        assistant turn's text and its </s>; each rendering must be a token prefix of the next.
        """
        messages, positions = [], []
        encode = lambda text: self.tokenizer(text, add_special_tokens=False)["input_ids"]
        for turn in conversations:
            value = turn["value"]
            if turn["from"] == "human":
                if "<image>" in value:
                    value = "<image>\n" + value.replace("<image>", "").strip()
                messages.append({"role": "user", "content": value})
                continue
            before = encode(self.render(messages, ask=True))
            messages.append({"role": "assistant", "content": value})
            after = encode(self.render(messages))
            assert after[: len(before)] == before, "a rendering is not a token prefix of the next"
            positions += range(len(before), len(after))
        return after, positions

    def pixels(self, images):
        """pixel_values [batch, 3, 112, 112] of uint8 RGB arrays."""
        return self.processor.image_processor([Image.fromarray(i) for i in images], return_tensors="pt")["pixel_values"]

    @torch.no_grad()
    def nlls(self, batch):
        """Float64 NLL arrays, one for each (ids, positions, uint8 image or None) of a batch; all or none have an image."""
        longest = max(len(ids) for ids, _, _ in batch)
        ids = torch.tensor([row + [0] * (longest - len(row)) for row, _, _ in batch], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _, _ in batch], device=self.device)
        images = [image for _, _, image in batch]
        pixels = {} if images[0] is None else {"pixel_values": self.pixels(images).to(self.device)}
        logits = self.model(input_ids=ids, attention_mask=mask, **pixels).logits
        found = []
        for i, (row, positions, _) in enumerate(batch):
            at = torch.tensor(positions, device=self.device)
            logprob = logits[i, at - 1].double().log_softmax(-1).gather(1, ids[i, at, None])[:, 0]
            found.append(-logprob.cpu().numpy())
        return found


def blur_matrix(size, sigma):
    """Rows of Gaussian weights that act as a convolution with edge replication, reach 4 sigma, float64 [size, size]."""
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    matrix = np.zeros((size, size))
    for row in range(size):
        np.add.at(matrix[row], np.clip(np.arange(row - reach, row + reach + 1), 0, size - 1), weights / weights.sum())
    return matrix


@cache
def blur_matrices(height, width):
    sigma = SIGMA_FRACTION * min(height, width)
    return blur_matrix(height, sigma), blur_matrix(width, sigma)


def blur(image):
    """The image after a float64 Gaussian blur with edge replication, uint8 RGB [height, width, 3].

    Equals scipy.ndimage.gaussian_filter(channel, sigma, mode="nearest", truncate=4), and is faster.
    """
    rows, columns = blur_matrices(*image.shape[:2])
    return np.rint(np.einsum("ij,jkc,lk->ilc", rows, image.astype(np.float64), columns, optimize=True)).astype(np.uint8)


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def score(scorer, samples, image_root, batch=32):
    """{id: (token texts, nll_image, nll_blur)} of LLaVA records; nll_blur is None for text-only samples."""
    images = {}
    for name in {s["image"] for s in samples if "image" in s}:
        clean = read(Path(image_root) / name)
        images[name] = clean, blur(clean)
    prepared = sorted(((*scorer.tokens(s["conversations"]), s) for s in samples), key=lambda p: ("image" in p[2], len(p[0])))
    found = {}
    for with_image in (False, True):
        group = [p for p in prepared if ("image" in p[2]) == with_image]
        for i in range(0, len(group), batch):
            part = group[i: i + batch]
            variants = [scorer.nlls([(ids, at, images[s["image"]][v] if with_image else None) for ids, at, s in part])
                        for v in ((0, 1) if with_image else (0,))]
            for j, (ids, at, s) in enumerate(part):
                texts = [scorer.tokenizer.decode([ids[k]], skip_special_tokens=False) for k in at]
                found[s["id"]] = texts, variants[0][j], variants[1][j] if with_image else None
    return found


def load(path):
    return json.loads(Path(path).read_text())
