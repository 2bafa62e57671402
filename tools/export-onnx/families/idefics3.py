"""Idefics3 and SmolVLM: square tiles with a mask of real pixels, a SigLIP-like tower, pixel shuffle, a Llama decoder."""

import torch
from torch import nn

from decoder import additive
from graph import Graph

from .base import Family, Sample, fill_prompt


def patch_positions(mask, side):
    """Each patch's index in the learned [side, side] position grid, 0 where the mask is empty: int64 [images, patches].

    `mask` is bool [images, rows, columns] over patches. Position i of n lies at i / n of the axis; the grid cell is the
    number of boundaries k / side (0 < k < side) at or below it.
    """
    boundaries = torch.arange(1 / side, 1.0, 1 / side)

    def cells(length, counts):
        places = torch.arange(length, dtype=torch.float32)[None] * (1.0 / counts.clamp(min=1))[:, None]
        return (places.clamp(max=1.0 - 1e-6)[:, :, None] >= boundaries).sum(-1)

    rows = cells(mask.shape[1], mask[:, :, 0].sum(1))
    columns = cells(mask.shape[2], mask[:, 0, :].sum(1))
    return ((rows[:, :, None] * side + columns[:, None, :]) * mask).flatten(1)


class Vision(nn.Module):
    """pixel_values float32 [batch, images, 3, size, size] and pixel_attention_mask bool [batch, images, size, size]
    -> image_features float32 [real images, tokens, hidden]. Images that are zero everywhere are padding and dropped.
    """

    def __init__(self, model):
        super().__init__()
        self.tower, self.connector = model.model.vision_model, model.model.connector
        self.patch = model.config.vision_config.patch_size

    def forward(self, pixel_values, pixel_attention_mask):
        pixels, pixel_mask = pixel_values.flatten(0, 1), pixel_attention_mask.flatten(0, 1)
        embeddings = self.tower.embeddings
        patches = embeddings.patch_embedding(pixels.to(self.tower.dtype)).flatten(2).transpose(1, 2)
        blocks = pixel_mask.float().unflatten(2, (-1, self.patch)).unflatten(1, (-1, self.patch))
        mask = blocks.sum(dim=(2, 4)) > 0
        positions = patch_positions(mask, embeddings.num_patches_per_side)
        attention = additive(mask.flatten(1)[:, None, None, :], patches.dtype)
        hidden = self.tower.encoder(patches + embeddings.position_embedding(positions), attention).last_hidden_state
        features = self.connector(self.tower.post_layernorm(hidden)).float()
        return features[(pixels != 0).flatten(1).any(1)]


def vision_graph(model):
    config = model.config
    side = config.vision_config.image_size
    images = {0: "batch_size", 1: "num_images"}
    tokens = (side // config.vision_config.patch_size // config.scale_factor) ** 2
    return Graph(
        module=Vision(model),
        inputs={
            "pixel_values": torch.ones(2, 3, 3, side, side),
            "pixel_attention_mask": torch.ones(2, 3, side, side, dtype=torch.bool),
        },
        axes={"pixel_values": images, "pixel_attention_mask": images},
        input_names=["pixel_values", "pixel_attention_mask"],
        output_names=["image_features"],
        output_axes={"image_features": ["num_real_images", tokens, config.text_config.hidden_size]},
    )


def sample(model, generator):
    """Two rows with two tiles and one; the second row's missing tile is padding, and one tile is only partly real."""
    config = model.config
    side = config.vision_config.image_size
    pixels = torch.randn(2, 2, 3, side, side, generator=generator)
    mask = torch.ones(2, 2, side, side, dtype=torch.bool)
    pixels[1, 1], mask[1, 1] = 0, False
    mask[0, 1, :, side - config.vision_config.patch_size :] = False
    inputs = {"pixel_values": pixels, "pixel_attention_mask": mask}
    tokens = (side // config.vision_config.patch_size // config.scale_factor) ** 2
    return Sample(fill_prompt(config, [2 * tokens, tokens], generator), inputs, inputs)


FAMILY = Family(vision_graph=vision_graph, sample=sample, text_model=lambda model: model.model.text_model)
