"""PaliGemma and Gemma 3: a SigLIP tower, a Gemma decoder, positions from 1, part of the prompt seen both ways.

Their decoder graphs have one more input, token_type_ids int64 [batch, sequence], with the meaning that transformers
gives it: PaliGemma 0 for the prefix (image and question) and 1 for the suffix (answer); Gemma 3 1 for image tokens and
0 for text. Prefix tokens, or the tokens of one image, see each other both ways; all others only what came before.
"""

import torch
from torch import nn

from .base import Family, Sample, fill_prompt, image_graph, image_token_id


class Vision(nn.Module):
    """pixel_values float32 [images, 3, size, size] -> image_features float32 [images, tokens, hidden]."""

    def __init__(self, model):
        super().__init__()
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector

    def forward(self, pixel_values):
        return self.projector(self.tower(pixel_values.to(self.tower.dtype)).last_hidden_state).float()


def prefix_blocks(token_type_ids):
    """PaliGemma: one block, the prefix."""
    return torch.where(token_type_ids == 0, 0, -1)


def image_blocks(token_type_ids):
    """Gemma 3: one block for each run of image tokens."""
    image = (token_type_ids == 1).long()
    starts = image * (1 - nn.functional.pad(image, (1, 0))[:, :-1])
    return torch.where(image == 1, torch.cumsum(starts, 1), -1)


def vision_graph(model):
    return image_graph(Vision(model), model.config.vision_config.image_size)


def sample_with(types):
    """A parity batch of two rows with one image each; `types(row, config)` gives a row's token_type_ids."""

    def sample(model, generator):
        side = model.config.vision_config.image_size
        pixels = {"pixel_values": torch.randn(2, 3, side, side, generator=generator)}
        with torch.no_grad():
            num_tokens = Vision(model)(pixels["pixel_values"][:1]).shape[1]
        rows = fill_prompt(model.config, [num_tokens] * 2, generator)
        return Sample(rows, pixels, pixels, token_type_ids=[types(row, model.config) for row in rows])

    return sample


def suffix_types(row, _config, answer=5):
    return (torch.arange(len(row)) >= len(row) - answer).long()


def image_types(row, config):
    return (row == image_token_id(config)).long()


PALIGEMMA = Family(vision_graph, sample_with(suffix_types), position_start=1, blocks=prefix_blocks, padding_type=1)
GEMMA3 = Family(vision_graph, sample_with(image_types), position_start=1, blocks=image_blocks)
