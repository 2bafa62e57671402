"""Reads a Hugging Face checkpoint folder and copies what stands beside the weights."""

import json
import shutil
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText

SIDE_FILES = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json",
)
DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


def read_config(folder):
    """The folder's config.json."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise SystemExit(f"{path} does not exist: CHECKPOINT_DIR must be a Hugging Face checkpoint folder")
    return json.loads(path.read_text())


def load_model(folder, family, dtype, config=None):
    """The checkpoint as a torch model on the CPU, weights in `dtype`, eager attention; `config` replaces the folder's.

    Raises SystemExit where the checkpoint lacks weights, which transformers would fill with random numbers.
    """
    if family.load:
        return family.load(folder, dtype).eval()
    model, found = AutoModelForImageTextToText.from_pretrained(
        folder, config=config, dtype=dtype, attn_implementation="eager", local_files_only=True, output_loading_info=True
    )
    lacking = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
    if lacking:
        raise SystemExit(f"the checkpoint lacks {len(lacking)} weights or has them in another shape, such as {lacking[:5]}")
    return model.eval()


def copy_side_files(source, target, dtype_name):
    """Copies configuration, tokenizer, processor and chat template; notes the cache's dtype as transformers.js reads it."""
    target.mkdir(parents=True, exist_ok=True)
    for name in SIDE_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    split_processor(target)
    if dtype_name == "fp16":
        config = read_config(target)
        config.setdefault("transformers.js_config", {}).setdefault("kv_cache_dtype", {})["fp16"] = "float16"
        (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def split_processor(target):
    """Writes preprocessor_config.json where only processor_config.json holds the image processor (transformers 5 saves so)."""
    combined, apart = target / "processor_config.json", target / "preprocessor_config.json"
    if apart.is_file() or not combined.is_file():
        return
    processor = json.loads(combined.read_text())
    if "image_processor" in processor:
        image = processor["image_processor"] | {"processor_class": processor.get("processor_class")}
        apart.write_text(json.dumps(image, indent=2) + "\n")
