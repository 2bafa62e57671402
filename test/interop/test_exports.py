"""Every export is read by what it is for, and holds the selection's mask, token for token."""

import json

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from conftest import IMAGES
from integrations.spans import answer_mask, mask_from_offsets, token_texts


@pytest.fixture(scope="session")
def tokenizer(model_folder):
    return Tokenizer.from_file(str(model_folder / "tokenizer.json"))


def decoder(tokenizer):
    return lambda ids: tokenizer.decode(ids, skip_special_tokens=False)


def answers_of(row):
    return [message["content"] for message in row["messages"] if message["role"] == "assistant"]


def json_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_jsonl_spans_are_the_active_tokens_text(family_output, exported, selected):
    rows = json_lines(exported(family_output, "jsonl") / "train.jsonl")
    assert [row["sample_id"] for row in rows] == [row["sample_id"] for row in selected]
    num_spans = 0
    for row, stored in zip(rows, selected):
        assert row["token_id"] == stored["token_id"]
        assert row["token_text"] == stored["token_text"]
        assert [bool(keeps) for keeps in row["loss_mask"]] == stored["loss_mask"]
        for answer in row["answers"]:
            text = row["messages"][answer["message"]]["content"]
            tokens = range(answer["token_start"], answer["token_end"])
            shown = "".join(text[start:end] for start, end in answer["spans"])
            active = "".join(row["token_text"][token] for token in tokens if row["loss_mask"][token])
            # The end-of-turn mark has no place in the text. A split character is shown by the last of its tokens.
            assert active.startswith(shown) or not stored["loss_mask"][tokens[-1]] or "\ufffd" in active
            assert len(active) >= len(shown)
            assert answer["end_of_turn"] == stored["loss_mask"][tokens[-1]]
            assert all(a[1] < b[0] for a, b in zip(answer["spans"], answer["spans"][1:]))
            num_spans += len(answer["spans"])
    assert num_spans > 300


def test_spans_give_the_mask_back_by_decoding(family_output, exported, selected, tokenizer):
    """What integrations/spans.py does for tokenizers without offsets, on the very tokens that were scored."""
    rows = json_lines(exported(family_output, "jsonl") / "train.jsonl")
    for row, stored in zip(rows, selected):
        for answer in row["answers"]:
            tokens = slice(answer["token_start"], answer["token_end"])
            mask = answer_mask(row["messages"][answer["message"]]["content"], answer["spans"], stored["token_id"][tokens], decoder(tokenizer))
            first = first_shown(stored, answer)
            assert mask[first:] == stored["loss_mask"][tokens][first : len(mask)]
            assert len(mask) == answer["token_end"] - answer["token_start"] - 1  # but for the end of turn


def first_shown(row, answer):
    """1 where the first token is the template's space in front of the answer, which is no character of it."""
    return int(row["token_text"][answer["token_start"]] == "")


def test_spans_reach_another_tokenizer(family_output, exported, selected):
    """Words keep their loss whatever tokens they are cut into: here each character is one."""
    rows = json_lines(exported(family_output, "jsonl") / "train.jsonl")
    for row in rows:
        for answer in row["answers"]:
            text = row["messages"][answer["message"]]["content"]
            mask = mask_from_offsets([(i, i + 1) for i in range(len(text))], answer["spans"])
            kept = {i for start, end in answer["spans"] for i in range(start, end)}
            assert {i for i, keeps in enumerate(mask) if keeps} == kept


def test_offsets_of_a_fast_tokenizer_give_the_mask_back(family_output, exported, selected, tokenizer):
    rows = json_lines(exported(family_output, "jsonl") / "train.jsonl")
    num_same = num_compared = 0
    for row, stored in zip(rows, selected):
        for answer in row["answers"]:
            encoded = tokenizer.encode(row["messages"][answer["message"]]["content"], add_special_tokens=False)
            start, stop = answer["token_start"], answer["token_end"] - 1
            # The first token may have a space in front, in the template's context.
            if encoded.ids[1:] != stored["token_id"][start + 1 : stop]:
                continue
            num_compared += 1
            first = first_shown(stored, answer)
            num_same += mask_from_offsets(encoded.offsets, answer["spans"])[first:] == stored["loss_mask"][start + first : stop]
    # Elsewhere the template's space in front of an answer changes its first tokens.
    assert num_compared > 0.5 * len(rows)
    assert num_same == num_compared


def test_token_texts_are_those_that_were_stored(family_output, selected, tokenizer):
    for row in selected[:200]:
        if len(answers_of(row)) == 1:
            texts = token_texts(row["token_id"], decoder(tokenizer))
            assert "".join(texts).strip() == "".join(row["token_text"]).strip()


def test_llava_json_is_the_subset_of_the_input(family_output, exported, selected):
    records = json.loads((exported(family_output, "llava-json") / "train.json").read_text(encoding="utf-8"))
    original = {record["id"]: record for record in json.loads((IMAGES.parent / "train.json").read_text(encoding="utf-8"))}
    assert [record["id"] for record in records] == [row["sample_id"] for row in selected]
    for record, row in zip(records, selected):
        assert record.get("image") == original[record["id"]].get("image")
        plain = [{"from": turn["from"], "value": turn["value"]} for turn in record["conversations"]]
        assert plain == original[record["id"]]["conversations"]
        masked = [turn for turn in record["conversations"] if turn["from"] == "gpt"]
        assert all("loss_mask" in turn and "loss_end_of_turn" in turn for turn in masked)
        if row["kept_as"] == "text_only":
            assert all(turn["loss_mask"] == [[0, len(turn["value"])]] and turn["loss_end_of_turn"] for turn in masked)


