"""Draws scenes as soft images, as the pipeline and the training read them, and encodes them.

The aligned models are all but perfect on crisp images. Soft ones (each blurred a little, by SOFT px) leave them
unsure of some of what they see, which is where a model leans on what it read instead.
"""

import biased  # noqa: F401  puts demo-model on the path
import torch
from render import Renderer, blurred, normalized, tensors

BATCH = 500  # images
SOFT = (1.0, 6.0)  # px, least and largest standard deviation of an image's own blur
SIGMA_FRACTION = 0.28  # of the side: the pipeline's default, for the blurred stand-in


def draw(scenes, seed, device):
    """uint8 [scenes, 3, 112, 112], on the CPU."""
    renderer, rng = Renderer(device), torch.Generator(device).manual_seed(seed)
    found = []
    for i in range(0, len(scenes), BATCH):
        name, color = (t.to(device) for t in tensors(scenes[i: i + BATCH]))
        image = renderer.draw(name, color, rng)
        sigma = SOFT[0] + (SOFT[1] - SOFT[0]) * torch.rand(len(image), generator=rng, device=device)
        found.append(blurred(image, sigma).clamp(0, 255).round().byte().cpu())
    return torch.cat(found)


@torch.no_grad()
def features(model, images, device, blur=False):
    """What the adapter sees of uint8 images, or of their blurred stand-ins: [images, 16, width]."""
    found = []
    for batch in images.split(BATCH):
        pixels = batch.to(device).float()
        if blur:
            sigma = torch.full((len(pixels),), SIGMA_FRACTION * pixels.shape[-1], device=device)
            pixels = blurred(pixels, sigma).round()
        found.append(model.model.vision_tower(normalized(pixels), output_hidden_states=True).hidden_states[-1][:, 1:])
    return torch.cat(found)
