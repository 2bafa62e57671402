"""Trainers' own code on our exports: LLaMA-Factory's loader and collator, ms-swift's loader and template. README.md says how to get them."""

import json

import pytest
from conftest import IMAGES, ROOT, needs, pipeline
from test_training import LLAVA, loss_by_hand, model  # noqa: F401


def scored(folder, model_path):
    records = json.loads((IMAGES.parent / "train.json").read_text(encoding="utf-8"))
    (folder / "train.json").write_text(json.dumps(records[:60]), encoding="utf-8")
    changes = {"model.path": model_path, "source.annotations": folder / "train.json", "output.path": folder / "out"}
    pipeline("run", "pipelines/select.yaml", "--quiet", *[word for key, value in changes.items() for word in ("--set", f"{key}={value}")])
    return folder / "out"


@needs("torch", "transformers", "llamafactory")
def test_llamafactory_loads_collates_and_gives_the_loss_of_the_active_tokens(model, tmp_path, monkeypatch):  # noqa: F811
    import torch
    # It pins an older transformers than the other tests have.
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_template_and_fix_tokenizer
    from llamafactory.data.loader import get_dataset
    from llamafactory.hparams import DataArguments
    from transformers import AutoImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

    folder = tmp_path / "export"
    output = scored(tmp_path, LLAVA)
    pipeline("export", output, "--to", "llamafactory", "--image-root", IMAGES, "--out", folder, "--quiet")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(LLAVA / "tokenizer.json"), pad_token="<unk>", bos_token="<s>", eos_token="</s>")
    processor = LlavaProcessor(AutoImageProcessor.from_pretrained(LLAVA), tokenizer, patch_size=14, vision_feature_select_strategy="default")
    arguments = DataArguments(template="llava", tokenized_path=str(folder))
    template = get_template_and_fix_tokenizer(tokenizer, arguments)
    rows = get_dataset(template, None, arguments, None, "sft", tokenizer, processor)["train_dataset"]
    collate = SFTDataCollatorWith4DAttentionMask(
        template=template, model=model, tokenizer=tokenizer, processor=processor, label_pad_token_id=-100, pad_to_multiple_of=8, compute_dtype=torch.float32
    )
    chosen = [row for row in rows if row["images"]][:5]
    expected = sum(sum(label != -100 for label in row["labels"]) for row in chosen)
    batch = {name: value for name, value in collate([dict(row) for row in chosen]).items() if torch.is_tensor(value)}
    assert batch["pixel_values"].shape[0] == 5
    assert int((batch["labels"] != -100).sum()) == expected > 0
    by_hand, count = loss_by_hand(model, batch)
    assert count == expected
    with torch.no_grad():
        assert model(**batch).loss.item() == pytest.approx(by_hand, rel=1e-5)


QWEN = ROOT / "test" / "fixtures" / "models" / "qwen2_vl"


@needs("torch", "transformers", "swift")
def test_swift_makes_the_scored_sequences_and_trains_every_active_token(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    # ms-swift sizes Qwen's images by itself; as many image tokens as the model folder's longest_edge allows.
    monkeypatch.setenv("IMAGE_MAX_TOKEN_NUM", "12")
    from swift.dataset import load_dataset
    from swift.model import get_processor
    from swift.template import get_template

    output = scored(tmp_path, QWEN)
    for name in ("swift-jsonl", "hf-parquet"):
        pipeline("export", output, "--to", name, "--image-root", IMAGES, "--out", tmp_path / name, "--quiet")
    rows, _ = load_dataset([str(tmp_path / "swift-jsonl" / "train.jsonl")], load_from_cache_file=False)
    template = get_template(get_processor(str(QWEN), model_type="qwen2_vl"), template_type="qwen2_vl", max_length=4096)
    template.set_mode("train")
    # It takes the published vocabulary's number for granted, and the tiny one has another.
    template.image_token_id = template.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    ours = pq.read_table(tmp_path / "hf-parquet" / "data").to_pylist()
    assert len(rows) == len(ours) > 30
    num_active = num_trained = num_cut = num_middle_ends = 0
    end_of_turn = template.tokenizer.convert_tokens_to_ids("<|im_end|>")
    for row, stored in zip(rows, ours):
        encoded = template.encode(dict(row))
        assert encoded["input_ids"] == stored["input_ids"]
        labels = list(zip(encoded["labels"], stored["labels"]))
        assert all(trained == active for trained, active in labels if active != -100)
        num_trained += sum(trained != -100 for trained, _ in labels)
        num_active += sum(active != -100 for _, active in labels)
        num_cut += len({message.get("loss") for message in row["messages"]}) == 3
        num_middle_ends += stored["labels"][:-2].count(end_of_turn)
    assert min(num_cut, num_middle_ends) > 3
    assert num_trained < 1.2 * num_active
