"""Draws scenes as 112 x 112 RGB images, in batches, with torch (CPU or GPU)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from world import CELLS, COLORS, GRID, HERE, NAMES

SIZE = 112  # px, image side
CELL = SIZE // GRID  # 28 px
TILE = 32  # px, a cell and 2 px of each neighbour
SPRITE = 24  # px, a tile of the atlas
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's
COLOR_RGB = {"red": (205, 35, 40), "orange": (245, 135, 25), "yellow": (250, 220, 40), "green": (40, 150, 60),
             "blue": (40, 90, 210), "purple": (125, 50, 165), "pink": (250, 150, 190), "brown": (120, 75, 40),
             "black": (22, 22, 24), "white": (250, 250, 248)}


class Renderer:
    """Holds the atlas on one device."""

    def __init__(self, device="cpu"):
        self.device = device
        atlas = np.asarray(Image.open(HERE / "atlas.png").convert("RGBA"), dtype=np.float32) / 255
        sizes = atlas.shape[0] // SPRITE
        tiles = atlas.reshape(sizes, SPRITE, len(NAMES), SPRITE, 4).transpose(0, 2, 4, 1, 3)
        bank = torch.zeros(sizes, len(NAMES), 4, TILE + 4, TILE + 4)  # 2 px more, for the jitter
        edge = (TILE + 4 - SPRITE) // 2
        bank[..., edge:-edge, edge:-edge] = torch.from_numpy(tiles.copy())
        self.bank = bank.to(device)
        self.colors = torch.tensor([COLOR_RGB[c] for c in COLORS], device=device, dtype=torch.float32) / 255

    def draw(self, name, color, rng, noise=3.0):
        """Images [batch, 3, 112, 112] in 0..255, float32, not rounded.

        name, color: int64 [batch, 16]; name -1 is an empty cell. rng: torch.Generator on the device; it
        decides size, position, card and background. noise: largest standard deviation of pixel noise, levels of 255.
        """
        batch, device = name.shape[0], self.device
        rand = lambda *shape: torch.rand(*shape, generator=rng, device=device)
        randint = lambda high, *shape: torch.randint(high, shape, generator=rng, device=device)
        filled = (name >= 0).float()
        dy, dx = randint(5, batch, CELLS) - 2, randint(5, batch, CELLS) - 2  # px
        rows = torch.arange(TILE, device=device) + 2 - dy[..., None]
        columns = torch.arange(TILE, device=device) + 2 - dx[..., None]
        which = self.bank[randint(self.bank.shape[0], batch, CELLS), name.clamp(min=0)]  # [batch, 16, 4, 36, 36]
        which = which.gather(3, rows[:, :, None, :, None].expand(-1, -1, 4, -1, TILE + 4))
        sprite = which.gather(4, columns[:, :, None, None, :].expand(-1, -1, 4, TILE, -1))
        half = 12.5 + randint(3, batch, CELLS) * 0.5  # px
        axis = torch.arange(TILE, device=device) - (TILE - 1) / 2
        inside = lambda shift: ((axis - shift[..., None]).abs() <= half[..., None]).float()
        card = inside(dy)[..., :, None] * inside(dx)[..., None, :]  # [batch, 16, 32, 32]
        shade = (self.colors[color.clamp(min=0)] * (0.9 + 0.1 * rand(batch, CELLS, 1))
                 + (rand(batch, CELLS, 3) - 0.5) * 0.08).clamp(0, 1)
        alpha = sprite[:, :, 3:]
        paint = alpha * sprite[:, :, :3] + (1 - alpha) * shade[..., None, None]
        card = card * filled[..., None, None]
        fold = lambda x: F.fold(x.flatten(2).transpose(1, 2), (SIZE + 4, SIZE + 4), TILE, stride=CELL)[..., 2:-2, 2:-2]
        weight = fold(card[:, :, None])
        color_sum = fold(paint * card[:, :, None])
        angle = rand(batch, 1, 1, 1) * 2 * math.pi
        line = torch.linspace(-0.5, 0.5, SIZE, device=device)
        ramp = (torch.cos(angle) * line[:, None] + torch.sin(angle) * line + 0.7) / 1.4
        gray = lambda: 0.35 + 0.45 * rand(batch, 1, 1, 1) + (rand(batch, 3, 1, 1) - 0.5) * 0.2
        ground = gray() * ramp + gray() * (1 - ramp)
        image = (ground * (1 - weight.clamp(max=1)) + color_sum / weight.clamp(min=1)) * 255
        if noise:
            image = image + torch.randn(image.shape, generator=rng, device=device) * noise * rand(batch, 1, 1, 1)
        return image.clamp(0, 255)


def normalized(image):
    """Images in 0..255 as the vision encoder takes them (CLIP's mean and standard deviation)."""
    mean = torch.tensor(MEAN, device=image.device).view(3, 1, 1)
    std = torch.tensor(STD, device=image.device).view(3, 1, 1)
    return (image / 255 - mean) / std


def blurred(image, sigma):
    """Gaussian blur with edge replication; sigma [batch], px. As convolution matrices, so one batch mixes sigmas."""
    x = torch.arange(SIZE, device=image.device, dtype=torch.float32)
    reach = int(4 * float(sigma.max()) + 1)
    source = torch.arange(-reach, SIZE + reach, device=image.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * ((x[:, None] - source) / sigma.view(-1, 1, 1)) ** 2)
    kernel = kernel / kernel.sum(-1, keepdim=True)  # [batch, 112, 112 + 2 reach]
    to = source.clamp(0, SIZE - 1).long()
    matrix = torch.zeros(len(sigma), SIZE, SIZE, device=image.device).index_add_(2, to, kernel)
    return torch.einsum("bij,bcjk,blk->bcil", matrix, image, matrix)


def tensors(scenes):
    """(name, color) int64 [batch, 16] of a list of scenes; empty cells are -1."""
    name = torch.full((len(scenes), CELLS), -1)
    color = torch.full((len(scenes), CELLS), -1)
    for i, scene in enumerate(scenes):
        for cell, n, c in scene:
            name[i, cell], color[i, cell] = n, c
    return name, color
