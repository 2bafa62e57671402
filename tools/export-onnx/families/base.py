"""What a family tells the exporter, and the pieces that several families share."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from graph import Graph


@dataclass
class Sample:
    """A random batch for the parity check.

    `input_ids` are rows of different lengths with image tokens already expanded; `vision_inputs` feed the vision
    graph, `reference_inputs` feed the torch model, both in the rows' order. `token_type_ids` as `input_ids`.
    `position_ids` (only for families with three rows) has one [3, length] tensor a row.
    """

    input_ids: list[torch.Tensor]
    vision_inputs: dict
    reference_inputs: dict
    token_type_ids: list[torch.Tensor] | None = None
    position_ids: list[torch.Tensor] | None = None


@dataclass(frozen=True)
class Family:
    """How one family differs from the others.

    `vision_graph(model)` gives the vision encoder's Graph; `sample(model, generator)` a parity batch.
    `blocks(token_type_ids)` gives the both-ways blocks of decoder.allowed_attention; `padding_type` is the type of
    padding tokens. `load` replaces the usual transformers loader for checkpoints that it has no class for.
    `features(outputs)` turns the vision graph's outputs into rows for the image tokens, in the order of the prompt.
    """

    vision_graph: Callable
    sample: Callable
    position_start: int = 0
    position_rows: int = 1
    blocks: Callable | None = None
    padding_type: int = 0
    load: Callable | None = None
    features: Callable = field(default=lambda outputs: outputs[0])
    text_model: Callable = field(default=lambda model: model.model.language_model)


def image_graph(module, side):
    """The Graph of an encoder that takes whole images of one fixed size and gives [images, tokens, hidden]."""
    example = {"pixel_values": torch.zeros(2, 3, side, side)}
    with torch.no_grad():
        _, num_tokens, hidden = module(**example).shape
    return Graph(
        module=module,
        inputs=example,
        axes={"pixel_values": {0: "num_images"}},
        input_names=["pixel_values"],
        output_names=["image_features"],
        output_axes={"image_features": ["num_images", num_tokens, hidden]},
    )


def image_token_id(config):
    """The id that stands for one image feature in the prompt."""
    token = getattr(config, "image_token_id", None)
    return config.image_token_index if token is None else token


def fill_prompt(config, image_tokens, generator, before=3, after=9):
    """Rows of random text with a run of image tokens: `image_tokens[i]` of them in row i, each row longer than the last."""
    token = image_token_id(config)
    vocabulary = config.get_text_config().vocab_size

    def text(length):
        ids = torch.randint(0, vocabulary, (length,), generator=generator)
        return torch.where(ids == token, (ids + 1) % vocabulary, ids)

    return [
        torch.cat([text(before), torch.full((count,), token), text(after + 4 * row)])
        for row, count in enumerate(image_tokens)
    ]
