"""What trainers do with the exports: real steps on tiny random models. Needs test/interop/requirements-training.txt."""

import json

import pytest
from conftest import IMAGES, ROOT, needs

pytestmark = needs("torch", "transformers", "trl")

LLAVA = ROOT / "test" / "fixtures" / "models" / "llava"


@pytest.fixture(scope="module")
def llava_output(request, tmp_path_factory):
    from conftest import pipeline

    folder = tmp_path_factory.mktemp("llava-training")
    records = json.loads((IMAGES.parent / "train.json").read_text(encoding="utf-8"))
    (folder / "train.json").write_text(json.dumps(records[:60]), encoding="utf-8")
    changes = {"model.path": LLAVA, "source.annotations": folder / "train.json", "output.path": folder / "out"}
    pipeline("run", "pipelines/select.yaml", "--quiet", *[word for key, value in changes.items() for word in ("--set", f"{key}={value}")])
    return folder / "out"


@pytest.fixture(scope="module")
def rows(llava_output, exported, tmp_path_factory):
    import datasets

    folder = exported(llava_output, "hf-parquet", "--images", "--image-root", IMAGES)
    return datasets.load_dataset(
        "parquet", data_files=str(folder / "data" / "*.parquet"), split="train", cache_dir=str(tmp_path_factory.mktemp("cache"))
    )


@pytest.fixture(scope="module")
def model():
    import torch
    from transformers import AutoConfig, LlavaForConditionalGeneration

    torch.manual_seed(0)
    return LlavaForConditionalGeneration(AutoConfig.from_pretrained(LLAVA)).eval()


@pytest.fixture(scope="module")
def collator():
    from transformers import AutoImageProcessor

    from integrations.trl.collator import VigCollator

    return VigCollator(AutoImageProcessor.from_pretrained(LLAVA), pad_token_id=0)


def loss_by_hand(model, batch):
    """Sum over active tokens of -log softmax at the row before each, over their number: nothing of the trainer's."""
    import torch

    with torch.no_grad():
        logits = model(**{name: value for name, value in batch.items() if name != "labels"}).logits.double()
    total, count = 0.0, 0
    for sequence, labels in zip(torch.log_softmax(logits, -1), batch["labels"]):
        for position in (labels != -100).nonzero().flatten().tolist():
            total -= sequence[position - 1, labels[position]].item()
            count += 1
    return total / count, count


def test_the_loss_is_that_of_the_active_tokens_alone(rows, model, collator):
    import torch

    chosen = [row for row in rows.select(range(6))]
    batch = collator(chosen)
    expected, count = loss_by_hand(model, batch)
    assert count == sum(row["num_active"] for row in chosen) < sum(len(row["input_ids"]) for row in chosen)
    with torch.no_grad():
        assert model(**batch).loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_sample_without_active_tokens_adds_nothing(rows, model, collator):
    import torch

    with_image = [row for row in rows if row["images"]][:2]
    silent = {**with_image[1], "labels": [-100] * len(with_image[1]["labels"])}

    def gradient(batch):
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    alone, together = gradient(collator(with_image[:1])), gradient(collator([with_image[0], silent]))
    assert together[0] == pytest.approx(alone[0], rel=1e-5)
    assert torch.allclose(together[1], alone[1], atol=1e-5 * alone[1].abs().max().item())


def test_trl_trains_a_step_with_that_loss(rows, model, collator, tmp_path):
    import copy

    from transformers import LlavaProcessor, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(LLAVA / "tokenizer.json"), pad_token="<unk>", eos_token="</s>")
    processor = LlavaProcessor(collator.image_processor, tokenizer, patch_size=14, vision_feature_select_strategy="default")
    arguments = SFTConfig(
        str(tmp_path),
        per_device_train_batch_size=4,
        max_steps=1,
        logging_steps=1,
        learning_rate=1e-3,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        report_to=[],
        use_cpu=True,
        bf16=False,
        fp16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        shuffle_dataset=False,
    )
    four = rows.select(range(4))
    trained = copy.deepcopy(model)
    trainer = SFTTrainer(model=trained, args=arguments, train_dataset=four, data_collator=collator, processing_class=processor)
    before = [parameter.detach().clone() for parameter in trained.parameters()]
    expected, _ = loss_by_hand(model, collator(list(four)))
    result = trainer.train()
    # Dropout is off in this configuration, so the step's loss is that of the untrained model.
    assert result.training_loss == pytest.approx(expected, rel=1e-3)
    assert any(not (a == b).all() for a, b in zip(before, trained.parameters()))


def test_llava_preprocessing_agrees_and_the_patch_masks_the_same_tokens(llava_output, exported):
    """LLaVA's tokens, made as its trainer makes them, are ours; with the patch its labels are our mask."""
    import pyarrow.parquet as pq
    import torch
    from transformers import PreTrainedTokenizerFast

    from integrations.llava.loss_mask import apply_loss_mask

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(LLAVA / "tokenizer.json"), bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    records = json.loads((exported(llava_output, "llava-json") / "train.json").read_text(encoding="utf-8"))
    selected = pq.read_table(llava_output / "selection").to_pylist()
    for record, row in zip(records, selected):
        input_ids, labels = llava_v1_tokens(record, tokenizer)
        assert labels[labels != -100].tolist() == row["token_id"]
        masked = apply_loss_mask(input_ids, labels, record["conversations"], tokenizer)
        mask = (masked[labels != -100] != -100).tolist()
        # The space that the template puts in front of an answer is a token of its own here, and no character.
        shown = [index for index, text in enumerate(row["token_text"]) if text != ""]
        assert [mask[index] for index in shown] == [row["loss_mask"][index] for index in shown]
        assert (masked[masked != -100] == input_ids[masked != -100]).all()
    assert torch.is_tensor(masked)


SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def llava_v1_tokens(record, tokenizer):
    """What LLaVA's v1 preprocessing does, written anew: pieces around images tokenized apart, -200 for an image.

    Labels are counted as it counts them, round by round: each round is tokenized by itself behind a <s> that stands for
    the </s> before it, and the trained part begins two before the end of "ASSISTANT: ", at the answer's space. A count
    that misses the whole makes LLaVA drop the sample's loss.
    """
    import torch

    def tokens(text):
        ids = [1]
        for index, piece in enumerate(text.split("<image>")):
            ids += [-200] * (index > 0) + tokenizer(piece, add_special_tokens=False).input_ids
        return ids

    text = f"{SYSTEM} "
    for turn in record["conversations"]:
        value = turn["value"]
        if turn["from"] == "gpt":
            text += f"ASSISTANT: {value}</s>"
            continue
        if "<image>" in value:
            value = ("<image>\n" + value.replace("<image>", "").strip()).strip()
        text += f"USER: {value} "
    input_ids = torch.tensor(tokens(text))
    labels = torch.full_like(input_ids, -100)
    start = 1
    for one in text.split("</s>")[:-1]:
        prompt, _ = one.split(" ASSISTANT: ")
        stop = start + len(tokens(one))
        answer = start + len(tokens(f"{prompt} ASSISTANT: ")) - 2
        labels[answer:stop] = input_ids[answer:stop]
        start = stop
    assert start == len(input_ids), "LLaVA would drop this sample"
    return input_ids, labels
