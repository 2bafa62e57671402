"""LLaVA: a CLIP or SigLIP tower, a two-layer projector, a Llama, Mistral or Qwen2 decoder."""

import torch
from torch import nn

from .base import Family, Sample, fill_prompt, image_graph


class Vision(nn.Module):
    """pixel_values float32 [images, 3, height, width] -> image_features float32 [images, tokens, hidden].

    The layers and the selection strategy are the checkpoint's: "default" drops the class token.
    """

    def __init__(self, model):
        super().__init__()
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        layers = model.config.vision_feature_layer
        self.layers = [layers] if isinstance(layers, int) else layers
        self.first_token = 1 if model.config.vision_feature_select_strategy == "default" else 0

    def forward(self, pixel_values):
        states = self.tower(pixel_values.to(self.tower.dtype), output_hidden_states=True).hidden_states
        chosen = torch.cat([states[layer][:, self.first_token :] for layer in self.layers], dim=-1)
        return self.projector(chosen).float()


TOWERS = ("clip_vision_model", "siglip_vision_model")


def vision_graph(model):
    tower = model.config.vision_config.model_type
    if tower not in TOWERS:  # Pixtral's: images of any size, and a mask that can't be traced
        raise SystemExit(f"the vision tower {tower} is not supported; these are: {', '.join(TOWERS)}")
    return image_graph(Vision(model), model.config.vision_config.image_size)


def sample(model, generator):
    """Two rows with one image each."""
    side = model.config.vision_config.image_size
    pixels = {"pixel_values": torch.randn(2, 3, side, side, generator=generator)}
    with torch.no_grad():
        num_tokens = Vision(model)(pixels["pixel_values"][:1]).shape[1]
    return Sample(fill_prompt(model.config, [num_tokens] * 2, generator), pixels, pixels)


FAMILY = Family(vision_graph=vision_graph, sample=sample)
