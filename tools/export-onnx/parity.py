"""Compares the exported graphs, run by onnxruntime, with the torch model they came from."""

import numpy as np
import onnxruntime as ort
import torch

from families.base import image_token_id


def session(path):
    """An onnxruntime session on the CPU, two threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def pad(rows, side, value=0):
    """Rows of different lengths as one array [batch, sequence]; `side` is where the padding goes."""
    width = max(row.shape[-1] for row in rows)
    out = np.full((len(rows), *rows[0].shape[:-1], width), value, np.int64)
    for target, row in zip(out, rows):
        start = 0 if side == "right" else width - row.shape[-1]
        target[..., start : start + row.shape[-1]] = row
    return out


def batch_of(sample, family, side):
    """The decoder's integer inputs for `sample`: input_ids, attention_mask, position_ids (and token_type_ids)."""
    rows = [row.numpy() for row in sample.input_ids]
    mask = pad([np.ones_like(row) for row in rows], side)
    if sample.position_ids is None:
        positions = np.clip(np.cumsum(mask, axis=1) - 1, 0, None) + family.position_start
    else:
        positions = pad([row.numpy() for row in sample.position_ids], side).transpose(1, 0, 2).copy()
    batch = {"input_ids": pad(rows, side), "attention_mask": mask, "position_ids": positions}
    if sample.token_type_ids is not None:
        batch["token_type_ids"] = pad([row.numpy() for row in sample.token_type_ids], side, family.padding_type)
    return batch


def empty_past(decoder, batch_size):
    """Zero-length past states for every past input of the decoder."""
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    return {
        node.name: np.zeros((batch_size, node.shape[1], 0, node.shape[3]), types[node.type])
        for node in decoder.get_inputs()
        if node.name.startswith("past_key_values.")
    }


def run_decoder(decoder, embeds, batch, past):
    """Logits and the next past states for one call of the decoder graph."""
    wanted = {node.name for node in decoder.get_inputs()}
    feeds = {"inputs_embeds": embeds, **past, **{name: value for name, value in batch.items() if name in wanted}}
    names = [node.name for node in decoder.get_outputs()]
    outputs = dict(zip(names, decoder.run(None, feeds)))
    present = {name.replace("present", "past_key_values"): value for name, value in outputs.items() if name != "logits"}
    return outputs["logits"], present


def merge(embed, features, config, batch):
    """Token embeddings with the image features in the places of the image tokens."""
    embeds = embed.run(None, {"input_ids": batch["input_ids"]})[0]
    at = (batch["input_ids"] == image_token_id(config)) & (batch["attention_mask"] == 1)
    rows = features.reshape(-1, features.shape[-1])
    if at.sum() != len(rows):
        raise SystemExit(f"parity: {at.sum()} image tokens in the prompt, {len(rows)} feature rows")
    embeds[at] = rows
    return embeds


def reference(model, family, seed=0):
    """The torch model's side of the comparison: (config, sample, {padding side: (batch, logits)})."""
    sample = family.sample(model, torch.Generator().manual_seed(seed))
    images = {
        name: value.to(model.dtype) if value.is_floating_point() else value
        for name, value in sample.reference_inputs.items()
    }
    expected = {}
    for side in ("right", "left"):
        batch = batch_of(sample, family, side)
        feeds = {name: torch.from_numpy(value) for name, value in batch.items()}
        with torch.no_grad():
            expected[side] = batch, model(**feeds, **images, use_cache=False).logits.float().numpy()
    return model.config, sample, expected


def compare(torch_side, family, paths, tolerance, with_past=True):
    """Raises SystemExit where the graphs' logits differ from `torch_side` by more than `tolerance`; returns the differences.

    Cases: right and left padding in one call, and left padding cut in two calls (the second uses the first's states).
    Without `with_past` only right padding: such a graph has no mask and no past. Only positions that hold a token are compared. Unit: the logits' standard deviation where that exceeds 1, else 1.
    """
    config, sample, expected = torch_side
    vision = session(paths["vision_encoder"])
    features = family.features(vision.run(None, {name: value.numpy() for name, value in sample.vision_inputs.items()}))
    embed, decoder = session(paths["embed_tokens"]), session(paths["decoder_model_merged"])
    worst = {}
    for side, (batch, logits) in expected.items():
        if side == "left" and not with_past:
            continue
        embeds = merge(embed, features, config, batch)
        held = batch["attention_mask"] == 1
        scale = max(1.0, float(logits[held].std()))
        ways = {f"{side} padding": run_decoder(decoder, embeds, batch, empty_past(decoder, len(embeds)))[0]}
        if side == "left":
            ways["two calls"] = two_calls(decoder, embeds, batch)
        worst |= {way: float(np.abs(found - logits)[held].max()) / scale for way, found in ways.items()}
    for way, difference in worst.items():
        print(f"parity: {way}: largest logit difference {difference:.2e} (tolerance {tolerance:.0e})")
    failed = [way for way, difference in worst.items() if not difference <= tolerance]
    if failed:
        raise SystemExit(f"parity failed ({', '.join(failed)}): the exported graphs do not compute what the checkpoint does")
    return worst


def two_calls(decoder, embeds, batch):
    """Logits of the whole batch from two calls: all but the last three tokens, then those with the first call's states."""
    cut = embeds.shape[1] - 3
    first = {name: value[..., :cut] for name, value in batch.items()}
    second = {name: value if name == "attention_mask" else value[..., cut:] for name, value in batch.items()}
    head, past = run_decoder(decoder, embeds[:, :cut], first, empty_past(decoder, len(embeds)))
    tail, _ = run_decoder(decoder, embeds[:, cut:], second, past)
    return np.concatenate([head, tail], axis=1)
