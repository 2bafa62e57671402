"""A model in the shape of SmolVLM-256M with random weights, so that vocabulary and size are real.

usage: make_model.py OUT_DIR

Decoder: Llama, 30 layers x 576, vocabulary 49280 (135M parameters). Encoder: SigLIP, 12 layers x 768, 512-pixel images in
patches of 16 (93M parameters), 64 tokens an image. Tokenizer and template are those of the test model of the family: its
ids are the low end of the vocabulary. Images are not cut into tiles: one view of 512 x 512 an image.
Needs bench/scoring/requirements.txt; no network. Writes 0.9 GB of weights and 0.9 GB of graphs to OUT_DIR.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
import transformers as hf

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "export-onnx"))
from export import export  # noqa: E402

FIXTURE = ROOT / "test" / "fixtures" / "models" / "smolvlm"


def make_processor():
    settings = json.loads((FIXTURE / "preprocessor_config.json").read_text())
    sizes = {"size": {"longest_edge": 512}, "max_image_size": {"longest_edge": 512}, "do_image_splitting": False}
    kept = {key: value for key, value in settings.items() if key != "image_processor_type"}
    tokenizer = hf.AutoTokenizer.from_pretrained(FIXTURE)
    template = (FIXTURE / "chat_template.jinja").read_text()
    return hf.Idefics3Processor(hf.Idefics3ImageProcessor(**kept | sizes), tokenizer, image_seq_len=64, chat_template=template)


def make_model(tokenizer):
    fixture = json.loads((FIXTURE / "config.json").read_text())
    text = hf.LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49280, max_position_embeddings=8192, rms_norm_eps=1e-5, tie_word_embeddings=True,
        **{key: fixture["text_config"][key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
    )
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
              "image_size": 512, "patch_size": 16}
    config = hf.SmolVLMConfig(
        vision_config=vision, text_config=text.to_dict(), image_token_id=fixture["image_token_id"], scale_factor=4,
        pad_token_id=fixture["pad_token_id"], tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return hf.SmolVLMForConditionalGeneration(config).eval()


def main():
    target = Path(sys.argv[1])
    processor = make_processor()
    model = make_model(processor.tokenizer)
    decoder = sum(p.numel() for p in model.model.text_model.parameters())
    encoder = sum(p.numel() for p in model.model.vision_model.parameters())
    checkpoint = target / "checkpoint"
    model.save_pretrained(checkpoint)
    processor.save_pretrained(checkpoint)
    del model
    export(checkpoint, target, "fp32", verify=False)
    for weights in checkpoint.glob("model*.safetensors*"):
        weights.rename(target / weights.name)
    shutil.rmtree(checkpoint)
    print(f"decoder {decoder / 1e6:.0f}M parameters, encoder {encoder / 1e6:.0f}M, in {target}")


if __name__ == "__main__":
    main()
