"""A collator for rows of `pipeline export --to hf-parquet`: input_ids and labels are ready, images become tensors.

For TRL's SFTTrainer and for transformers' Trainer. The labels hold the loss mask already (-100 where a token has no
loss), so nothing is tokenized here and no template is applied: what was scored is what is trained.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

IGNORE_INDEX = -100


@dataclass
class VigCollator:
    """Pads token columns and runs the image processor.

    image_processor: a processor's `image_processor`, for the model that the data was scored with (the number of image
        tokens is part of input_ids). None: rows without images only.
    pad_token_id: fills input_ids up; never attended to.
    nest_images: hand over one list of images a sample (Idefics3, SmolVLM) in place of one flat list (all others).
    image_token_id: adds `mm_token_type_ids` (1 for image tokens), which Qwen2-VL and its successors want in transformers 5.
    padding_side: "right" for training; "left" where a model wants it.
    pad_to_multiple_of: rounds the length up, for kernels that like it.
    """

    image_processor: Any
    pad_token_id: int
    nest_images: bool = False
    image_token_id: int | None = None
    padding_side: str = "right"
    pad_to_multiple_of: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask, labels [batch, longest], int64, and what the image processor makes."""
        ids = [torch.as_tensor(row["input_ids"], dtype=torch.long) for row in rows]
        labels = [torch.as_tensor(row["labels"], dtype=torch.long) for row in rows]
        batch = {
            "input_ids": self._pad(ids, self.pad_token_id),
            "attention_mask": self._pad([torch.ones_like(row) for row in ids], 0),
            "labels": self._pad(labels, IGNORE_INDEX),
        }
        if self.image_token_id is not None:
            batch["mm_token_type_ids"] = (batch["input_ids"] == self.image_token_id).long()
        return {**batch, **self._image_tensors(rows)}

    def _pad(self, rows: list[torch.Tensor], value: int) -> torch.Tensor:
        length = max(len(row) for row in rows)
        if self.pad_to_multiple_of:
            length = -(-length // self.pad_to_multiple_of) * self.pad_to_multiple_of
        padded = rows[0].new_full((len(rows), length), value)
        for target, row in zip(padded, rows):
            if self.padding_side == "left":
                target[length - len(row) :] = row
            else:
                target[: len(row)] = row
        return padded

    def _image_tensors(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        images = [[_to_image(image) for image in row["images"]] for row in rows]
        flat = [image for row in images for image in row]
        if not flat:
            return {}
        if self.image_processor is None:
            raise ValueError("the rows have images: give the collator the processor's image_processor")
        return dict(self.image_processor(images=images if self.nest_images else flat, return_tensors="pt"))


def _to_image(image: Any) -> Any:
    """An RGB image: `datasets` decodes the column; rows read by other means hold bytes or a path."""
    from PIL import Image, ImageOps

    if isinstance(image, Mapping):
        source = io.BytesIO(image["bytes"]) if image.get("bytes") else image["path"]
        image = ImageOps.exif_transpose(Image.open(source))
    return image.convert("RGB")
