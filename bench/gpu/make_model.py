"""A checkpoint of LLaVA-1.5-7B's shape with random fp16 weights, and random samples in the shape of LLaVA's mixture.

usage: make_model.py OUT_DIR [--layers 32] [--samples 256] [--tokenizer data/models/demo]

OUT_DIR/checkpoint is a Hugging Face folder for tools/export-onnx, OUT_DIR/samples.json and OUT_DIR/images are the input.
Tokenizer and chat template are the demo model's, whose ids a 7B vocabulary holds too.
"""

import argparse
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# A word of the demo data is 1.4 tokens on average: answers of 89 tokens, prompts of 45.
ANSWER_WORDS, PROMPT_WORDS = 64, 32
# Samples beyond so many show the same pictures again.
NUM_IMAGES = 2048


def configuration(layers, image_token, small):
    """LLaVA-1.5-7B's shape; `small` divides the widths by 16, to try the script."""
    cut = 16 if small else 1
    return LlavaConfig(
        vision_config=CLIPVisionConfig(hidden_size=1024 // cut, intermediate_size=4096 // cut, num_hidden_layers=24 if not small else 2,
                                       num_attention_heads=16 if not small else 2, image_size=336, patch_size=14, projection_dim=768),
        text_config=LlamaConfig(hidden_size=4096 // cut, intermediate_size=11008 // cut, num_hidden_layers=layers, num_attention_heads=32 // cut,
                                num_key_value_heads=32 // cut, vocab_size=32064, max_position_embeddings=4096, rms_norm_eps=1e-5),
        image_token_index=image_token, vision_feature_layer=-2, vision_feature_select_strategy="default", image_seq_length=576,
    )


def write_checkpoint(folder, tokenizer, layers, small):
    image_token = json.loads((tokenizer / "config.json").read_text())["image_token_index"]
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = LlavaForConditionalGeneration._from_config(configuration(layers, image_token, small), dtype=torch.float16)
    model.save_pretrained(folder, max_shard_size="5GB")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(tokenizer / name, folder / name)
    processor = json.loads((tokenizer / "preprocessor_config.json").read_text())
    processor |= {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    shards = list(folder.glob("*.safetensors"))
    print(f"{sum(file.stat().st_size for file in shards) / 1e9:.2f} GB in {len(shards)} shards", flush=True)


def write_samples(folder, tokenizer, count):
    """Answers of 89 tokens on average (log-normal), prompts of about 40, photographs-like JPEGs of 336 pixels."""
    (folder / "images").mkdir(parents=True)

    def draw(i):
        noise = np.random.default_rng([1, i]).integers(0, 255, (84, 84, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((336, 336)).filter(ImageFilter.GaussianBlur(1)).save(folder / "images" / f"{i}.jpg", quality=90)

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(min(count, NUM_IMAGES))))
    rng = np.random.default_rng(0)
    records = json.loads((tokenizer.parents[1] / "demo" / "train.json").read_text())
    words = sorted({word for record in records for turn in record["conversations"] for word in turn["value"].replace("<image>", "").split() if word.isalpha()})
    text = lambda length: " ".join(rng.choice(words, max(1, int(length))))
    samples = []
    for i in range(count):
        answer = text(min(300, rng.lognormal(np.log(ANSWER_WORDS) - 0.32, 0.8)))
        turns = [{"from": "human", "value": f"<image>\n{text(PROMPT_WORDS)}"}, {"from": "gpt", "value": answer}]
        samples.append({"id": str(i), "image": f"{i % NUM_IMAGES}.jpg", "conversations": turns})
    (folder / "samples.json").write_text(json.dumps(samples))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--tokenizer", type=Path, default=Path("data/models/demo"))
    parser.add_argument("--small", action="store_true", help="widths divided by 16: to try the script without a GPU")
    args = parser.parse_args()
    tokenizer = args.tokenizer.resolve()
    write_samples(args.out_dir, tokenizer, args.samples)
    write_checkpoint(args.out_dir / "checkpoint", tokenizer, args.layers, args.small)


if __name__ == "__main__":
    main()
