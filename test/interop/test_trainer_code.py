"""LLaMA-Factory's own loader and collator on our export. README.md says how to get it."""

import json

import pytest
from conftest import IMAGES, needs, pipeline
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
