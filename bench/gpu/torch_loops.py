"""PyTorch loops on one GPU, on the same samples: the loop that people write, and the best that a careful one does.

usage: torch_loops.py DIR [--samples 96]

DIR is what make_model.py wrote, with the exported model in DIR/model; the weights are random ones of the same shape. Pixels
and token ids are made before the clock starts, so image decoding, blur and tokenisation are NOT in these numbers. Prints one
JSON object a row.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoTokenizer, LlavaForConditionalGeneration

IMAGE_TOKENS = 576


def sequences(folder, config, count):
    """[(ids, first answer position)] with the image tokens expanded, as the demo's template lays them out."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    found = []
    for record in json.loads((folder / "samples.json").read_text())[:count]:
        prompt, answer = (turn["value"].replace("<image>\n", "") for turn in record["conversations"])
        before = tokenizer(f"USER: {prompt} ASSISTANT:").input_ids
        after = tokenizer(answer, add_special_tokens=False).input_ids + [2]
        ids = before[:2] + [config.image_token_index] * IMAGE_TOKENS + before[2:] + after
        found.append((torch.tensor(ids), len(ids) - len(after)))
    return found


def timed(run):
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def ceiling(dtype, rounds, size=8192):
    """TFLOP/s of a matrix product, `rounds` times after as many: a few run at clocks that the card can't hold for long."""
    a, b = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)

    def run():
        for _ in range(rounds):
            torch.mm(a, b, out=out)

    timed(run)
    return 2 * size**3 * rounds / timed(run) / 1e12


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--samples", type=int, default=96)
    args = parser.parse_args()
    config = AutoConfig.from_pretrained(args.dir / "model")
    rows = sequences(args.dir, config, args.samples)
    for name, rounds in (("matmul_tflops", 20), ("matmul_tflops_sustained", 1200)):
        print(json.dumps({name: {"bf16": round(ceiling(torch.bfloat16, rounds)), "fp16": round(ceiling(torch.float16, rounds))}}), flush=True)
    with torch.device("cuda"):
        model = LlavaForConditionalGeneration._from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
    pixels = torch.randn(16, 3, 336, 336, device="cuda", dtype=torch.bfloat16)
    parameters = sum(p.numel() for p in model.model.language_model.parameters()) - model.get_input_embeddings().weight.numel()
    tokens = sum(len(ids) for ids, _ in rows)
    answers = sum(len(ids) - first for ids, first in rows)
    flop = 2 * (2 * parameters * tokens + 2 * sum(config.text_config.num_hidden_layers * len(ids) ** 2 * config.text_config.hidden_size for ids, _ in rows))

    def score_one(row):
        ids, first = row
        ids = ids.cuda()[None]
        for _ in range(2):
            logits = model(input_ids=ids, pixel_values=pixels[:1], attention_mask=torch.ones_like(ids)).logits
            torch.log_softmax(logits[0, first - 1 : -1].float(), -1).gather(-1, ids[0, first:, None]).cpu()

    def score_batch(batch):
        width = max(len(ids) for ids, _ in batch)
        padded = torch.zeros(len(batch), width, dtype=torch.long)
        for i, (ids, _) in enumerate(batch):
            padded[i, : len(ids)] = ids
        places = torch.cat([torch.arange(first, len(ids)) + i * width for i, (ids, first) in enumerate(batch)]).cuda()
        padded = padded.cuda()
        targets = padded.flatten()[places]
        for _ in range(2):
            hidden = model.model(input_ids=padded, pixel_values=pixels[: len(batch)], use_cache=False).last_hidden_state
            logits = model.lm_head(hidden.flatten(0, 1)[places - 1])
            torch.log_softmax(logits.float(), -1).gather(-1, targets[:, None]).cpu()

    def report(name, run):
        with torch.inference_mode():
            seconds = timed(run)
        print(json.dumps({"row": name, "samples_per_s": round(len(rows) / seconds, 2), "useful_tflops": round(flop / seconds / 1e12),
                          "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1)}), flush=True)

    ordered = sorted(rows, key=lambda row: len(row[0]))
    batches = [ordered[at : at + 16] for at in range(0, len(ordered), 16)]
    with torch.inference_mode():
        score_one(rows[0]), score_batch(batches[-1])
    print(json.dumps({"samples": len(rows), "tokens_per_sequence": round(tokens / len(rows)), "answer_tokens": round(answers / len(rows)), "device": torch.cuda.get_device_name()}))
    report("PyTorch, batch 1, full logits", lambda: [score_one(row) for row in rows[: len(rows)]])
    report("PyTorch, batch 16 by length, head on answer rows, no mask", lambda: [score_batch(batch) for batch in batches])


if __name__ == "__main__":
    main()
