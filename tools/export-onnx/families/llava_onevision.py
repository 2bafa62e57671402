"""LLaVA-OneVision: a SigLIP tower, a two-layer projector, a Qwen2 decoder, tiles at any resolution.

The graph encodes squares (the base image, or tiles of a larger one) and has a second output, image_newline [hidden]:
the embedding that ends each row of tiles and each image, so that packing the tiles needs nothing but the graph.
"""

import torch
from torch import nn

from . import llava
from .base import Family, Sample, fill_prompt, image_graph


class Vision(nn.Module):
    """pixel_values float32 [tiles, 3, size, size] -> image_features [tiles, tokens, hidden], image_newline [hidden]."""

    def __init__(self, model):
        super().__init__()
        self.tiles, self.newline = llava.Vision(model), model.model.image_newline

    def forward(self, pixel_values):
        return self.tiles(pixel_values), self.newline.float()


def vision_graph(model):
    graph = image_graph(llava.Vision(model), model.config.vision_config.image_size)
    graph.module = Vision(model)
    graph.output_names.append("image_newline")
    graph.output_axes["image_newline"] = [model.config.text_config.hidden_size]
    return graph


def sample(model, generator):
    """Two rows with one base-resolution image each; every image ends in one newline embedding.

    Giving the torch model two images a row and one row at a time is what makes it use base resolution only.
    """
    side = model.config.vision_config.image_size
    pixels = torch.randn(2, 3, side, side, generator=generator)
    with torch.no_grad():
        num_tokens = llava.Vision(model)(pixels[:1]).shape[1] + 1
    reference = {
        "pixel_values": pixels[:, None],
        "image_sizes": torch.full((2, 2), side),
        "batch_num_images": torch.tensor([2]),
    }
    return Sample(fill_prompt(model.config, [num_tokens] * 2, generator), {"pixel_values": pixels}, reference)


def features(outputs):
    """Base-resolution feature rows: each image's tokens, then the newline embedding."""
    images, newline = torch.from_numpy(outputs[0]), torch.from_numpy(outputs[1])
    return torch.cat([images, newline.expand(len(images), 1, -1)], dim=1).numpy()


FAMILY = Family(vision_graph=vision_graph, sample=sample, features=features)
