"""The demo model: a small `LlavaForConditionalGeneration` and the files that go with it."""

import json
from pathlib import Path

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from build_tokenizer import BOS, EOS, IMAGE, PAD, VOCABULARY, build
from render import CELL, MEAN, SIZE, STD
from world import CELLS

CHAT_TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'USER: ' }}{% elif message['role'] == 'assistant' %}{{ ' ASSISTANT: ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] | trim }}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% elif message['role'] == 'system' %}{{ ' ' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)


def new_model():
    """The untrained model, float32."""
    vision = CLIPVisionConfig(
        hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6, image_size=SIZE, patch_size=CELL,
        projection_dim=192, hidden_act="quick_gelu", initializer_factor=1.0)
    text = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=448, num_hidden_layers=5, num_attention_heads=8,
        num_key_value_heads=8, max_position_embeddings=2048, rms_norm_eps=1e-5, tie_word_embeddings=True,
        pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS)
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=IMAGE, image_seq_length=CELLS, vision_feature_layer=-1,
        vision_feature_select_strategy="default", projector_hidden_act="gelu", tie_word_embeddings=True)
    config.image_token_index = IMAGE  # the name that older readers look for
    return LlavaForConditionalGeneration(config)


def save(model, folder):
    """Rounds the weights to float16 and writes the Hugging Face folder (float16 safetensors, tokenizer, processor)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config.update(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    model.to(torch.float16).save_pretrained(folder)
    model.float()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=build(), bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=2048,
        padding_side="left", clean_up_tokenization_spaces=False, extra_special_tokens={"image_token": "<image>"},
        chat_template=CHAT_TEMPLATE)
    tokenizer.save_pretrained(folder)
    edit(folder / "tokenizer_config.json", processor_class="LlavaProcessor", tokenizer_class="PreTrainedTokenizerFast",
         extra_special_tokens={"image_token": "<image>"})  # the spelling that transformers 4 reads too
    (folder / "model.safetensors").chmod(0o644)
    write(folder / "preprocessor_config.json", {
        "image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor",
        "do_convert_rgb": True, "do_resize": True, "size": {"shortest_edge": SIZE}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": SIZE, "width": SIZE},
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": list(MEAN), "image_std": list(STD)})
    write(folder / "processor_config.json", {
        "processor_class": "LlavaProcessor", "image_token": "<image>", "patch_size": CELL,
        "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"})


def write(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def edit(path, **values):
    write(path, {**json.loads(path.read_text()), **values})


if __name__ == "__main__":
    model = new_model()
    for name, part in [("vision", model.model.vision_tower), ("adapter", model.model.multi_modal_projector),
                       ("language", model.model.language_model), ("all", model)]:
        print(name, sum(p.numel() for p in part.parameters()))
    print("tied", model.lm_head.weight is model.model.language_model.embed_tokens.weight)
