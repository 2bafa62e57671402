"""A LLaVA-1.5-7B-shaped model with random fp16 weights, exported, and random samples in the shape of LLaVA's mixture.

usage: make_model.py OUT_DIR [--layers 32] [--samples 256] [--tokenizer data/models/demo]

OUT_DIR/model is what model.path wants, OUT_DIR/samples.json and OUT_DIR/images the input. The decoder is written tensor
by tensor by tools/export-onnx; tokenizer and chat template are the demo model's, whose ids a 7B vocabulary holds too.
"""

import argparse
import json
import resource
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "export-onnx"))
from export import embed_graph
from families import family_of
from fused import SMALL_WEIGHTS, fuse_vision, fused_decoder
from graph import export_graph

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.float16
# A word of the demo data is 1.4 tokens on average: answers of 89 tokens, prompts of 45.
ANSWER_WORDS, PROMPT_WORDS = 64, 32


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


class RandomTensors:
    """Weights of the text model by name, drawn when they are asked for, as CheckpointTensors reads them."""

    def __init__(self, config, head):
        self.config, self.weight = config, head
        self.generator = torch.Generator(DEVICE).manual_seed(1)

    def text(self, name):
        c = self.config
        if name.endswith("bias"):
            return None
        if "norm" in name:
            return torch.ones(c.hidden_size)
        wide, narrow = c.intermediate_size, c.hidden_size
        shape = (wide, narrow) if "gate_proj" in name or "up_proj" in name else (narrow, wide) if "down_proj" in name else (narrow, narrow)
        return torch.randn(shape, generator=self.generator, device=DEVICE, dtype=DTYPE) * 0.02

    def head(self):
        return self.weight


def write_model(folder, tokenizer, layers, small):
    image_token = json.loads((tokenizer / "config.json").read_text())["image_token_index"]
    config = configuration(layers, image_token, small)
    bare = configuration(0, image_token, small)
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = LlavaForConditionalGeneration._from_config(bare, dtype=DTYPE, attn_implementation="eager").eval()
    fuse_vision(model)
    model = model.cpu()
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(tokenizer / name, folder / name)
    config.save_pretrained(folder)
    processor = json.loads((tokenizer / "preprocessor_config.json").read_text())
    processor |= {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    onnx = folder / "onnx"
    export_graph(family_of("llava").vision_graph(model), onnx / "vision_encoder_fp16.onnx", SMALL_WEIGHTS)
    export_graph(embed_graph(model), onnx / "embed_tokens_fp16.onnx", SMALL_WEIGHTS)
    head = model.lm_head.weight.detach()
    started = time.perf_counter()
    fused_decoder(config.text_config, RandomTensors(config.text_config, head), onnx / "decoder_model_merged_fp16.onnx", DTYPE)
    size = sum(file.stat().st_size for file in onnx.iterdir())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{size / 1e9:.2f} GB of graphs; decoder in {time.perf_counter() - started:.0f} s; peak resident {peak / 1e9:.2f} GB", flush=True)


def write_samples(folder, tokenizer, count):
    """Answers of 89 tokens on average (log-normal), prompts of about 40, photographs-like JPEGs of 336 pixels."""
    rng = np.random.default_rng(0)
    records = json.loads((tokenizer.parents[1] / "demo" / "train.json").read_text())
    words = sorted({word for record in records for turn in record["conversations"] for word in turn["value"].replace("<image>", "").split() if word.isalpha()})
    (folder / "images").mkdir()
    text = lambda length: " ".join(rng.choice(words, max(1, int(length))))
    samples = []
    for i in range(count):
        noise = Image.fromarray(rng.integers(0, 255, (84, 84, 3), dtype=np.uint8)).resize((336, 336)).filter(ImageFilter.GaussianBlur(1))
        noise.save(folder / "images" / f"{i}.jpg", quality=90)
        answer = text(min(300, rng.lognormal(np.log(ANSWER_WORDS) - 0.32, 0.8)))
        turns = [{"from": "human", "value": f"<image>\n{text(PROMPT_WORDS)}"}, {"from": "gpt", "value": answer}]
        samples.append({"id": str(i), "image": f"{i}.jpg", "conversations": turns})
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
    write_model(args.out_dir / "model", tokenizer, args.layers, args.small)
    write_samples(args.out_dir, tokenizer, args.samples)


if __name__ == "__main__":
    main()
