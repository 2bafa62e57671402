"""Qwen2-VL and Qwen2.5-VL: patches of images of any size packed into one sequence, three-row positions.

The vision tower's per-image attention is written as one masked attention over all patches, so that one graph serves any
set of grids. Memory grows with the square of the patches in one call: encode few images at a time.
"""

import torch
from torch import nn

from decoder import additive
from graph import Graph

from .base import Family, Sample, fill_prompt


def patch_places(grid, num_patches, merge):
    """Where each packed patch lies: (image, frame, row, column), each int64 [patches].

    `grid` is int64 [images, 3]: frames, rows, columns in patches. Patches are packed image after image, frame after
    frame, then by merge x merge blocks, row by row within a block.
    """
    frames, rows, columns = grid.unbind(1)
    ends = torch.cumsum(frames * rows * columns, 0)
    index = torch.arange(num_patches)
    image = (index[:, None] >= ends[None, :]).sum(1)
    rows, columns = rows[image], columns[image]
    within = index - (ends - frames * grid[:, 1] * grid[:, 2])[image]
    frame, within = within // (rows * columns), within % (rows * columns)
    block, cell = within // merge**2, within % merge**2
    across = columns // merge
    return image, frame, block // across * merge + cell // merge, block % across * merge + cell % merge


def same(*keys):
    """bool [1, 1, patches, patches]: whether two patches agree in every key."""
    return torch.stack([key[:, None] == key[None, :] for key in keys]).all(0)[None, None]


def rotate(states, cos, sin):
    """Rotary embedding of [patches, heads, width] in float32."""
    first, second = states.float().chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (states.float() * cos[:, None] + turned * sin[:, None]).to(states.dtype)


class Vision(nn.Module):
    """pixel_values float32 [patches, 3 * 2 * patch * patch] and a grid int64 [images, 3] -> image_features [rows, hidden]."""

    def __init__(self, model):
        super().__init__()
        self.tower = model.model.visual
        config = self.tower.config
        self.merge = config.spatial_merge_size
        self.full_blocks = getattr(config, "fullatt_block_indexes", None)
        if self.full_blocks is not None:
            self.window = config.window_size // self.merge // config.patch_size

    def attend(self, attention, hidden, cos, sin, mask):
        states = attention.qkv(hidden).unflatten(-1, (3, attention.num_heads, -1))
        query, key, value = (part.squeeze(1) for part in states.split(1, dim=1))
        query, key = (rotate(part, cos, sin).transpose(0, 1)[None] for part in (query, key))
        scores = query @ key.transpose(2, 3) * attention.scaling + mask
        weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
        return attention.proj((weights @ value.transpose(0, 1)[None])[0].transpose(0, 1).flatten(1))

    def forward(self, pixel_values, grid):
        weight = self.tower.patch_embed.proj.weight
        hidden = pixel_values.to(weight.dtype) @ weight.flatten(1).T
        image, frame, row, column = patch_places(grid, pixel_values.shape[0], self.merge)
        cos, sin = self.tower.rotary_pos_emb(hidden, torch.stack([row, column], dim=1))
        cos, sin = cos.float(), sin.float()
        full = additive(same(image, frame), hidden.dtype)
        if self.full_blocks is not None:
            size = self.window * self.merge
            windowed = additive(same(image, frame, row // size, column // size), hidden.dtype)
        for index, block in enumerate(self.tower.blocks):
            mask = full if self.full_blocks is None or index in self.full_blocks else windowed
            hidden = hidden + self.attend(block.attn, block.norm1(hidden), cos, sin, mask)
            hidden = hidden + block.mlp(block.norm2(hidden))
        return self.tower.merger(hidden).float()


def grid_name(model):
    """The grid's input name: `grid_thw` in Qwen2-VL exports, `image_grid_thw` in later ones."""
    return "grid_thw" if model.config.model_type == "qwen2_vl" else "image_grid_thw"


def patch_width(config):
    vision = config.vision_config
    channels = getattr(vision, "in_channels", None) or vision.in_chans
    return channels * vision.temporal_patch_size * vision.patch_size**2


def vision_graph(model):
    return Graph(
        module=Vision(model),
        inputs={
            "pixel_values": torch.zeros(16 + 24, patch_width(model.config)),
            "grid": torch.tensor([[1, 4, 4], [1, 4, 6]]),
        },
        axes={"pixel_values": {0: "num_patches"}, "grid": {0: "num_images"}},
        input_names=["pixel_values", grid_name(model)],
        output_names=["image_features"],
        output_axes={"image_features": ["num_image_tokens", model.config.text_config.hidden_size]},
    )


def sample(model, generator):
    """Two rows with one image each, of different shapes; positions are the torch model's own."""
    merge = model.config.vision_config.spatial_merge_size
    grid = torch.tensor([[1, 3 * merge, 5 * merge], [1, 4 * merge, 2 * merge]])
    pixels = torch.randn(int(grid.prod(1).sum()), patch_width(model.config), generator=generator)
    rows = fill_prompt(model.config, [int(count) // merge**2 for count in grid.prod(1)], generator)
    positions = [
        model.model.get_rope_index(
            row[None],
            mm_token_type_ids=(row == model.config.image_token_id).int()[None],
            image_grid_thw=grid[index : index + 1],
            attention_mask=torch.ones_like(row)[None],
        )[0][:, 0]
        for index, row in enumerate(rows)
    ]
    return Sample(
        input_ids=rows,
        vision_inputs={"pixel_values": pixels, grid_name(model): grid},
        reference_inputs={"pixel_values": pixels, "image_grid_thw": grid},
        position_ids=positions,
    )


FAMILY = Family(vision_graph=vision_graph, sample=sample, position_rows=3)
