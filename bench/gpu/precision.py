"""What precision does to the selection: pairs of runs over the same samples, compared token by token.

usage: precision.py torch MODEL_DIR ANNOTATIONS IMAGE_ROOT NUM_SAMPLES OUT.json    (fp32, fp16, bf16 in PyTorch, on CUDA where there is one)
       precision.py compare REFERENCE.parquet OTHER.parquet ...                    (files of a run's scores/)

Prints for each pair: Spearman rank correlation of VIG, overlap of the selections at p = 70, share of answer tokens whose
mask flips (granularity sample_and_token), and the mean and largest difference of a token's VIG, nats.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

TOP = 0.70


def ranks(values):
    order = np.argsort(values, kind="stable")
    found = np.empty(len(values))
    found[order] = np.arange(len(values))
    return found


def selection(tokens):
    """(vig per sample, kept samples, active tokens)."""
    vig = np.array([row.astype(np.float64).mean() for row in tokens])
    tau = np.sort(vig)[::-1][int(np.ceil(TOP * len(vig))) - 1]
    kept = vig >= tau
    active = np.concatenate([(row >= tau) & keep for row, keep in zip(tokens, kept)])
    return vig, kept, active


def compare(reference, other):
    a, b = selection(reference), selection(other)
    difference = np.abs(np.concatenate(reference) - np.concatenate(other))
    return {
        "samples": len(reference),
        "tokens": len(difference),
        "spearman_vig": round(float(np.corrcoef(ranks(a[0]), ranks(b[0]))[0, 1]), 6),
        "selection_overlap": round(float((a[1] & b[1]).sum() / a[1].sum()), 4),
        "mask_flips": round(float((a[2] != b[2]).mean()), 5),
        "token_vig_mean_difference": float(f"{difference.mean():.2e}"),
        "token_vig_largest_difference": float(f"{difference.max():.2e}"),
    }


def read_scores(path):
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["sample_id", "token_vig"]).to_pylist()
    return {row["sample_id"]: np.array(row["token_vig"], np.float32) for row in table if row["token_vig"] is not None}


def torch_tokens(folder, annotations, root, count):
    """{dtype: [token_vig of each sample]}, one sample at a time, the same pixels for every dtype."""
    import torch
    from PIL import Image, ImageFilter
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scoring"))
    from python_loops import SIGMA_FRACTION, encode, read_samples

    device = "cuda" if torch.cuda.is_available() else "cpu"
    processor = AutoProcessor.from_pretrained(folder)

    def prepare(record):
        image = Image.open(Path(root) / record["image"]).convert("RGB")
        inputs, mask = encode(processor, record, image)
        blurred = image.filter(ImageFilter.GaussianBlur(SIGMA_FRACTION * min(image.size)))
        pixels = np.stack([inputs["pixel_values"][0], np.asarray(processor.image_processor(blurred, return_tensors="np")["pixel_values"][0])])
        return torch.from_numpy(inputs["input_ids"][0]), torch.from_numpy(pixels), torch.from_numpy(mask[1:])

    with ThreadPoolExecutor(8) as pool:
        samples = list(pool.map(prepare, read_samples(Path(annotations), count)))
    found = {}
    for name in ("float32", "float16", "bfloat16"):
        model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, name)).eval().to(device)
        rows = []
        with torch.inference_mode():
            for ids, pixels, mask in samples:
                both = ids.to(device)[None].expand(2, -1)
                logits = model(input_ids=both, pixel_values=pixels.to(device, model.dtype)).logits[:, :-1].float()
                log_probs = torch.log_softmax(logits, -1).gather(-1, both[:, 1:, None])[..., 0]
                rows.append((log_probs[0] - log_probs[1])[mask.to(device)].cpu().numpy())
        found[name] = rows
    return found, device


def main():
    if sys.argv[1] == "torch":
        folder, annotations, root, count, out = sys.argv[2:]
        found, device = torch_tokens(folder, annotations, root, int(count))
        results = {f"PyTorch {name} against float32 ({device})": compare(found["float32"], rows) for name, rows in found.items() if name != "float32"}
        Path(out).write_text(json.dumps(results, indent=1) + "\n")
    else:
        reference = read_scores(sys.argv[2])
        results = {}
        for path in sys.argv[3:]:
            other = read_scores(path)
            ids = sorted(reference.keys() & other.keys())
            results[Path(path).stem] = compare([reference[key] for key in ids], [other[key] for key in ids])
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