def test_llamafactory_folder_loads_from_disk(family_output, exported, selected):
    loaded = datasets.load_from_disk(str(exported(family_output, "llamafactory", "--image-root", IMAGES)))
    assert list(loaded) == ["train"]
    rows = loaded["train"]
    assert rows.column_names == ["input_ids", "attention_mask", "labels", "images"]
    assert rows.num_rows == len(selected)
    check_labels(rows, selected)
    for row, stored in zip(rows, selected):
        assert row["attention_mask"] == [1] * len(row["input_ids"])
        assert row["images"] == [str(IMAGES / name) for name in stored["images"]]


def check_labels(rows, selected):
    """Labels are input_ids where the stored mask is true, -100 everywhere else; the answers' tokens are in order."""
    num_active = 0
    for row, stored in zip(rows, selected):
        ids, labels = np.array(row["input_ids"]), np.array(row["labels"])
        active = labels != -100
        assert (labels[active] == ids[active]).all()
        wanted = [token for token, keeps in zip(stored["token_id"], stored["loss_mask"]) if keeps]
        assert ids[active].tolist() == wanted
        num_active += active.sum()
    assert num_active == sum(row["num_active"] for row in selected) > 500


def test_llamafactory_survives_a_copy_by_datasets(family_output, exported, tmp_path):
    """Types and files are what `datasets` itself would write."""
    folder = exported(family_output, "llamafactory", "--image-root", IMAGES)
    loaded = datasets.load_from_disk(str(folder))
    loaded.save_to_disk(str(tmp_path / "copy"))
    copy = datasets.load_from_disk(str(tmp_path / "copy"))
    assert copy["train"].features == loaded["train"].features
    assert copy["train"].data.table.equals(loaded["train"].data.table)
    for name in ("dataset_dict.json", "train/state.json", "train/dataset_info.json"):
        ours, theirs = (set(json.loads((root / name).read_text())) for root in (folder, tmp_path / "copy"))
        assert theirs <= ours | {"splits"}


def test_swift_pieces_tokenize_to_the_same_ids(family_output, exported, selected, tokenizer):
    rows = json_lines(exported(family_output, "swift-jsonl", "--image-root", IMAGES) / "train.jsonl")
    places = json_lines(exported(family_output, "jsonl") / "train.jsonl")
    assert len(rows) == len(selected) == len(places)
    num_cut = num_trained = num_active = 0
    for row, stored, place in zip(rows, selected, places):
        starts = iter([answer["token_start"] for answer in place["answers"]])
        joined = join_pieces(row["messages"])
        # A newline behind an image belongs to it.
        said = [(m["role"], m["content"] if m["role"] == "assistant" else m["content"].replace("<image>\n", "<image>")) for m in stored["messages"]]
        assert [(role, "".join(pieces)) for role, pieces, _ in joined] == said
        assert row.get("images", []) == [str(IMAGES / name) for name in stored["images"]]
        for role, pieces, losses in joined:
            if role != "assistant":
                continue
            at = next(starts)
            whole = tokenizer.encode("".join(pieces), add_special_tokens=False).ids
            encoded = [tokenizer.encode(piece, add_special_tokens=False).ids for piece in pieces]
            if len(pieces) > 1:
                assert sum(encoded, []) == whole
                assert whole[1:] == stored["token_id"][at + 1 : at + len(whole)]
                num_cut += 1
            trained = [loss for ids, loss in zip(encoded, losses) for _ in ids]
            mask = stored["loss_mask"][at : at + len(whole)]
            if len(whole) == len(mask) == len(trained):
                # No active token is lost.
                assert all(loss for loss, keeps in zip(trained, mask) if keeps)
                num_trained += sum(trained)
                num_active += sum(mask)
    assert num_active > 500
    if num_cut > 100:
        # Where cuts survive, few inactive tokens come along.
        assert num_trained < 1.5 * num_active


def join_pieces(messages):
    joined = []
    for message in messages:
        if message["role"] == "assistant" and joined and joined[-1][0] == "assistant":
            joined[-1][1].append(message["content"])
            joined[-1][2].append(message["loss"])
        else:
            joined.append((message["role"], [message["content"]], [message.get("loss")]))
    return joined


def test_hf_parquet_holds_labels_and_images(family_output, exported, selected, tmp_path):
    folder = exported(family_output, "hf-parquet", "--images", "--image-root", IMAGES)
    files = sorted(str(path) for path in (folder / "data").glob("*.parquet"))
    assert pq.read_schema(files[0]).field("images").type.value_type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert rows.num_rows == len(selected)
    check_labels(rows.select_columns(["input_ids", "labels"]), selected)
    assert rows["sample_id"][:] == [row["sample_id"] for row in selected]
    assert rows["vig"][:] == [row["vig"] for row in selected]
    # The footer's key tells `datasets` that these are images: they come out decoded.
    for row, stored in zip(rows.select(range(20)), selected):
        assert [image.size for image in row["images"]] == [image_size(name) for name in stored["images"]]
    table = pq.read_table(files, columns=["images"]).column("images").to_pylist()
    for images, stored in zip(table, selected):
        assert [image["path"] for image in images] == stored["images"]
        assert [image["bytes"] for image in images] == [(IMAGES / name).read_bytes() for name in stored["images"]]


def test_hf_parquet_without_bytes_opens_the_paths(family_output, exported, selected, tmp_path):
    folder = exported(family_output, "hf-parquet", "--image-root", IMAGES)
    rows = datasets.load_dataset("parquet", data_dir=str(folder / "data"), split="train", cache_dir=str(tmp_path))
    for row, stored in zip(rows.select(range(5)), selected):
        assert [image.size for image in row["images"]] == [image_size(name) for name in stored["images"]]


def image_size(name):
    from PIL import Image

    with Image.open(IMAGES / name) as image:
        return image.size
