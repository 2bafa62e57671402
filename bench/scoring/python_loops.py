"""The loops that people write in Python to score answers twice: full logits, two passes, one table row a loop.

usage: python_loops.py LOOP MODEL_DIR ANNOTATIONS IMAGE_ROOT NUM_SAMPLES BATCH

LOOP is `onnxruntime` (the three graphs of MODEL_DIR/onnx) or `torch` (AutoModelForImageTextToText from MODEL_DIR).
Prints one JSON object: seconds of scoring after one warm-up batch, samples, answer tokens, peak resident bytes, and
the mean VIG, so that the caller sees that the same work was done. Images are loaded, blurred (Pillow) and
preprocessed inside the timed loop, as in any such script; the model is loaded before it.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from transformers import AutoProcessor

SIGMA_FRACTION = 0.28


def read_samples(annotations: Path, count: int) -> list[dict]:
    """The first `count` samples that show exactly one image."""
    records = json.loads(annotations.read_text())
    return [record for record in records if isinstance(record.get("image"), str)][:count]


def messages_of(record: dict) -> list[dict]:
    messages = []
    for turn in record["conversations"]:
        role = "user" if turn["from"] == "human" else "assistant"
        parts = [{"type": "image"}] if "<image>" in turn["value"] else []
        parts.append({"type": "text", "text": turn["value"].replace("<image>", "").strip()})
        messages.append({"role": role, "content": parts})
    return messages


def encode(processor, record: dict, image: Image.Image) -> tuple[dict, np.ndarray]:
    """Inputs of one sample and a bool mask [sequence] of its supervised answer tokens."""
    messages = messages_of(record)
    render = lambda upto, prompt: processor.apply_chat_template(messages[:upto], add_generation_prompt=prompt)
    inputs = processor(text=render(len(messages), False), images=image, return_tensors="np")
    length = lambda text: processor(text=text, images=image, return_tensors="np")["input_ids"].shape[1]
    mask = np.zeros(inputs["input_ids"].shape[1], dtype=bool)
    for turn, message in enumerate(messages):
        if message["role"] == "assistant":
            mask[length(render(turn, True)) : length(render(turn + 1, False))] = True
    return dict(inputs), mask


def image_inputs(inputs: dict) -> dict:
    """What the processor made of the image, batch dimension first."""
    return {name: np.asarray(value) for name, value in inputs.items() if name.startswith("pixel")}


def pad(rows: list[np.ndarray], value: int) -> np.ndarray:
    out = np.full((len(rows), max(map(len, rows))), value, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


class OnnxRuntime:
    def __init__(self, folder: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        load = lambda name: onnxruntime.InferenceSession(folder / "onnx" / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        self.vision, self.embed, self.decoder = load("vision_encoder"), load("embed_tokens"), load("decoder_model_merged")
        self.past = {i.name: i.shape for i in self.decoder.get_inputs() if i.name.startswith("past_key_values")}
        self.inputs = {i.name for i in self.decoder.get_inputs()}
        config = json.loads((folder / "config.json").read_text())
        self.image_token = config.get("image_token_index", config.get("image_token_id"))

    def log_probs(self, ids: np.ndarray, mask: np.ndarray, images: dict) -> np.ndarray:
        """[batch, sequence] log-probability of each next token, from full logits."""
        feeds = {i.name: images[i.name].astype(bool if i.type == "tensor(bool)" else np.float32) for i in self.vision.get_inputs()}
        features = self.vision.run(None, feeds)[0]
        (embeds,) = self.embed.run(None, {"input_ids": ids})
        embeds[ids == self.image_token] = features.reshape(-1, features.shape[-1])
        feeds = {"inputs_embeds": embeds, "attention_mask": mask}
        if "position_ids" in self.inputs:
            feeds["position_ids"] = np.broadcast_to(np.arange(ids.shape[1]), ids.shape).astype(np.int64)
        for name, shape in self.past.items():
            feeds[name] = np.zeros((len(ids), shape[1], 0, shape[3]), dtype=np.float32)
        logits = self.decoder.run(["logits"], feeds)[0][:, :-1]
        top = logits.max(-1, keepdims=True)
        total = np.log(np.exp(logits - top).sum(-1)) + top[..., 0]
        return np.take_along_axis(logits, ids[:, 1:, None], -1)[..., 0] - total


class Torch:
    def __init__(self, folder: Path):
        import torch
        from transformers import AutoModelForImageTextToText

        self.torch = torch
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()

    def log_probs(self, ids: np.ndarray, mask: np.ndarray, images: dict) -> np.ndarray:
        torch = self.torch
        with torch.inference_mode():
            ids_t = torch.from_numpy(ids)
            shown = {name: torch.from_numpy(value) for name, value in images.items()}
            logits = self.model(input_ids=ids_t, attention_mask=torch.from_numpy(mask), **shown).logits
            return torch.log_softmax(logits[:, :-1], -1).gather(-1, ids_t[:, 1:, None])[..., 0].numpy()


def main() -> None:
    loop, folder, annotations, root = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    count, batch_size = int(sys.argv[5]), int(sys.argv[6])
    processor = AutoProcessor.from_pretrained(folder)
    records = read_samples(annotations, count)
    model = {"onnxruntime": OnnxRuntime, "torch": Torch}[loop](folder)
    image_mark = processor.image_token

    def score(batch: list[dict]) -> tuple[int, float]:
        ids, masks, clean, blurred = [], [], [], []
        for record in batch:
            image = Image.open(root / record["image"]).convert("RGB")
            inputs, mask = encode(processor, record, image)
            blur = image.filter(ImageFilter.GaussianBlur(SIGMA_FRACTION * min(image.size)))
            ids.append(inputs["input_ids"][0])
            masks.append(mask)
            clean.append(image_inputs(inputs))
            blurred.append(image_inputs(processor(text=image_mark, images=blur, return_tensors="np")))
        padded, attention, answers = pad(ids, 0), pad([np.ones_like(row) for row in ids], 0), pad(masks, 0)[:, 1:].astype(bool)
        together = lambda rows: {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        image_pass, blur_pass = (model.log_probs(padded, attention, together(images)) for images in (clean, blurred))
        vig = np.where(answers, image_pass - blur_pass, 0).sum(1) / answers.sum(1)
        return int(answers.sum()), float(vig.sum())

    score(records[:batch_size])
    start, tokens, total = time.perf_counter(), 0, 0.0
    for at in range(0, len(records), batch_size):
        num, vig = score(records[at : at + batch_size])
        tokens, total = tokens + num, total + vig
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "samples": len(records), "tokens": tokens, "peak_bytes": peak, "mean_vig": total / len(records)}))


if __name__ == "__main__":
    main()
