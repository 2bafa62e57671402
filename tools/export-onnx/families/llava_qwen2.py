"""llava_qwen2 (nanoLLaVA's and FastVLM's config shape): a SigLIP or CLIP tower, mlp2x_gelu, a Qwen2 decoder.

transformers has no such class, so the model is put together here from its parts, under the checkpoint's own names.
The tower's configuration is read from `vision_config` in config.json, or from the folder `mm_vision_tower` names.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModel, Qwen2Config, Qwen2ForCausalLM

from .base import Family, Sample, fill_prompt, image_graph


class Tower(nn.Module):
    """pixel_values [images, 3, size, size] -> the chosen layer's patch states [images, patches, width]."""

    def __init__(self, config, layer):
        super().__init__()
        self.vision_tower = AutoModel.from_config(config, attn_implementation="eager")
        self.layer = layer
        self.first_token = 1 if config.model_type.startswith("clip") else 0

    def forward(self, pixel_values):
        states = self.vision_tower(pixel_values, output_hidden_states=True).hidden_states
        return states[self.layer][:, self.first_token :]


class LlavaQwen2(Qwen2ForCausalLM):
    """Qwen2 with the tower and the projector under `model`, where the checkpoints keep them."""

    def __init__(self, config, vision_config, raw):
        super().__init__(config)
        self.raw = raw
        self.model.vision_tower = Tower(vision_config, raw.get("mm_vision_select_layer", -2))
        self.model.mm_projector = nn.Sequential(
            nn.Linear(raw["mm_hidden_size"], config.hidden_size), nn.GELU(), nn.Linear(config.hidden_size, config.hidden_size)
        )

    def image_features(self, pixel_values):
        """[images, 3, size, size] -> [images, tokens, hidden]."""
        return self.model.mm_projector(self.model.vision_tower(pixel_values.to(self.dtype)))

    def forward(self, input_ids=None, pixel_values=None, inputs_embeds=None, **kwargs):
        if pixel_values is not None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
            images = self.image_features(pixel_values)
            at = (input_ids == self.raw["image_token_index"])[..., None]
            inputs_embeds = inputs_embeds.masked_scatter(at, images.to(inputs_embeds.dtype))
            input_ids = None
        return super().forward(input_ids=input_ids, inputs_embeds=inputs_embeds, **kwargs)


def build(raw, folder=None):
    """An untrained model of the shape that config.json (`raw`) describes."""
    if raw.get("mm_projector_type", "mlp2x_gelu") != "mlp2x_gelu":
        raise SystemExit(f"mm_projector_type {raw['mm_projector_type']!r} can't be exported; supported: mlp2x_gelu")
    if raw.get("mm_vision_select_feature", "patch") != "patch":
        raise SystemExit("mm_vision_select_feature must be patch")
    if "mobileclip" in str(raw.get("mm_vision_tower")):
        raise SystemExit(
            f"mm_vision_tower {raw['mm_vision_tower']!r} (FastVLM's FastViT-HD) can't be exported here; supported: SigLIP and CLIP "
            "towers. The onnx-community exports of FastVLM have the layout already: point model.path at one"
        )
    vision = raw.get("vision_config")
    if vision is None:
        tower = Path(raw["mm_vision_tower"])
        places = [place for place in (tower, Path(folder or ".") / tower.name) if (place / "config.json").is_file()]
        if not places:
            raise SystemExit(f"config.json has no vision_config and {tower} is no folder: put the tower's config there")
        vision = json.loads((places[0] / "config.json").read_text())
        vision = vision.get("vision_config", vision)
    vision = dict(vision)
    vision_config = AutoConfig.for_model(vision.pop("model_type"), **vision)
    text_keys = {key: value for key, value in raw.items() if key not in ("model_type", "vision_config", "architectures")}
    config = Qwen2Config(**text_keys)
    config._attn_implementation = "eager"
    return LlavaQwen2(config, vision_config, raw)


def unused(name, model):
    """Whether the weight `name` can't reach the logits: the tower's layers above the chosen one, its last norm, its head."""
    start = "model.vision_tower.vision_tower."
    if name == "lm_head.weight":
        return model.config.tie_word_embeddings
    if not name.startswith(start):
        return False
    part = name.removeprefix(start).split(".")
    if part[:2] == ["encoder", "layers"]:
        tower = model.model.vision_tower
        return int(part[2]) >= range(tower.vision_tower.config.num_hidden_layers + 1)[tower.layer]
    return part[0] in ("head", "post_layernorm")


def load(folder, dtype):
    """The checkpoint folder as a torch model; fails on any weight that matters and is missing or left over."""
    folder = Path(folder)
    raw = json.loads((folder / "config.json").read_text())
    model = build(raw, folder)
    weights = {}
    for part in sorted(folder.glob("*.safetensors")):
        weights |= {name.replace(".vision_model.", "."): value for name, value in load_file(part).items()}
    keys = model.load_state_dict(weights, strict=False)
    wrong = [name for name in [*keys.missing_keys, *keys.unexpected_keys] if not unused(name, model)]
    if wrong:
        raise SystemExit(f"the checkpoint does not fit: {len(wrong)} weights missing or left over, such as {wrong[:5]}")
    model.tie_weights()
    return model.to(dtype)


class Vision(nn.Module):
    """pixel_values float32 [images, 3, size, size] -> image_features float32 [images, tokens, hidden]."""

    def __init__(self, model):
        super().__init__()
        self.tower, self.projector, self.dtype = model.model.vision_tower, model.model.mm_projector, model.dtype

    def forward(self, pixel_values):
        return self.projector(self.tower(pixel_values.to(self.dtype))).float()


def image_side(model):
    return model.model.vision_tower.vision_tower.config.image_size


def vision_graph(model):
    return image_graph(Vision(model), image_side(model))


def sample(model, generator):
    """Two rows with one image each."""
    side = image_side(model)
    pixels = {"pixel_values": torch.randn(2, 3, side, side, generator=generator)}
    with torch.no_grad():
        num_tokens = Vision(model)(pixels["pixel_values"][:1]).shape[1]
    config = SimpleNamespace(image_token_id=model.raw["image_token_index"], get_text_config=lambda: model.config)
    return Sample(fill_prompt(config, [num_tokens] * 2, generator), pixels, pixels)


FAMILY = Family(vision_graph=vision_graph, sample=sample, load=load, text_model=lambda model: model.model)
